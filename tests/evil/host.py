"""Code that misuses the functions its sandbox was granted: too often, with too much, under forged numbers."""

from duckdb_wasi_udf import HostFunction, HostQuota, LimitExceeded
from tests.evil.attack import ANYTHING, OUT_OF_MEMORY, TOO_DEEP, Attack, End, Moment, raises, returns
from tests.evil.takeover import TAKE_OVER

MIB = 2**20


def echo(x: int) -> int:
    return x


def text(s: str, times: int = 1) -> str:
    return s * times


def many(xs: list[int]) -> list[int]:
    return xs


def fail(x: int) -> int:
    raise ValueError("a secret of the host")


# What the harness grants, and how much of it.
GRANTED = [
    *(HostFunction(function) for function in (echo, text, many, fail)),
    HostFunction(len, name="nested", parameters=["STRUCT(a BIGINT)"], return_type="BIGINT"),
]
QUOTA = HostQuota(calls=2000, bytes=8 * MIB, seconds=30.0)

TOO_MUCH = End((LimitExceeded,), "asks too much of host functions in one batch")
TOO_LARGE = End((LimitExceeded,))  # for the quota or for the guest's memory, whichever comes first

# What nothing in the guest can catch, tried in as many places as there are to catch something.
_FLOODS = {
    "a flood": "while True: host.echo(x)",
    "a flood whose errors are caught": """
        while True:
            try: host.echo(x)
            except BaseException: pass
    """,
    "a flood that goes on in finally": """
        while True:
            try: host.echo(x)
            finally: continue
    """,
    "a flood of failures": """
        while True:
            try: host.fail(x)
            except host.HostError: pass
    """,
    "a flood of one-row batches": "while True: host.many.batch([x])",
    "a flood in a key function": "sorted(range(10**4), key=host.echo)",
    "a flood in finalizers": """
        class Bomb:
            def __del__(self): host.echo(1)
        while True: Bomb()
    """,
    "a flood in comparisons": """
        class Key:
            def __eq__(self, other): return host.echo(1) == 2
            def __hash__(self): return 1
        {Key(): i for i in range(3000)}
    """,
    "a flood in an exit": """
        import contextlib
        with contextlib.ExitStack() as stack:
            for i in range(3000): stack.callback(host.echo, i)
    """,
    "a flood of names that don't exist and calls": """
        import _udf
        while True: _udf.host_import('nothing'), host.echo(x)
    """,
}


def _flood(body):
    lines = "\n".join(f"            {line}" for line in body.strip("\n").split("\n"))
    return f"        import host\n        def attack(x):\n{lines}\n"


def _unindented(body):
    width = len(body.strip("\n")) - len(body.strip("\n").lstrip())
    return "\n".join(line[width:] for line in body.strip("\n").split("\n"))


def _takes_over(name, end, body):
    lines = "".join(f"    {line}\n" for line in body.strip("\n").split("\n"))
    code = f"{TAKE_OVER}\nimport host\ndef attack(x):\n    host.echo(1)\n    memory = take_over()\n{lines}"
    return Attack(name, end, code)


# The offset of `number` in `struct host_function` (wasm/c/host/host_call.h): after an object's head and four pointers.
_NUMBER = 24

ATTACKS = [
    *(Attack(name, TOO_MUCH, _flood(_unindented(body))) for name, body in _FLOODS.items()),
    Attack(
        "a flood while code is loaded",
        TOO_MUCH,
        """
            import host
            while True:
                try: host.echo(1)
                except BaseException: pass
            def attack(x): return x
        """,
        moment=Moment.LOAD,
    ),
    Attack(
        "a flood while a cursor is pulled from",
        TOO_MUCH,
        """
            import host
            def attack(x):
                while True: host.echo(x)
                yield 1
        """,
        moment=Moment.ITERATION,
    ),
    Attack(
        "a coroutine that awaits for ever",
        TOO_MUCH,
        """
            import _udf, host
            async def ask(x):
                while True:
                    try: await host.echo(x)
                    except BaseException: pass
            attack = lambda x: _udf.run(ask(x))
        """,
    ),
    Attack(
        "a million calls in one round",
        TOO_LARGE,
        """
            import _udf, host
            async def ask(x): return await host.gather(*map(host.echo, range(10**6)))
            attack = lambda x: _udf.run(ask(x))
        """,
    ),
    Attack(
        "rounds inside rounds",
        TOO_DEEP,
        """
            import _udf, host
            async def ask(x): return _udf.run(ask(x))
            attack = lambda x: _udf.run(ask(x))
        """,
    ),
    Attack("a huge argument", TOO_MUCH, "import host\nattack = lambda x: host.text('x' * 4_500_000)"),
    Attack("a huge column", TOO_LARGE, "import host\nattack = lambda x: host.many.batch(range(10**7))"),
    Attack(
        "a column of nothing but NULL", TOO_LARGE, "import host\nattack = lambda x: host.many.batch([None] * 10**7)"
    ),
    Attack("a huge result", TOO_MUCH, "import host\nattack = lambda x: host.text('x' * 1000, 20_000)"),
    Attack(
        "a result that doesn't fit into the guest any more",
        OUT_OF_MEMORY,
        """
            import host
            def attack(x):
                kept = []
                try:
                    while True: kept.append(bytes(10**6))
                except MemoryError: pass
                host.text('x' * 1000, 7000)
        """,
    ),
    Attack(
        "many large arguments", TOO_MUCH, "import host\nattack = lambda x: [host.text('x' * 10**6) for _ in range(9)]"
    ),
    Attack(
        "the cause of a failure",
        returns(True),
        """
        import host, traceback
        def attack(x):
            try: host.fail(x)
            except host.HostError as error:
                told = ''.join(traceback.format_exception(error)) + repr(vars(error)) + repr(error.__context__)
                return 'secret' not in told and 'ValueError' not in told
    """,
    ),
    *(
        Attack(
            f"a function numbered {number}",
            raises("HostError: x is not there"),
            f"import _udf\nattack = lambda x: _udf.HostFunction({number}, 'x', lambda *a: a)(x)",
        )
        for number in (5, 99, 10**9, -1, -(2**31))
    ),
    Attack(
        "a number that is none",
        raises("OverflowError"),
        "import _udf\nattack = lambda x: _udf.HostFunction(2**31, 'x', lambda *a: a)(x)",
    ),
    Attack(
        "arguments that another function binds",
        raises("TypeError: the arguments are gone"),
        "import _udf\nattack = lambda x: _udf.HostFunction(0, 'x', lambda *a: (1, 2))(x, x)",
    ),
    Attack(
        "arguments that nothing binds",
        raises("TypeError: 'NoneType' object is not callable"),
        "import _udf\nattack = lambda x: _udf.HostFunction(0, 'x', None)(x, x)",
    ),
    Attack(
        "names that aren't there",
        returns([None] * 7),
        """
            import _udf
            NAMES = ['5', '-1', '', '1e3', '9' * 500, '\\0', '5.0']
            attack = lambda x: [_udf.host_import('host:types:' + name) for name in NAMES]
        """,
    ),
    Attack(
        "a name that is no UTF-8",
        raises("UnicodeEncodeError"),
        "import _udf\nattack = lambda x: _udf.host_import('\\ud800')",
    ),
    Attack(
        "a name that is longer than any", returns(None), "import _udf\nattack = lambda x: _udf.host_import('x' * 10**6)"
    ),
    Attack(
        "a name that is no text",
        raises("TypeError"),
        "import _udf\nattack = lambda x: _udf.host_import(b'host:functions')",
    ),
    Attack(
        "a module host of its own making",
        returns(5),
        """
            import host, sys
            host.echo = lambda x: 5
            host.HostError = host.gather = None
            attack = lambda x: host.echo(x)
        """,
    ),
    Attack(
        "the module host made again and again",
        returns(1),
        """
            import importlib, host
            def attack(x):
                for _ in range(50): importlib.reload(host)
                return host.echo(x)
        """,
    ),
    Attack(
        "descriptions of functions that code has changed",
        returns(1),
        """
            import host
            def attack(x):
                host.echo.__dict__ if hasattr(host.echo, '__dict__') else None
                host.echo.__name__ = host.echo.__signature__ = host.echo.__doc__ = 7
                return host.echo(x)
        """,
    ),
    Attack(
        "a function without attributes",
        raises("AttributeError"),
        "import _udf, host\ndef attack(x):\n    del host.echo.__name__\n    return host.echo.__name__",
    ),
    Attack(
        "a class of host functions",
        raises("TypeError: type '_udf.HostFunction' is not an acceptable base type"),
        "import _udf\nattack = lambda x: type('Fake', (_udf.HostFunction,), {})",
    ),
    Attack(
        "an argument that calls again what it is for",
        raises("nested() is called by a value that it was called with"),
        """
            import host
            class Square:
                __dataclass_fields__ = {"a": 0}
                a = property(lambda self: host.nested(Square()))
            attack = lambda x: host.nested(Square())
        """,
    ),
    Attack(
        "a column that shrinks while it is read",
        raises("a column became shorter while it was read"),
        """
            import host
            class Square:
                __dataclass_fields__ = {"a": 0}
                a = property(lambda self: column.clear())
            column = [Square()] * 100
            attack = lambda x: host.nested.batch(column)
        """,
    ),
    Attack(
        "a call that is never awaited",
        returns(3),
        "import _udf, host\nasync def ask(x):\n    host.echo(x)\n    return 3\nattack = lambda x: _udf.run(ask(x))",
    ),
    Attack(
        "a call awaited after its coroutine has ended",
        raises("RuntimeError"),
        """
            import _udf, host
            async def leak(x): return host.echo(x)
            def attack(x):
                pending = _udf.run(leak(x))
                return next(pending)
        """,
    ),
    Attack(
        "running what is no coroutine",
        raises("AttributeError: 'int' object has no attribute 'send'"),
        "import _udf\nattack = lambda x: _udf.run(3)",
    ),
    Attack(
        "a coroutine that lies about what it is",
        raises("awaits something that never comes"),
        """
            import _udf
            class Liar:
                def send(self, value): return [self]
            attack = lambda x: _udf.run(Liar())
        """,
    ),
    Attack(
        "a list of calls that changes while it is taken",
        raises("RuntimeError"),
        """
            import _udf, host
            class Liar:
                def send(self, value):
                    asked = [host.echo(1)]
                    asked.append(asked)
                    return asked
            attack = lambda x: _udf.run(Liar())
        """,
    ),
    _takes_over(
        "a number overwritten in memory",
        raises("HostError: echo is not there"),
        f"memory[id(host.echo) + {_NUMBER}:id(host.echo) + {_NUMBER} + 4] = struct.pack('<i', 99)\nreturn host.echo(x)",
    ),
    _takes_over(
        "another function's number in memory",
        ANYTHING,
        f"memory[id(host.echo) + {_NUMBER}:id(host.echo) + {_NUMBER} + 4] = struct.pack('<i', 1)\nreturn host.echo(x)",
    ),
    *(
        _takes_over(
            f"noise in a host function's object, {seed}",
            ANYTHING,
            f"at = id(host.echo) + {_NUMBER + 12}\n"
            f"noise = random.Random({seed})\n"
            "for _ in range(20):\n"
            "    offset = at + 4 * noise.randrange(120)\n"
            "    word = noise.choice([noise.randbytes(4), b'\\xff' * 4, bytes(4), b'\\xf0\\xff\\xff\\x7f'])\n"
            "    memory[offset:offset + 4] = word\n"
            "    host.echo(x)",
        )
        for seed in range(6)
    ),
    *(
        _takes_over(
            f"noise where calls are put together, {seed}",
            ANYTHING,
            "found = find(memory, struct.pack('<q', 1234567890123))\n"
            f"noise = random.Random({seed})\n"
            "host.echo(1234567890123)\n"
            "for at in find(memory, struct.pack('<q', 1234567890123)):\n"
            "    memory[at - 256:at + 256] = noise.randbytes(512)\n"
            "    host.echo(x)",
        )
        for seed in range(3)
    ),
]
