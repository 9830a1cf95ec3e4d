"""Programs that say too much, or what shouldn't be said: prints, results, names, errors."""

from duckdb_wasi_udf import GuestError, LimitExceeded, SignatureError
from tests.evil.attack import OUT_OF_MEMORY, RESULT_TOO_LARGE, TIMEOUT, Attack, End, Moment, raises, returns, traps


def _deep():
    value = 1
    for _ in range(15):
        value = {"a": [value]}
    return value


# Annotations are read when a function is registered, not by a bare instance.
REFUSED_IN_SQL = End((SignatureError,), "is too long", may_return=True)

ATTACKS = [
    Attack(
        "prints without end",
        TIMEOUT,
        """
            def attack(x):
                while True: print('x' * 1000)
        """,
    ),
    Attack(
        "100 MB of prints",
        returns(1),
        """
            def attack(x):
                for _ in range(100): print('x' * 10**6)
                return 1
        """,
    ),
    Attack(
        "prints to a descriptor that isn't there",
        raises("OSError"),
        """
            import os
            attack = lambda x: os.write(77, b'x')
        """,
    ),
    Attack(
        "closed standard streams",
        returns(1),
        """
            import sys
            def attack(x):
                sys.stdout.close(); sys.stderr.close(); sys.stdin.close()
                return 1
        """,
    ),
    Attack(
        "standard streams replaced",
        returns(1),
        """
            import sys
            def attack(x):
                sys.stdout = sys.stderr = 5
                try: print()
                except AttributeError: return 1
        """,
    ),
    Attack(
        "control characters printed before a crash",
        traps(r"\x1b[2J\x07"),
        """
            import os
            def attack(x):
                os.write(1, b'\\x1b[2J\\x07')
                os.abort()
        """,
    ),
    Attack(
        "bytes that aren't UTF-8 printed before a crash",
        traps("it printed"),
        """
            import os
            def attack(x):
                os.write(1, bytes(range(256)) * 100)
                os.abort()
        """,
    ),
    Attack("a result of 2 MiB", RESULT_TOO_LARGE, "attack = lambda x: 'x' * (2 * 2**20)"),
    Attack("many results of 10 kB", RESULT_TOO_LARGE, "attack = lambda x: 'x' * 10_000", rows=200),
    Attack("a blob of 2 MiB", RESULT_TOO_LARGE, "attack = lambda x: bytes(2 * 2**20)"),
    Attack("a list of 200,000 floats", RESULT_TOO_LARGE, "attack = lambda x: [0.5] * (2 * 10**5)"),
    Attack(
        "lists as deep as they may be",
        returns([[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]),
        """
            def attack(x):
                a = 1
                for _ in range(16): a = [a]
                return a
        """,
    ),
    Attack(
        "dicts and lists as deep as they may be",
        returns(_deep()),
        """
            def attack(x):
                a = 1
                for _ in range(15): a = {'a': [a]}
                return a
        """,
    ),
    Attack(
        "a dict as wide as it may be",
        returns({f"k{i}": i for i in range(1000)}),
        "attack = lambda x: {f'k{i}': i for i in range(1000)}",
    ),
    Attack(
        "lists nested too deep",
        raises("nested deeper than 32"),
        """
            def attack(x):
                a = []
                for _ in range(100): a = [a]
                return a
        """,
    ),
    Attack(
        "dicts nested too deep",
        raises("nested deeper than 32"),
        """
            def attack(x):
                a = {}
                for _ in range(1000): a = {'a': a}
                return a
        """,
    ),
    Attack(
        "a list that holds itself",
        raises("nested deeper than 32"),
        """
            def attack(x):
                a = []
                a.append(a)
                return a
        """,
    ),
    Attack(
        "a dict that holds itself",
        raises("nested deeper than 32"),
        """
            def attack(x):
                a = {}
                a['a'] = a
                return a
        """,
    ),
    Attack("wide dicts", raises("more than 10000 keys"), "attack = lambda x: {str(i): i for i in range(20_000)}"),
    Attack(
        "wide dicts in wide dicts",
        OUT_OF_MEMORY,  # 20,000 fields are allowed, and take more
        "attack = lambda x: {str(i): {str(j): 1 for j in range(100)} for i in range(200)}",
    ),
    Attack("a key with NUL", raises("NUL"), "attack = lambda x: {'a\\0b': 1}"),
    Attack(
        "keys that only differ after a NUL",
        raises("NUL"),
        "attack = lambda x: {'a\\0b': 1, 'a\\0c': 2}",
    ),
    Attack(
        "a key of nothing",
        raises("key"),
        "attack = lambda x: {'': 1}",
    ),
    Attack("keys that differ in case", returns({"a": 1, "A": 2}), "attack = lambda x: {'a': 1, 'A': 2}"),
    Attack(
        "a key with control characters",
        returns({"\x1b[2J\r\n\x7f": 1}),
        "attack = lambda x: {'\\x1b[2J\\r\\n\\x7f': 1}",
    ),
    Attack(
        "a key with quotes",
        returns({"\"'); DROP TABLE t; --": 1}),
        "attack = lambda x: {'\"\\'); DROP TABLE t; --': 1}",
    ),
    Attack("a key with a surrogate", raises("surrogates not allowed"), "attack = lambda x: {'\\ud800': 1}"),
    Attack(
        "a key of 10,000 characters",
        raises("key"),
        "attack = lambda x: {'k' * 10_000: 1}",
    ),
    Attack("a string with NUL", returns("a\0b"), "attack = lambda x: 'a\\0b'"),
    Attack(
        "a string with control characters",
        returns("\x1b[2J\x07\x7f\x9b"),
        "attack = lambda x: '\\x1b[2J\\x07\\x7f\\x9b'",
    ),
    Attack("a string with a surrogate", raises("surrogates not allowed"), "attack = lambda x: 'a\\udfff'"),
    Attack(
        "a string with what isn't a character",
        returns("\ufffe\uffff\U0010ffff"),
        "attack = lambda x: '\\ufffe\\uffff\\U0010ffff'",
    ),
    Attack("an error's text of 1 MB", raises("ValueError: xxx"), "def attack(x): raise ValueError('x' * 10**6)"),
    Attack(
        "an error's text that leaves no room to show it",
        OUT_OF_MEMORY,
        "def attack(x): raise ValueError('x' * (15 * 2**20))",
    ),
    Attack(
        "an error with control characters",
        raises(r"\x1b[2J\x07\x9b"),
        "def attack(x): raise ValueError('\\x1b[2J\\x07\\x9b')",
    ),
    Attack("an error with NUL", raises(r"before\x00after"), "def attack(x): raise ValueError('before\\0after')"),
    Attack("an error with a surrogate", raises(r"\ud800"), "def attack(x): raise ValueError('\\ud800')"),
    Attack("an error that turns the line round", raises(r"\u202e"), "def attack(x): raise ValueError('\\u202e')"),
    Attack(
        "an error with an endless name", raises("AAAAAAAA"), "def attack(x): raise type('A' * 10**6, (Exception,), {})"
    ),
    Attack(
        "an error with a name of control characters",
        raises(r"\x1b[2J\ud800"),
        """
            def attack(x):
                class E(Exception): pass
                E.__qualname__ = '\\x1b[2J\\ud800'
                raise E
        """,
    ),
    Attack(
        "an error from a file of control characters",
        raises(r"\x1b[2J"),
        "def attack(x): exec(compile('1 / 0', '\\x1b[2J' * 20, 'exec'))",
    ),
    Attack(
        "an error with a million notes",
        raises("ValueError: noted"),
        """
            def attack(x):
                error = ValueError('noted')
                error.__notes__ = ['x' * 100] * 10**4
                raise error
        """,
    ),
    Attack(
        "an error in a line of 1 MB", raises("ZeroDivisionError"), "def attack(x): return 1 / 0; '" + "x" * 10**6 + "'"
    ),
    Attack(
        "an error through a thousand frames",
        raises("ValueError: bottom"),
        """
            def dig(n):
                if n == 0: raise ValueError('bottom')
                return dig(n - 1)
            attack = lambda x: dig(900)
        """,
    ),
    Attack(
        "a group of a thousand errors",
        raises("1000 sub-exceptions"),
        "def attack(x): raise ExceptionGroup('many', [ValueError(i) for i in range(1000)])",
    ),
    Attack(
        "a function with a name of 1 MB",
        returns(1),
        """
            attack = lambda x: 1
            attack.__name__ = attack.__qualname__ = 'f' * 10**6
        """,
    ),
    Attack("a syntax error in a line of 100 kB", raises("SyntaxError"), "1 +" + " 1 +" * 25_000, Moment.LOAD),
    Attack(
        "too many parameters to describe",
        End((GuestError, LimitExceeded)),
        """
            f = eval('lambda ' + ', '.join(f'{"p" * 100}{i}=0' for i in range(10_000)) + ': 1')
            f
        """,
        Moment.LOAD,
    ),
    Attack(
        "an annotation of 1 MB",
        REFUSED_IN_SQL,
        """
            def f(x: 'int'): return x
            f.__annotations__['x'] = 'int | ' * 10**5 + 'int'
            f
        """,
        Moment.LOAD,
    ),
    Attack(
        "a name of 1 MB to describe",
        returns(1),
        """
            f = lambda x: 1
            f.__name__ = 'f' * 10**6
            f
        """,
        Moment.LOAD,
    ),
]
