"""Results that aren't what they seem, or change while they are encoded."""

import datetime as dt
import textwrap

from tests.evil.attack import TIMEOUT, Attack, Moment, raises, returns

# Columns whose insides were exchanged after they had been checked.
_COLUMNS = """
from duckdb_wasi_udf import Columns

def forged_as(by_name):
    columns = Columns(a=[])
    columns.by_name = by_name
    return columns

def forged(**named):
    return forged_as(named)
"""

ATTACKS = [
    Attack("a set", raises("returned set; a result must be"), "attack = lambda x: {1}"),
    Attack("a function", raises("returned function"), "attack = lambda x: attack"),
    Attack("a type", raises("returned type"), "attack = lambda x: int"),
    Attack("a complex number", raises("returned complex"), "attack = lambda x: 1j"),
    Attack("NotImplemented", raises("returned NotImplementedType"), "attack = lambda x: NotImplemented"),
    Attack("text where BIGINT was declared", raises("which is no BIGINT"), "attack = lambda x: 'one'", result="BIGINT"),
    Attack(
        "one type after another",
        returns(1),
        "attack = lambda x: x if x < 5 else 'x'",
        rows=10,
    ),
    Attack(
        "another type inside a list",
        returns([1, "x"]),
        "attack = lambda x: [1, 'x']",
    ),
    Attack(
        "types that DuckDB would crash on",
        raises("declare a result type, such as JSON"),
        "attack = lambda x: {'a': [1, 'x']}",
    ),
    Attack("an integer beyond HUGEINT", raises("outside the range of HUGEINT"), "attack = lambda x: 2**127"),
    Attack("an integer of a million bits", raises("outside the range of HUGEINT"), "attack = lambda x: -(1 << 10**6)"),
    Attack("a negative UBIGINT", raises("outside the range of UBIGINT"), "attack = lambda x: -1", result="UBIGINT"),
    Attack("an integer too large for DOUBLE", raises("OverflowError"), "attack = lambda x: 10**400", result="DOUBLE"),
    Attack(
        "an int that lies about everything",
        returns(5),
        """
            class Lie(int):
                def __index__(self): return 2**70
                def __int__(self): return 2**70
                def __str__(self): return 'x'
                def __eq__(self, other): return True
                __hash__ = None
            attack = lambda x: Lie(5)
        """,
    ),
    Attack(
        "a float that lies",
        returns(1.5),
        """
            class Lie(float):
                def __float__(self): return 'x'
                def __index__(self): return []
            attack = lambda x: Lie(1.5)
        """,
    ),
    Attack(
        "a str that lies",
        returns("true"),
        """
            class Lie(str):
                def __len__(self): return 2**31 - 1
                def __str__(self): return 5
                def encode(self, *a): return b'lie'
                def __getattribute__(self, name): raise SystemExit
            attack = lambda x: Lie('true')
        """,
    ),
    Attack(
        "bytes that lie",
        returns(b"true"),
        """
            class Lie(bytes):
                def __len__(self): return -1
                def __bytes__(self): return 5
            attack = lambda x: Lie(b'true')
        """,
    ),
    Attack(
        "bytes that export another buffer",
        returns(b"other"),
        """
            class Lie(bytes):
                def __buffer__(self, flags): return memoryview(b'other')
            attack = lambda x: Lie(b'true')
        """,
    ),
    Attack(
        "bytes whose exporter fails",
        raises("ValueError: no buffer"),
        """
            class Lie(bytes):
                def __buffer__(self, flags): raise ValueError('no buffer')
            attack = lambda x: Lie(b'true')
        """,
    ),
    Attack(
        "bytes whose exporter gives no memoryview",
        raises("TypeError"),
        """
            class Lie(bytes):
                def __buffer__(self, flags): return 5
            attack = lambda x: Lie(b'true')
        """,
    ),
    Attack(
        "bytes whose exporter never ends",
        TIMEOUT,
        """
            class Lie(bytes):
                def __buffer__(self, flags):
                    while True: pass
            attack = lambda x: Lie(b'true')
        """,
    ),
    Attack(
        "bytes that fail when they are released",
        returns(b"other"),
        """
            class Lie(bytes):
                def __buffer__(self, flags): return memoryview(b'other')
                def __release_buffer__(self, view): raise ValueError
            attack = lambda x: Lie(b'true')
        """,
    ),
    Attack(
        "a bytearray that shrinks while it is exported",
        returns(b"xxxx"),
        """
            class Lie(bytearray):
                def __buffer__(self, flags):
                    view = super().__buffer__(flags)
                    try: self.clear()
                    except BufferError: pass
                    return view
            attack = lambda x: Lie(b'xxxx')
        """,
    ),
    Attack("a memoryview with holes", returns(bytes(50)), "attack = lambda x: memoryview(bytes(100))[::2]"),
    Attack(
        "a memoryview that was released",
        raises("released"),
        """
            def attack(x):
                view = memoryview(b'abc')
                view.release()
                return view
        """,
    ),
    Attack(
        "a memoryview of another format",
        returns(bytes(16)),
        """
            import array
            attack = lambda x: memoryview(array.array('d', [0, 0]))
        """,
    ),
    Attack(
        "an exporter of a user's class",
        returns(b"mine"),
        """
            class A:
                def __buffer__(self, flags): return memoryview(b'mine')
            attack = lambda x: memoryview(A())
        """,
    ),
    Attack(
        "a list that lies",
        returns([1, 2]),
        """
            class Lie(list):
                def __len__(self): return 2**31 - 1
                def __iter__(self):
                    while True: yield 'x'
                def __getitem__(self, key): raise SystemExit
            attack = lambda x: Lie([1, 2])
        """,
    ),
    Attack(
        "a tuple that lies",
        returns([1, 2]),
        """
            class Lie(tuple):
                def __len__(self): return 0
                def __iter__(self): return iter('x')
            attack = lambda x: Lie((1, 2))
        """,
    ),
    Attack(
        "a dict that lies",
        returns({"a": 1}),
        """
            class Lie(dict):
                def __len__(self): return 99
                def keys(self): return ['z']
                def items(self): return [('z', 1)]
                def __getitem__(self, key): raise SystemExit
                def __iter__(self): raise SystemExit
            attack = lambda x: Lie(a=1)
        """,
    ),
    Attack("a dict with keys of two kinds", raises("a key of type int"), "attack = lambda x: {'a': 1, 1: 1}"),
    Attack(
        "a dict with keys that look like str",
        returns({"a": 1}),
        """
            class Key(str): pass
            attack = lambda x: {Key('a'): 1}
        """,
    ),
    Attack(
        "a list that is cleared while it is encoded",
        returns([1]),
        """
            import decimal
            kept = []
            class Lie(decimal.Decimal):
                def __str__(self):
                    kept.clear()
                    return '1'
            def attack(x):
                kept[:] = [Lie(1)] * 100
                return kept
        """,
        result="DECIMAL(9,0)[]",
    ),
    Attack(
        "a list that grows while it is encoded",
        TIMEOUT,
        """
            import decimal
            kept = []
            class Lie(decimal.Decimal):
                def __str__(self):
                    kept.append(self)
                    del kept[0]
                    kept.append(self)
                    return '1'
            def attack(x):
                kept[:] = [Lie(1)] * 100
                return kept
        """,
        result="DECIMAL(9,0)[]",
    ),
    Attack(
        "a list replaced by itself while it is encoded",
        returns([1, 2, 2]),
        """
            import decimal
            kept = []
            class Lie(decimal.Decimal):
                def __str__(self):
                    kept[:] = [decimal.Decimal(2)] * 3
                    return '1'
            def attack(x):
                kept[:] = [Lie(1)]
                return kept
        """,
        result="DECIMAL(9,0)[]",
    ),
    Attack(
        "a dict cleared by __eq__ while it is encoded",
        raises(""),
        """
            class Key:
                def __hash__(self): return hash('a')
                def __eq__(self, other):
                    kept.clear()
                    kept.update({i: i for i in range(1000)})
                    return False
            kept = {}
            def attack(x):
                kept.clear()
                kept[Key()] = 1
                kept['b'] = 2
                return kept
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a dict changed by __eq__ for ever",
        TIMEOUT,
        """
            class Key:
                def __hash__(self): return hash('a')
                def __eq__(self, other):
                    del kept[self]
                    kept[Key()] = 1
                    return False
            kept = {}
            def attack(x):
                kept.clear()
                kept[Key()] = 1
                while True: kept.get('a')
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a key that says it is another",
        returns({"a": 1, "b": None}),
        """
            class Key:
                def __hash__(self): return hash('a')
                def __eq__(self, other): return other == 'a'
            attack = lambda x: {Key(): 1}
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a key whose __eq__ fails",
        raises("ValueError: not equal"),
        """
            class Key:
                def __hash__(self): return hash('a')
                def __eq__(self, other): raise ValueError('not equal')
            attack = lambda x: {Key(): 1}
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a key whose __repr__ fails",
        raises("ValueError: no repr"),
        """
            class Key:
                def __repr__(self): raise ValueError('no repr')
            attack = lambda x: {Key(): 1}
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a key whose __repr__ is 10 MB",
        raises("with the key xxx"),
        """
            class Key:
                def __repr__(self): return 'x' * 10**7
            attack = lambda x: {Key(): 1}
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a key whose __hash__ fails later",
        returns({"a": 1, "b": 2}),
        """
            calls = []
            class Key(str):
                def __hash__(self):
                    calls.append(1)
                    if len(calls) > 1: raise ValueError
                    return hash('a')
            attack = lambda x: {Key('a'): 1, 'b': 2}
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a map cleared by its own values",
        returns({1: 1}),
        """
            import decimal
            kept = {}
            class Lie(decimal.Decimal):
                def __str__(self):
                    kept.clear()
                    return '1'
            def attack(x):
                kept[1] = Lie(1)
                return kept
        """,
        result="MAP(BIGINT, DECIMAL(9,0))",
    ),
    Attack(
        "a map with a key of None", raises("the key None"), "attack = lambda x: {None: 1}", result="MAP(BIGINT, BIGINT)"
    ),
    Attack(
        "a map with equal keys",
        raises("key"),
        """
            class K(int):
                __hash__ = lambda self: id(self)
                __eq__ = lambda self, other: False
            attack = lambda x: {K(1): 1, K(1): 2}
        """,
        result="MAP(BIGINT, BIGINT)",
        defect="DuckDB refuses such a map, with an error of its own",
    ),
    Attack(
        "a Decimal whose text isn't one",
        raises("can't hold"),
        """
            import decimal
            class Lie(decimal.Decimal):
                def __str__(self): return 'x' * 10**6
            attack = lambda x: Lie(1)
        """,
        result="DECIMAL(9,0)",
    ),
    Attack(
        "a Decimal whose text isn't text",
        raises("__str__ returned non-string"),
        """
            import decimal
            class Lie(decimal.Decimal):
                def __str__(self): return 5
            attack = lambda x: Lie(1)
        """,
        result="DECIMAL(9,0)",
    ),
    Attack(
        "a Decimal with an exponent beyond any",
        raises("can't hold"),
        """
            import decimal
            attack = lambda x: decimal.Decimal('1e999999')
        """,
        result="DECIMAL(9,0)",
    ),
    Attack(
        "a Decimal with a million digits",
        raises("can't hold"),
        """
            import decimal
            attack = lambda x: decimal.Decimal('9' * 10**6)
        """,
        result="DECIMAL(38,0)",
    ),
    Attack(
        "a Decimal that isn't a number",
        raises("can't hold"),
        """
            import decimal
            attack = lambda x: decimal.Decimal('sNaN123')
        """,
        result="DECIMAL(9,0)",
    ),
    Attack(
        "an int whose digits are too many for a DECIMAL",
        raises("digits"),
        "attack = lambda x: 10**5000",
        result="DECIMAL(38,0)",
    ),
    Attack(
        "a datetime whose time zone lies",
        raises("no fixed offset from UTC"),
        """
            import datetime
            class Lie(datetime.datetime):
                def utcoffset(self): return 5
            attack = lambda x: Lie(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
        """,
    ),
    Attack(
        "a datetime whose time zone is far away",
        raises("offset"),
        """
            import datetime
            class Lie(datetime.datetime):
                def utcoffset(self): return datetime.timedelta.max
            attack = lambda x: Lie(2020, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
        """,
    ),
    Attack(
        "a datetime whose time zone never answers",
        TIMEOUT,
        """
            import datetime
            class Lie(datetime.tzinfo):
                def utcoffset(self, when):
                    while True: pass
            attack = lambda x: datetime.datetime(2020, 1, 1, tzinfo=Lie())
        """,
    ),
    Attack(
        "the first and the last datetime",
        returns(dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)),
        """
            import datetime
            attack = lambda x: datetime.datetime.max if x == 1 else datetime.datetime.min
        """,
        rows=2,
    ),
    Attack(
        "a __class__ that lies",
        raises("returned Lie"),
        """
            class Lie:
                __class__ = str
            attack = lambda x: Lie()
        """,
    ),
    Attack(
        "an __instancecheck__ that lies",
        raises("returned Lie"),
        """
            import abc
            class Meta(abc.ABCMeta):
                def __instancecheck__(cls, other): return True
            class Lie(metaclass=Meta): pass
            attack = lambda x: Lie()
        """,
    ),
    Attack("a class whose name is 1 MB", raises("returned AAAA"), "attack = lambda x: type('A' * 10**6, (), {})()"),
    Attack(
        "a struct with a tuple too long",
        raises("tuple of 3"),
        "attack = lambda x: (1, 2, 3)",
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack(
        "a namedtuple that lies",
        returns({"a": 1, "b": 2}),
        """
            class Lie(tuple):
                def __len__(self): return 99
                def __getitem__(self, key): return 'x'
            attack = lambda x: Lie((1, 2))
        """,
        result="STRUCT(a BIGINT, b BIGINT)",
    ),
    Attack("a coroutine", raises("returned coroutine"), "async def attack(x): return 1"),
    Attack("a generator", raises("returned generator"), "def attack(x): yield 1"),
    Attack(
        "a description that lies about the parameters",
        raises("duplicate parameter name"),
        """
            import inspect
            def f(x): return x
            f.__signature__ = inspect.Signature([inspect.Parameter('y', inspect.Parameter.VAR_POSITIONAL)] * 2)
        """,
        Moment.LOAD,
    ),
    *[
        Attack(f"columns {name}", end, f"{_COLUMNS}\n{textwrap.dedent(code)}", moment=Moment.ITERATION)
        for name, end, code in (
            (
                "of different lengths, noticed afterwards",
                raises("differ in length"),
                "attack = lambda x: [forged(a=[1], b=[])]",
            ),
            ("that are no dict", raises("TypeError"), "attack = lambda x: [forged_as(7)]"),
            ("whose names are no text", returns([(1, 1)]), "attack = lambda x: [forged_as({1: [1, 2]})]"),
            (
                "whose names grow while they are read",
                raises("dictionary changed size"),
                """
                    class Growing(dict):
                        def __iter__(self):
                            for name in dict.__iter__(self):
                                self[name + "x"] = [1]
                                yield name
                    attack = lambda x: [forged_as(Growing(a=[1]))]
                """,
            ),
            (
                "that are there once",
                raises("KeyError"),
                """
                    class Once(dict):
                        def __getitem__(self, name):
                            return dict.pop(self, name)
                        def __iter__(self):
                            return iter(["a", "a"])
                    attack = lambda x: [forged_as(Once(a=[1]))]
                """,
            ),
            (
                "whose length is a lie",
                returns({"a": 1}),
                """
                    class Long(list):
                        def __len__(self):
                            return 10**9
                    attack = lambda x: [forged(a=Long([1]))]
                """,
            ),
            (
                "of a buffer that is written to afterwards",
                returns({"a": 1}),
                """
                    import array
                    def attack(x):
                        numbers = array.array("q", [1] * 3000)
                        yield Columns(a=numbers)
                        numbers[0] = 2
                """,
            ),
            (
                "of a buffer that is let go while it is read",
                raises("BufferError"),
                """
                    import array
                    numbers = array.array("q", [1] * 3000)
                    class Popping:
                        def __iter__(self):
                            numbers.pop()
                            return iter([1] * 3000)
                    attack = lambda x: [forged(a=numbers, b=Popping())]
                """,
            ),
        )
    ],
]
