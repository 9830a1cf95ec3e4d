"""Values at which operations tend to go wrong, by the type that the compiler gives them."""

import decimal
import math

import pyarrow as pa

INTS = [
    0,
    1,
    -1,
    2,
    3,
    -2,
    -7,
    7,
    10,
    63,
    64,
    65,
    255,
    1000,
    -1000,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32,
    2**53,
    2**53 + 1,
]
INTS += [-(2**53) - 1, 2**62, -(2**62), 2**63 - 1, -(2**63), 2**63 - 2, 3037000500, -3037000500, 999999999999]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 0.1, 1 / 3, 1e-320, 5e-324, 1e16, 2.0**53, 2.0**63, -(2.0**63)]
FLOATS += [9.3e18, 1e22, 1e300, -1e300, math.inf, -math.inf, math.nan, 123.456, 2.675, 1e-5, -7.25]
TEXTS = ["", "a", "A", "ß", "é", "abc", "Hello World", "  pad\t", "12", "-3", " 42 ", "1_000", "3.14", "1e5", "nan"]
TEXTS += [
    "x@y.com",
    "a@b@c",
    "ÄÖÜ straße",
    "日本語",
    "\u00a0x\u2003",
    "DE",
    "FR",
    "a,b,c",
    ",",
    "0",
    "007",
    "+5",
    "aaa",
]
TEXTS += [
    "ababab",
    "İ",
    "ﬁ",
    "x\x1cy",
    "\x1c5",
    "line\nbreak\r\n",
    "The quick brown fox jumps",
    "€20",
    "😀x",
    "--",
    "'q'",
]
TEXTS += ["they're bill's", "ABC-123", "12345678", "123456789012345678901234", "2024-02-29", "2023-02-29", "a\u2028b"]
TEXTS += ["a\tb\n\tc", "0x1F", "0b101", "ff", "zZ", "-0o17", "\t", "2024-02-29 12:30:45", "2024-02-29T23:59:60"]
TEXTS += ["20240229", "29 feb 2024", "1.2.69", "01.02.68", "Title Case", "aXbXc\r\n"]
DAYS = [-719163, 2932897, 0, 1, -1, 59, 60, 365, 18262, 18321, -719162, 2932896, 11016, 20000, -25567]
MICROS = [
    -62135596800000001,
    253402300800000000,
    0,
    1,
    -1,
    86399999999,
    86400000000,
    -86400000001,
    1577836800000000,
    1700000000123456,
]
MICROS += [-62135596800000000, 253402300799999999]

DECIMALS = ["0", "1", "-1", "0.001", "-0.001", "0.005", "0.015", "0.025", "2.5", "-2.5", "3.335", "10", "99.995"]
DECIMALS += ["999999999999999.999", "-999999999999999.999", "123456789.123", "1000000", "7.77", "-0.5", "33.333"]
DECIMALS = [decimal.Decimal(text).quantize(decimal.Decimal("0.001")) for text in DECIMALS]

# By the letter that tables of operations use: the Arrow type, and values.
ARROW = {
    "i": (pa.int64(), [*INTS, 9007199254740991, -9007199254740993, 2**63 - 1024, -(2**63) + 1]),
    "f": (pa.float64(), [*FLOATS, 9007199254740993.0, 9.223372036854775e18, 0.49999999999999994, 4503599627370497.5]),
    "s": (pa.string(), TEXTS),
    "b": (pa.bool_(), [True, False]),
    "d": (pa.date32(), DAYS),
    "t": (pa.timestamp("us"), MICROS),
    "m": (pa.decimal128(18, 3), DECIMALS),
}
_ROW = pa.struct([("b", pa.string()), ("a", pa.int64())])
_ROWS = [{"b": "x", "a": 3}, {"b": "ß", "a": None}, {"b": None, "a": -(2**63)}, {"b": "", "a": 0}]
# Those that nest: a NULL inside a list is left to the interpreter.
ARROW |= {
    "I": (pa.list_(pa.int64()), [[], [3, 1, 2], [-7], [2**63 - 1, 1], [5, None, 5], list(range(40))]),
    "S": (pa.list_(pa.string()), [[], ["a", "b", "a"], ["", "ß", "x" * 40], ["a", None], ["日本"]]),
    "R": (_ROW, _ROWS),
    "L": (pa.list_(_ROW), [[], _ROWS[:1], [_ROWS[0], _ROWS[3]], _ROWS, [None]]),
    "M": (pa.map_(pa.string(), pa.int64()), [[], [("a", 1), ("b", 2)], [("z", -5)], [("a", None)]]),
}
RESULTS = {
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "DECIMAL": pa.decimal128(18, 3),
    "WIDE": pa.decimal128(38, 12),
    "INTS": pa.list_(pa.int64()),
    "FLOATS": pa.list_(pa.float64()),
    "STRS": pa.list_(pa.string()),
    "COUNTS": pa.map_(pa.string(), pa.int64()),
    "ROW": pa.struct([("a", pa.int64()), ("b", pa.string())]),
    "ROWS": pa.list_(pa.struct([("a", pa.int64()), ("b", pa.string())])),
    None: None,
}
_STORED_AS = {pa.date32(): pa.int32(), pa.timestamp("us"): pa.int64()}


def column(data_type, values):
    """An Arrow column; dates and timestamps are days and microseconds."""
    stored = _STORED_AS.get(data_type)
    return pa.array(values, data_type) if stored is None else pa.array(values, stored).cast(data_type)


def plain(array):
    """The values of a column so that they can be compared: all floats by their digits, dates as numbers."""
    stored = _STORED_AS.get(array.type)
    return [repr(value) for value in (array if stored is None else array.cast(stored)).to_pylist()]
