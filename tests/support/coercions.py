"""Every Python value with every declared SQL type: what DuckDB's own functions return, and what ours do."""

import duckdb

import duckdb_wasi_udf as wasi_udf

IMPORTS = "import array, collections, datetime, decimal, uuid\nfrom decimal import Decimal\n"

# Python expressions, evaluated on the host for DuckDB's own functions and in the guest for ours.
VALUES = [
    *("True", "1", "0", "2", "-129", "300", "2**53+1", "2**63", "2**127", "2**128"),
    *("1.0", "1.5", "2.5", "-0.0", "0.1", "1e16", "1e-07", "1/3", "float('nan')", "float('inf')", "1e300"),
    *("Decimal('1')", "Decimal('1.50')", "Decimal('1.23456')", "Decimal('1E+3')", "Decimal('NaN')"),
    *("'42'", "' 42 '", "'4.7'", "'4.0'", "'1e3'", "'-7'", "'300'", "'duckdb'", "''", "'true'", "'t'", "'no'", "'a'"),
    *("'inf'", "'nan'", "'0.125'", "'ü'", r"'\\x00'"),
    *("'2020-01-02'", "'2020-01-02 03:04:05'", "'2020-01-02 03:04:05+02'", "'03:04:05'", "'03:04:05.5+02'"),
    *("'1 month'", "'2 days 03:04:05'", "'[1, 2]'", """'{"a": 1}'""", "'101'", "str(uuid.UUID(int=5))"),
    *("b'ab'", "bytearray(b'ab')", "memoryview(b'ab')", "memoryview(b'abcd')[::2]", "array.array('b', b'ab')"),
    *("datetime.date(2020, 1, 2)", "datetime.time(1, 2, 3)", "datetime.time(1, 2, 3, 500000)"),
    *("datetime.time(1, 2, 3, tzinfo=datetime.UTC)", "datetime.datetime(2020, 1, 2)"),
    *("datetime.datetime(2020, 1, 2, 3, 4, 5)", "datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)"),
    *("datetime.timedelta(days=1, seconds=2)", "uuid.UUID(int=5)"),
    *("[1]", "['1']", "[1, 2]", "[]", "(1,)", "{'a': 1}", "{1: 2}", "{'a': 1, 'b': 2}", "{}"),
    *("{'key': [1], 'value': [2]}", "{1}", "range(1)", "collections.namedtuple('P', 'a')(1)", "1j", "object()"),
]
TYPES = [
    *("BOOLEAN", "TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT"),
    *("HUGEINT", "UHUGEINT", "BIGNUM", "FLOAT", "DOUBLE", "DECIMAL(5,2)", "DECIMAL(38,0)", "VARCHAR", "BLOB", "BIT"),
    *("DATE", "TIME", "TIMETZ", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ"),
    *("INTERVAL", "UUID", "ENUM('a', 'b')", "JSON", "INTEGER[]", "INTEGER[1]", "STRUCT(a INTEGER)"),
    *("MAP(VARCHAR, INTEGER)", "MAP(INTEGER, INTEGER)", "UNION(i INTEGER, s VARCHAR)"),
]
ERROR = "an error"


def connection():
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    return con


def returned_by_duckdb(con, sql_type):
    """What each value becomes, as text, when DuckDB's own function returns it: ERROR if it is refused."""
    namespace = {}
    exec(IMPORTS, namespace)
    values = [eval(value, namespace) for value in VALUES]
    con.create_function("own", lambda i: values[i], ["BIGINT"], sql_type)
    try:
        return [_own(con, number) for number in range(len(values))]
    finally:
        con.remove_function("own")


def _own(con, number):
    try:
        return con.execute(f"SELECT own({number})::VARCHAR").fetchall()[0][0]
    except (duckdb.Error, RuntimeError, TypeError, UnicodeDecodeError):
        return ERROR


def returned_by_ours(con, sandbox, sql_type):
    code = f"{IMPORTS}VALUES = [{', '.join(f'lambda: {value}' for value in VALUES)}]\nlambda i: VALUES[i]()"
    sandbox.create_function(con, "ours", code, ["BIGINT"], sql_type, exception_handling="return_null")
    try:
        query = f"SELECT coalesce(ours(i)::VARCHAR, $1) FROM range({len(VALUES)}) r(i) ORDER BY i"
        return [text for (text,) in con.execute(query, [ERROR]).fetchall()]
    finally:
        con.remove_function("ours")


def differences():
    """(SQL type, value): (what DuckDB's own gives, what ours gives), where they aren't the same."""
    con = connection()
    found = {}
    with wasi_udf.Sandbox() as sandbox:
        for sql_type in TYPES:
            pairs = zip(returned_by_duckdb(con, sql_type), returned_by_ours(con, sandbox, sql_type), strict=True)
            found |= {(sql_type, value): pair for value, pair in zip(VALUES, pairs, strict=True) if pair[0] != pair[1]}
    return found


if __name__ == "__main__":
    for key, pair in differences().items():
        print(*key, "|", *pair, sep="  ")
