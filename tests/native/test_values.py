"""Values of every type that goes through C, against SQL, in batches that C runs alone."""

import pytest

from duckdb_wasi_udf._native.kinds import _KINDS
from tests.native.both import Path, both, outcome

# Expressions over i, for rows of every type; the last row numbers of vectors are in each table.
EXPRESSIONS = {
    "BOOLEAN": "i % 3 = 0",
    "TINYINT": "CASE i % 3 WHEN 0 THEN -128 WHEN 1 THEN 127 ELSE i % 100 END",
    "SMALLINT": "CASE i % 3 WHEN 0 THEN -32768 WHEN 1 THEN 32767 ELSE i END",
    "INTEGER": "CASE i % 3 WHEN 0 THEN -2147483648 WHEN 1 THEN 2147483647 ELSE i END",
    "BIGINT": "CASE i % 3 WHEN 0 THEN -9223372036854775808 WHEN 1 THEN 9223372036854775807 ELSE i END",
    "UTINYINT": "CASE i % 2 WHEN 0 THEN 255 ELSE i % 200 END",
    "USMALLINT": "CASE i % 2 WHEN 0 THEN 65535 ELSE i END",
    "UINTEGER": "CASE i % 2 WHEN 0 THEN 4294967295 ELSE i END",
    "UBIGINT": "CASE i % 2 WHEN 0 THEN 18446744073709551615 ELSE i END",
    "FLOAT": "CASE i % 4 WHEN 0 THEN 'inf' WHEN 1 THEN '-0.0' WHEN 2 THEN '3.4028235e38' ELSE (i / 7)::VARCHAR END",
    "DOUBLE": "CASE i % 4 WHEN 0 THEN '-inf' WHEN 1 THEN '1e308' WHEN 2 THEN '5e-324' ELSE (i / 7)::VARCHAR END",
    "TIMESTAMP": "CASE i % 3 WHEN 0 THEN '0001-01-01' WHEN 1 THEN '9999-12-31 23:59:59.999999' ELSE '1969-12-31' END",
    "DATE": "CASE i % 3 WHEN 0 THEN '0001-01-01' WHEN 1 THEN '9999-12-31' ELSE '1969-12-31' END",
    "TIME": "CASE i % 2 WHEN 0 THEN '00:00:00' ELSE '23:59:59.999999' END",
    "VARCHAR": "CASE i % 5 WHEN 0 THEN '' WHEN 1 THEN repeat('ä', 6) WHEN 2 THEN repeat('x', 13) WHEN 3 THEN '😀' || i "
    "ELSE repeat('long ', i % 50) END",
    "BLOB": r"CASE i % 4 WHEN 0 THEN '' WHEN 1 THEN '\x00\xFF' WHEN 2 THEN repeat('\x80', 13) ELSE 'abc' || i END",
    "TIMESTAMP WITH TIME ZONE": "CASE i % 2 WHEN 0 THEN '2024-03-31 02:30:00+02' "
    "ELSE '1969-12-31 23:59:59.999999+00' END",
    "TIMESTAMP_S": "CASE i % 2 WHEN 0 THEN '1969-12-31 23:59:59' ELSE '2024-02-29 01:02:03' END",
    "TIMESTAMP_MS": "CASE i % 2 WHEN 0 THEN '1969-12-31 23:59:59.999' ELSE '2024-02-29 01:02:03' END",
    "TIMESTAMP_NS": "CASE i % 2 WHEN 0 THEN '1969-12-31 23:59:59.999999' ELSE '2024-02-29 01:02:03' END",
    "DECIMAL(4,1)": "CASE i % 3 WHEN 0 THEN -999.9 WHEN 1 THEN 999.9 ELSE 0.1 END",
    "DECIMAL(9,2)": "CASE i % 3 WHEN 0 THEN -9999999.99 WHEN 1 THEN 9999999.99 ELSE 0.01 END",
    "DECIMAL(18,3)": "CASE i % 3 WHEN 0 THEN -999999999999999.999 WHEN 1 THEN 999999999999999.999 ELSE 0.001 END",
}
ARGUMENTS_ONLY = {"TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}
NULLS = {"no NULLs": "i", "some NULLs": "CASE WHEN i % 3 = 1 THEN i END", "all NULL": "NULL::BIGINT"}


def test_every_type_is_tested():
    named = {name.partition("(")[0] for name in EXPRESSIONS}
    assert named == set(_KINDS) - {"JSON"} | {"DECIMAL"}  # a JSON goes through Python


@pytest.fixture(scope="module")
def path():
    made = Path(native=True)
    made.con.execute("SET TimeZone = 'Europe/Berlin'; SET threads = 1")
    yield made
    made.close()


@pytest.mark.parametrize("sql_type", EXPRESSIONS)
def test_values_come_back_as_they_went_in(path, sql_type):
    returned = "BIGINT" if sql_type in ARGUMENTS_ONLY else sql_type
    source = "lambda x: x" if returned == sql_type else "import datetime\nlambda x: x.microsecond"
    name = f"same_{sum(map(ord, sql_type))}"
    path.create(name, source, [sql_type], returned)
    column = f"({EXPRESSIONS[sql_type]})::{sql_type}"
    expected = column if returned == sql_type else f"(microsecond({column}) % 1000000)"
    path.run(f"SELECT count({name}({column})) FROM range(25000) r(i)")  # until it is compiled, or not
    before = path.usage(name).native_rows
    for rows in (0, 1, 2047, 2048, 2049, 5000):
        for nulls in NULLS.values():
            table = f"(SELECT {nulls} AS i FROM range({rows}) r(i))"
            kept = f"CASE WHEN i IS NOT NULL THEN {column} END"
            wanted = f"CASE WHEN i IS NOT NULL THEN {expected} END"
            differ = f"{name}({kept}) IS DISTINCT FROM ({wanted})::{returned}"
            assert path.run(f"SELECT count(*) FILTER ({differ}), count(*) FROM {table}") == [(0, rows)], (rows, nulls)
    assert path.usage(name).native_rows - before > 10_000


def test_texts_of_each_length_end_a_batch(path):
    """Copies have fixed sizes where they can, which depends on what follows."""
    path.create("same_text", "lambda s: s", ["VARCHAR"], "VARCHAR")
    path.run("SELECT count(same_text(i::VARCHAR)) FROM range(25000) r(i)")
    path.con.execute(
        "CREATE TABLE texts AS SELECT CASE WHEN i % 5 > 0 THEN left(repeat(chr((97 + i % 26)::INTEGER), 70) || 'é', "
        "(i % 72)::INTEGER) END AS s FROM range(3000) r(i)"
    )
    before = path.usage("same_text").native_rows
    for first in (700, *range(75), 700):  # the first time Python makes room for longer texts
        rows = f"(SELECT s FROM texts LIMIT {1 + first % 4} OFFSET {first})" if first < 75 else "texts"
        assert path.run(f"SELECT count(*) FROM {rows} WHERE same_text(s) IS DISTINCT FROM s") == [(0,)], first
    assert path.usage("same_text").native_rows - before > 3000


def test_several_arguments_and_unicode():
    def expected(number, text, flag):
        return f"{number}:{text}:{flag}"

    with both() as paths:
        results = []
        for path in paths:
            path.create("f", "def f(n: int | None, s: str | None, b: bool | None) -> str:\n    return f'{n}:{s}:{b}'")
            path.con.execute(
                "CREATE TABLE t AS SELECT CASE WHEN i % 7 > 0 THEN i END AS n, "
                "CASE WHEN i % 5 > 0 THEN 'ß€😀' || i END AS s, "
                "CASE WHEN i % 3 > 0 THEN i % 2 = 0 END AS b FROM range(30000) r(i)"
            )
            results.append(path.run("SELECT n, s, b, f(n, s, b) FROM t ORDER BY rowid"))
        assert results[0] == results[1]
        assert all(result == expected(*row) for *row, result in results[0])
        assert paths[0].usage("f").native_rows > 0
        assert paths[1].usage("f").native_rows == 0


def test_constants_and_dictionaries():
    with both() as paths:
        outcomes = []
        for path in paths:
            path.create("f", "lambda x, s: f'{s}{x}'", ["INTEGER", "VARCHAR"], "VARCHAR")
            path.con.execute("CREATE TABLE t AS SELECT i, 'k' || (i % 3) AS k FROM range(9000) r(i)")
            outcomes.append(
                path.run("SELECT f(1, 'a'), f(NULL, 'a')")
                + path.run("SELECT f(i::INTEGER, 'const'), f(7, k) FROM t ORDER BY i")
                + path.run("SELECT f(max(i)::INTEGER, k) FROM t GROUP BY k ORDER BY k")
            )
        assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    ("return_type", "value"),
    [
        ("TINYINT", "128"),
        ("USMALLINT", "-1"),
        ("UBIGINT", "2**64"),
        ("BIGINT", "2**63"),
        ("FLOAT", "1e300"),
        ("FLOAT", "float('nan')"),
        ("DECIMAL(4,1)", "1000"),
        ("DATE", "'no date'"),
        ("VARCHAR", "'\\ud800'"),
        ("VARCHAR", "'a\\0b'"),
        ("VARCHAR", "b'bytes'"),
        ("BLOB", "'text'"),
        ("BOOLEAN", "2"),
        ("TIME", "__import__('datetime').time(1, 2, 3, 4)"),
    ],
)
def test_results_that_may_not_fit_end_alike(return_type, value):
    with both() as paths:
        outcomes = []
        for path in paths:
            path.create("f", f"lambda x: {value} if x == 5000 else None", ["BIGINT"], return_type)
            path.run("SELECT count(f(i)) FROM range(4000) r(i)")
            outcomes.append(outcome(path, "SELECT f(i) FROM range(6000) r(i) WHERE i > 4990"))
            assert path.run("SELECT f(1)") == [(None,)]
        if isinstance(outcomes[0], list):
            assert repr(outcomes[0]) == repr(outcomes[1])
        else:
            assert outcomes[0] == outcomes[1]
