"""The table of docs/reference/types.md, made from what functions really get and may return.

Usage: python -m tests.support.type_table, which writes it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

import duckdb_wasi_udf as wasi_udf

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "types.md"
MARKS = ("<!-- types: written by python -m tests.support.type_table -->\n", "<!-- end of types -->\n")
HEAD = (
    "| SQL type | Arrow type (with `arrow_lossless_conversion`) | arrives as | may be returned | limits |\n"
    "| --- | --- | --- | --- | --- |\n"
)

# Python types that results are tried with: an expression for each, unless the SQL type asks for a special value.
RETURNED = {
    "bool": "True",
    "int": "1",
    "float": "1.5",
    "Decimal": "decimal.Decimal('1.5')",
    "str": "'text'",
    "bytes": "b'bytes'",
    "bytearray": "bytearray(b'bytes')",
    "memoryview": "memoryview(b'bytes')",
    "date": "datetime.date(2020, 1, 2)",
    "time": "datetime.time(1, 2)",
    "time with tzinfo": "datetime.time(1, 2, tzinfo=datetime.UTC)",
    "datetime": "datetime.datetime(2020, 1, 2)",
    "datetime with tzinfo": "datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)",
    "timedelta": "datetime.timedelta(days=1)",
    "Interval": "duckdb_wasi_udf.Interval(months=1)",
    "UUID": "uuid.UUID(int=5)",
    "list": "[1]",
    "tuple": "(1,)",
    "dict": "{'a': 1}",
    "NamedTuple": "collections.namedtuple('Point', 'a')(1)",
    "dataclass": "dataclasses.make_dataclass('Point', [('a', int)])(1)",
}
IMPORTS = "import collections, dataclasses, datetime, decimal, uuid\nimport duckdb_wasi_udf\n"
SPECIAL_POINT = "bytes.fromhex('0101000000000000000000f03f0000000000000040')"


@dataclass(frozen=True)
class Entry:
    """One row: SQL types that behave alike, a literal of the first, and what can't be measured."""

    types: str
    literal: str
    limits: str
    text: str = "'text'"
    data: str = "b'bytes'"

    @property
    def sql_type(self):
        return re.split(r", (?![^(]*\))", self.types)[0]


DATES = "years 1 to 9999; others, such as `infinity`, are an error"
ENTRIES = [
    Entry("BOOLEAN", "true", "none"),
    Entry("TINYINT, SMALLINT, INTEGER, UTINYINT, USMALLINT, UINTEGER", "1", "those of the type"),
    Entry("BIGINT", "1", "-2^63 to 2^63-1"),
    Entry("UBIGINT", "1", "0 to 2^64-1"),
    Entry("HUGEINT", "1", "-2^127 to 2^127-1"),
    Entry("UHUGEINT", "1", "0 to 2^128-1; see below for arguments of undeclared type"),
    Entry("BIGNUM", "1", "2^23 bytes"),
    Entry("FLOAT", "1.5", "a result is rounded to 32 bits; one beyond 3.4e38 is an error"),
    Entry("DOUBLE", "1.5", "none: nan, inf and -0.0 survive"),
    Entry("DECIMAL(18,3)", "1.5", "exact; a result is rounded to the scale as DuckDB rounds, half away from zero"),
    Entry("VARCHAR", "'text'", "2 GiB a batch; no lone surrogates"),
    Entry("BLOB", "'bytes'::BLOB", "2 GiB a batch"),
    Entry("BIT", "'101'", "digits 0 and 1, at least one", text="'101'"),
    Entry("DATE", "'2020-01-02'", DATES),
    Entry("TIME", "'01:02:03'", "24:00:00 is an error"),
    Entry("TIME_NS", "'01:02:03'", "24:00:00, and an argument with nanoseconds, are errors"),
    Entry(
        "TIME WITH TIME ZONE",
        "'01:02:03+02'",
        "an argument needs `arrow_lossless_conversion`; offsets of whole seconds up to 15:59:59",
    ),
    Entry("TIMESTAMP", "'2020-01-02'", DATES),
    Entry("TIMESTAMP_S, TIMESTAMP_MS", "'2020-01-02'", f"{DATES}; DuckDB rounds a result"),
    Entry(
        "TIMESTAMP_NS",
        "'2020-01-02'",
        f"{DATES}; so is an argument with nanoseconds, never a rounded one, and a result outside 1677 to 2262",
    ),
    Entry("TIMESTAMP WITH TIME ZONE", "'2020-01-02 00:00:00+00'", f"the instant, in UTC; {DATES}"),
    Entry("INTERVAL", "INTERVAL 1 MONTH", "999999999 days, and 292 years of microseconds"),
    Entry("UUID", "'00000000-0000-0000-0000-000000000005'", "none", text="str(uuid.UUID(int=5))"),
    Entry("ENUM('a', 'b')", "'a'", "a result must be one of its values", text="'a'"),
    Entry(
        "JSON",
        "'[1]'",
        "text, or parsed where the annotation says so; a `str` returned is JSON text, and checked",
        text="'[1]'",
    ),
    Entry("INTEGER[]", "[1]", "32 levels"),
    Entry("INTEGER[1]", "[1]", "32 levels; a result has the length of the type"),
    Entry("STRUCT(a INTEGER)", "{'a': 1}", "32 levels; a missing key is NULL, an unknown one an error"),
    Entry(
        "MAP(VARCHAR, INTEGER)",
        "MAP {'a': 1}",
        "32 levels; keys that a dict can't have arrive as `{'key': [...], 'value': [...]}`",
    ),
    Entry(
        "UNION(i INTEGER, s VARCHAR)",
        "1",
        "the value of its member; a result goes to the first member made for its type that holds it",
    ),
    Entry("VARIANT", "1", "what DuckDB can export: no integers beyond BIGINT, BIT, INTERVAL, TIMETZ"),
    Entry("GEOMETRY", "'POINT(1 2)'", "WKB", data=SPECIAL_POINT),
    Entry('"NULL"', "NULL", "as the type of a literal NULL"),
]


def arrow_name(data_type):
    if isinstance(data_type, pa.OpaqueType):
        return f"arrow.opaque({data_type.type_name})"
    if isinstance(data_type, pa.BaseExtensionType):
        return data_type.extension_name
    if pa.types.is_timestamp(data_type) and data_type.tz:
        return f"timestamp[{data_type.unit}, tz]"
    if data_type.num_fields == 2 and data_type[0].name == "metadata":
        return "struct(metadata, value)"
    return str(data_type).partition("<")[0]


def arrow_types(con, sql_type, literal):
    names = []
    for lossless in (False, True):
        con.execute(f"SET arrow_lossless_conversion = {lossless}")
        names.append(arrow_name(con.sql(f"SELECT ({literal})::{sql_type} AS x").to_arrow_table().schema.field(0).type))
    return f"`{names[0]}`" if names[0] == names[1] else f"`{names[0]}` (`{names[1]}`)"


def arrives_as(con, sandbox, sql_type, literal):
    kind = """
        def kind(x: object) -> str:
            name = type(x).__name__
            return name + " with tzinfo" if getattr(x, "tzinfo", None) else name
    """
    sandbox.create_function(con, "kind", kind, [sql_type], "VARCHAR")
    try:
        return f"`{con.execute(f'SELECT kind(({literal})::{sql_type})').fetchall()[0][0]}`"
    finally:
        con.remove_function("kind")


def may_be_returned(con, sandbox, entry):
    accepted = []
    expressions = RETURNED | {"str": entry.text, "bytes": entry.data}
    values = ", ".join(f"lambda: {expression}" for expression in expressions.values())
    code = f"{IMPORTS}VALUES = [{values}]\nlambda k: VALUES[k]()"
    sandbox.create_function(con, "returned", code, ["BIGINT"], entry.sql_type)
    for k, name in enumerate(expressions):
        try:
            con.execute(f"SELECT returned({k} + 0 * i) FROM range(2) r(i)").fetchall()
            accepted.append(f"`{name}`")
        except (duckdb.InvalidInputException, duckdb.ConversionException):
            pass
    con.remove_function("returned")
    return ", ".join(accepted) if len(accepted) < len(RETURNED) else "any of these"


def rows():
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    with wasi_udf.Sandbox() as sandbox:
        for entry in ENTRIES:
            arrow = arrow_types(con, entry.sql_type, entry.literal)
            arrives = arrives_as(con, sandbox, entry.sql_type, entry.literal) if entry.literal != "NULL" else "`None`"
            returned = may_be_returned(con, sandbox, entry) if entry.literal != "NULL" else "`None`, as for any type"
            yield f"| {entry.types} | {arrow} | {arrives} | {returned} | {entry.limits} |\n"


def table():
    return HEAD + "".join(rows())


if __name__ == "__main__":
    before, _, rest = DOCUMENT.read_text().partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    DOCUMENT.write_text(before + MARKS[0] + table() + MARKS[1] + after)
