import gc
import threading
import time
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import Cancelled, ClosedError, GuestError, LimitExceeded, SignatureError
from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._functions.shipping import ship
from duckdb_wasi_udf._functions.table import TableScan, define_table
from duckdb_wasi_udf._sql.types import sql_type_of
from tests.support.overloads import check_gone, overloads

NATURALS = "import itertools\ndef naturals() -> Iterator[int]:\n    return itertools.count()"
COLUMNS = "from duckdb_wasi_udf import Columns\ndef f() -> Iterator[int]:"
UP_TO = "def up_to(n: int) -> Iterator[int]:\n    yield from range(n)"


IMPORTS = "from datetime import *\nfrom decimal import Decimal\nfrom uuid import UUID"
# A SQL type, a value of it in Python, and the same in SQL.
VALUES = [
    ("TINYINT", "5", "5::TINYINT"),
    ("UBIGINT", "2**64 - 1", "18446744073709551615::UBIGINT"),
    ("HUGEINT", "-2**100", "-1267650600228229401496703205376::HUGEINT"),
    ("UHUGEINT", "2**127 + 1", "170141183460469231731687303715884105729::UHUGEINT"),
    ("BIGNUM", "10**50", "('1' || repeat('0', 50))::BIGNUM"),
    ("FLOAT", "1.5", "1.5::FLOAT"),
    ("DECIMAL(5,2)", "Decimal('1.255')", "1.255::DECIMAL(5,2)"),
    ("BLOB", "b'a'", "'a'::BLOB"),
    ("BIT", "'0101'", "'0101'::BIT"),
    ("TIMETZ", "time(1, 2, 3, tzinfo=timezone.utc)", "'01:02:03+00'::TIMETZ"),
    ("TIMESTAMP_NS", "datetime(2020, 1, 2)", "'2020-01-02'::TIMESTAMP_NS"),
    ("TIMESTAMPTZ", "datetime(2020, 1, 2, tzinfo=timezone.utc)", "'2020-01-02 00:00:00+00'::TIMESTAMPTZ"),
    ("INTERVAL", "timedelta(days=3)", "INTERVAL 3 DAYS"),
    ("UUID", "UUID(int=5)", "'00000000-0000-0000-0000-000000000005'::UUID"),
    ("ENUM('a', 'b')", "'b'", "'b'::ENUM('a', 'b')"),
    ("JSON", "{'a': 1}", "'{\"a\": 1}'::JSON"),
    ("INTEGER[2]", "[1, None]", "[1, NULL]::INTEGER[2]"),
    ("MAP(VARCHAR, INTEGER)", "{'k': 3}", "MAP {'k': 3}"),
    ("UNION(i INTEGER, s VARCHAR)", "'s'", "'s'::UNION(i INTEGER, s VARCHAR)"),
]


class Pair(NamedTuple):
    i: int
    s: str


@dataclass
class Item:
    i: int
    s: str | None


class Entry(TypedDict):
    i: int
    s: str


@pytest.fixture
def query(con, sandbox):
    def run(text, *parameters):
        return con.execute(text, parameters).fetchall()

    return run


@pytest.fixture
def counted(con, sandbox):
    """All of the sandbox's instances are idle, and few, when the test is over."""
    yield sandbox
    gc.collect()
    assert len(sandbox._domain.instances._idle) == len(sandbox._domain.instances)


# ---- rows ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2047, 2048, 2049, 4096, 10_000])
def test_rows_are_those_of_the_generator(con, counted, n):
    counted.create_table_function(con, "up_to", UP_TO)
    assert con.execute("FROM up_to($1)", [n]).fetchall() == con.execute("FROM range($1)", [n]).fetchall()
    assert len(con.execute("FROM py_table($1, args := {'n': $2})", [UP_TO, n]).fetchall()) == n


def of_tuples(n: int) -> "Iterator[tuple[int, str]]":  # noqa: F821 - known in the sandbox
    for i in range(n):
        yield i, "x" * i


def of_named_tuples(n: int) -> list[Pair]:
    return [Pair(i, "x" * i) for i in range(n)]


def of_dataclasses(n: int) -> "Generator[Item, None, None]":  # noqa: F821
    for i in range(n):
        yield Item(i, "x" * i)


def of_dicts(n: int) -> "Iterable[Entry]":  # noqa: F821
    return ({"s": "x" * i, "i": i} for i in range(n))


@pytest.mark.parametrize("function", [of_tuples, of_named_tuples, of_dataclasses, of_dicts])
def test_the_annotation_gives_the_columns(con, counted, function):
    counted.create_table_function(con, "rows", function)
    names = ("col0", "col1") if function is of_tuples else ("i", "s")
    expected = con.execute("SELECT range, repeat('x', range) FROM range(3)").fetchall()
    for query in ("FROM rows(3)", "FROM rows(n := 3)"):
        result = con.execute(query)
        assert [(name, str(kind)) for name, kind, *_ in result.description] == [
            (names[0], "BIGINT"),
            (names[1], "VARCHAR"),
        ]
        assert result.fetchall() == expected
    assert con.execute("FROM rows(0)").fetchall() == []


@pytest.mark.parametrize(
    ("body", "columns"),
    [
        ("yield 1; yield None", [("py_table", "BIGINT", [1, None])]),
        ("yield 1, 'a'; yield None, None", [("col0", "BIGINT", [1, None]), ("col1", "VARCHAR", ["a", None])]),
        ("yield {'a': 1}; yield {'b': 2.5}", [("a", "BIGINT", [1, None]), ("b", "DOUBLE", [None, 2.5])]),
        ("yield {'a': [1]}; yield None", [("a", "BIGINT[]", [[1], None])]),
    ],
)
def test_without_annotation_the_first_rows_give_the_columns(con, counted, body, columns):
    for code in (f"def f(): {body}", f"def f() -> Iterator: {body}", f"def f() -> 'Iterator[dict]': {body}"):
        rows = con.execute("FROM py_table($1)", [code]).fetchall()
        described = con.execute("DESCRIBE FROM py_table($1)", [code]).fetchall()
        assert [row[:2] for row in described] == [(name, kind) for name, kind, _ in columns]
        assert rows == list(zip(*[values for *_, values in columns], strict=True))


@pytest.mark.parametrize(
    "schema",
    ["{'a': 'TINYINT', 'b c': 'ENUM(''x'', ''y'')'}", "'STRUCT(a TINYINT, \"b c\" ENUM(''x'', ''y''))'"],
)
def test_a_declared_schema_comes_before_the_annotation(con, counted, schema):
    code = "def f() -> Iterator[int]:\n    yield 1, 'x'\n    yield {'b c': 'y'}\n    yield None"
    result = con.execute(f'SELECT typeof(a), typeof("b c"), a, "b c" FROM py_table($1, schema := {schema})', [code])
    types = ("TINYINT", "ENUM('x', 'y')")
    assert result.fetchall() == [(*types, 1, "x"), (*types, None, "y"), (*types, None, None)]


@pytest.mark.parametrize(
    "schema", [{"day": "DATE"}, "STRUCT(day DATE)", duckdb.sqltypes.DuckDBPyType("STRUCT(day DATE)")]
)
def test_a_schema_is_given_as_python_has_types(con, counted, schema):
    counted.create_table_function(con, "days", "import datetime\nlambda: [(datetime.date(2026, 1, 2),)]", schema)
    assert con.execute("SELECT day = DATE '2026-01-02' FROM days()").fetchall() == [(True,)]


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize(("sql_type", "value", "literal"), VALUES, ids=[sql_type for sql_type, *_ in VALUES])
def test_a_column_of_any_type_has_the_value_of_the_same_literal(con, sandbox, sql_type, value, literal, lossless):
    con.execute(f"SET arrow_lossless_conversion = {lossless}")
    code = f"{IMPORTS}\ndef f():\n    yield ({value},)\n    yield (None,)"
    query = "SELECT typeof(x), x IS NOT DISTINCT FROM {0}, x IS NULL FROM py_table($1, schema := {{'x': $2}})"
    ((shown,),) = con.execute(f"SELECT typeof({literal})").fetchall()
    assert con.execute(query.format(literal), [code, sql_type]).fetchall() == [
        (shown, True, False),
        (shown, False, True),
    ]


# ---- columns that the code names ------------------------------------------------------------------------------------

WIDE = """
def schema(n: int, prefix: str = "c"):
    return {f"{prefix}{i}": kind for i, kind in zip(range(n), ["TINYINT", float, "DATE", list[str]])}

def wide(n, prefix="c"):
    import datetime
    yield (1, 2, datetime.date(2026, 1, 2), ["x"])[:n]
"""
WIDE_IN_SQL = [("TINYINT", 1), ("DOUBLE", 2.0), ("DATE", "2026-01-02"), ("VARCHAR[]", "[x]")]


@pytest.mark.parametrize("first", [True, False])
def test_a_function_schema_names_the_columns_of_each_call(con, counted, first):
    code = WIDE if first else "\ndef ".join(["", *WIDE.split("\ndef ")[:0:-1]])
    assert code.index("def schema") < code.index("def wide") or not first
    counted.create_table_function(con, "wide", code)
    for n in (1, 2, 4):
        for query in (f"wide({n}, 'k')", f"py_table($$ {code} $$, args := {{'n': {n}, 'prefix': 'k'}})"):
            result = con.execute(f"FROM {query}")
            described = [(name, str(kind)) for name, kind, *_ in result.description]
            assert described == [(f"k{i}", kind) for i, (kind, _) in enumerate(WIDE_IN_SQL[:n])]
            (row,) = con.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {query}").fetchall()
            assert row == tuple(
                con.execute("SELECT $1::VARCHAR", [value]).fetchone()[0] for _, value in WIDE_IN_SQL[:n]
            )
    joined = con.execute("SELECT a.c0, b.c1 FROM wide(1) a, wide(2) b").fetchall()
    assert joined == [(1, 2.0)]


def test_a_schema_of_a_host_function_is_shipped_as_well(con, counted):
    width = 3

    def named(n):
        return dict.fromkeys(f"c{i}" for i in range(n or width))

    def columns(n):
        return dict.fromkeys(named(n), int)

    counted.create_table_function(con, "numbers", lambda n: [tuple(range(n))], schema=columns)
    assert con.execute("FROM numbers(2)").fetchall() == [(0, 1)]
    assert con.sql("FROM numbers(NULL)").columns == ["c0", "c1", "c2"]


@pytest.mark.parametrize(
    ("schema", "columns"),
    [
        ("'STRUCT(a INTEGER, b VARCHAR)'", ["a", "b"]),
        ("{'a b': str, 'select': 'DECIMAL(5, 2)'}", ["a b", "select"]),
        ("{'\"; DROP TABLE t; --': int}", ['"; DROP TABLE t; --']),
        ("int", ["py_table"]),
        ("'DATE'", ["py_table"]),
        ("typing.NamedTuple('Row', [('x', int), ('y', 'float')])", ["x", "y"]),
        ("tuple[int, str]", ["col0", "col1"]),
    ],
)
def test_a_schema_is_told_as_text_types_or_classes(con, counted, schema, columns):
    code = f"import typing\ndef schema(): return {schema}\ndef f(): return [None]"
    assert con.sql("FROM py_table($1)", params=[code]).columns == columns
    assert con.execute("FROM py_table($1)", [code]).fetchall() == [(None,) * len(columns)]


def test_a_declared_schema_wins_over_function_and_annotation(con, counted):
    code = "def schema(): return {'b': int}\ndef f() -> Iterator[tuple[str, str]]: return [{}]"
    assert con.sql("FROM py_table($1)", params=[code]).columns == ["b"]
    assert con.sql("FROM py_table($1, schema := {'c': 'DATE'})", params=[code]).columns == ["c"]


def test_a_function_named_schema_alone_is_the_table_function(con, counted):
    assert con.execute("FROM py_table('def schema() -> list[int]: return [1]')").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("(): return {}", "the schema has no columns"),
        ("(): return None", "of which SQL has no type"),
        ("(): return {'a': 'NOTYPE'}", "NOTYPE.* is not a type DuckDB knows"),
        ("(): return {'a': complex}", "the schema has <class 'complex'> for a, which is a class"),
        ("(): return {'a': typing.Any}", "for a, of which SQL has no type; write it as SQL"),
        ("(): return {'a': int, 'A': int}", r'STRUCT\("a" BIGINT, "A" BIGINT\) is not a type DuckDB knows'),
        ("(): return {f'c{i}': int for i in range(10**5)}", "it has more than 20,000 columns"),
        ("(): return 'STRUCT(' * 100_000", "it nests deeper than 100"),
        ("(): return 'INTEGER); DROP TABLE t; --'", "is not a type DuckDB knows"),
        ("(): raise ValueError('no columns today')", "ValueError: no columns today"),
        ("(n): return {'a': int}", r"takes 1 argument\(s\) \(n\), the query passes 0"),
    ],
)
def test_a_schema_that_is_none_says_why(con, sandbox, schema, message):
    code = f"import typing\ndef schema{schema}\ndef f(): return [None]"
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.execute("FROM py_table($1)", [code])


# ---- arguments -----------------------------------------------------------------------------------------------------


def test_arguments_by_position_by_name_and_left_out(con, counted):
    counted.create_table_function(
        con, "steps", "def f(n: int = 2, step: float = 0.5): return [i * step for i in range(n)]"
    )
    for call, expected in {
        "steps()": [0.0, 0.5],
        "steps(3)": [0.0, 0.5, 1.0],
        "steps(2, 2)": [0.0, 2.0],
        "steps(step := 3, n := 1 + 1)": [0.0, 3.0],
        "query(steps(2, 4.0::DOUBLE))": [0.0, 4.0],
    }.items():
        assert con.execute(f"FROM {call}").fetchall() == [(value,) for value in expected]
    forms = [form for form in overloads(con, "steps", "table%") if form != ["DOUBLE"]]  # which only DuckDB's own has
    assert forms == [[], ["BIGINT"], ["BIGINT", "DOUBLE"]]
    with pytest.raises((duckdb.BinderException, duckdb.InvalidInputException)):  # DuckDB's own casts the text
        con.execute("FROM steps('three')")


def test_any_number_of_arguments(con, counted):
    code = "def f(first: int, *more: float) -> Iterator[tuple[int, float]]: return ((first, x) for x in more)"
    counted.create_table_function(con, "pairs", code)
    assert con.execute("FROM pairs(1)").fetchall() == []
    assert con.execute("FROM pairs(1, 2, 3.5)").fetchall() == [(1, 2.0), (1, 3.5)]
    many = ", ".join(map(str, range(40)))
    assert con.execute(f"SELECT sum(col1) FROM query(pairs(1, {many}))").fetchall() == [(780.0,)]
    by_name = "FROM py_table($1, args := {'first': 7, 'x': 1.5, 'y': 2})"
    assert con.execute(by_name, [code]).fetchall() == [(7, 1.5), (7, 2.0)]
    counted.create_table_function(con, "words", "def f(*words: str) -> Iterator[str]: return iter(words)")
    assert con.execute("SELECT list(words) FROM words('a', 'b', 'c')").fetchall() == [(["a", "b", "c"],)]
    assert con.execute("FROM words()").fetchall() == []


def test_null_gives_no_rows_unless_the_annotation_wants_it(con, counted):
    assert con.execute("FROM py_table($1, args := {'n': NULL::BIGINT})", [UP_TO]).fetchall() == []
    code = "def f(n: int | None) -> list[str]: return [repr(n)]"
    assert con.execute("FROM py_table($1, args := {'n': NULL})", [code]).fetchall() == [("None",)]


def test_arguments_keep_their_types(con, counted):
    code = "def f(d, xs, s) -> list[str]: return [repr(d), repr(xs), repr(s)]"
    arguments = "{'d': DATE '2026-01-02', 'xs': [1, NULL], 's': {'a': 'ä', 'b': 1.50}}"
    assert con.execute(f"FROM py_table($1, args := {arguments})", [code]).fetchall() == [
        ("datetime.date(2026, 1, 2)",),
        ("[1, None]",),
        ("{'a': 'ä', 'b': Decimal('1.50')}",),
    ]


def test_defaults_take_the_places_before_arguments(con, sandbox):
    code = """
        def schema(n: int | None = None, kind="BIGINT", sep="\t", times=1):
            return {sep: kind}

        def f(n: int | None = None, kind="BIGINT", sep="\t", times=1):
            yield (n if times is None else (n or 5) * times,)
    """
    for args, column, value in (
        ("{'times': 3}", ("\t", "BIGINT"), 15),
        ("{'sep': 'é', 'n': 2}", ("é", "BIGINT"), 2),
        ("{'sep': ';', 'kind': 'DOUBLE'}", (";", "DOUBLE"), 5.0),
    ):
        result = con.execute(f"FROM py_table($1, args := {args})", [code])
        assert [(name, str(kind)) for name, kind, *_ in result.description] == [column]
        assert result.fetchall() == [(value,)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("py_table(NULL)", "the code is None"),
        ("py_table(42)", "the code is 42"),
        ("py_table('1 +')", "SyntaxError"),
        ("py_table('x = 1')", "defines no function"),
        ("py_table('lambda n: [n]')", r"takes 1 argument\(s\) \(n\), the query passes 0"),
        ("py_table('lambda n: [n]', args := {'m': 1})", r"the function takes \(n\); it has no 'm'"),
        ("py_table('lambda n, m: [n]', args := {'m': 1})", r"the function takes \(n, m\); args lacks 'n'"),
        ("py_table('lambda n=(), m=2: [m]', args := {'m': 1})", "args lacks 'n', whose default is no number"),
        ("py_table('lambda n=None, m=2: [m]', args := {'m': 1})", "or None without '| None' in the annotation"),
        ("py_table('lambda n=2**70, m=2: [m]', args := {'m': 1})", "args lacks 'n', whose default is no number"),
        ("py_table('lambda: [{}]')", "the columns can't be inferred from the first rows: they have no columns"),
        ("py_table('lambda: [()]')", "the columns can't be inferred from the first rows: they have no columns"),
        ("py_table('lambda: [1]', schema := {})", "the schema has no columns"),
        ("py_table('lambda n: [n]', args := [1])", "args is a STRUCT of arguments by name"),
        ("py_table('lambda: [1]', schema := 'NOTYPE')", "the schema is a type DuckDB knows.*NOTYPE"),
        ("py_table('lambda: [1]', schema := {'a': 1})", "the schema is a type DuckDB knows"),
        ("py_table('lambda: [1]', schema := {'a': 'INT', 'A': 'INT'})", None),  # the struct is DuckDB's error
        ("query(py_table('lambda: [1]', NULL, NULL, 1))", "py_table takes code, args and schema"),
        ("py_table('def f() -> int: return 1')", "'int' of the result is not that of rows, such as Iterator"),
        ("py_table('def f() -> Iterator[Nobody]: return 1')", "can't be read .*Nobody"),
        ("py_table('lambda: 5')", "'int' object is not iterable"),
        ("py_table('lambda: None')", "'NoneType' object is not iterable"),
        ("py_table('lambda: {''a'': [1]}')", "returned dict; a table function yields rows, or returns an iterable"),
        ("py_table('lambda: ''abc''')", "the function returned str; a table function yields rows"),
        ("py_table('async def f(): return [1]')", "'coroutine' object is not iterable"),
        ("py_table('async def f(): yield 1')", "'async_generator' object is not iterable"),
        (
            "py_table('def f(c: Column[int]): return [1]', args := {'c': 1})",
            "a table function is called once, with values",
        ),
        ("py_table('lambda: [1j]', schema := 'DOUBLE')", "returned complex where its result type DOUBLE"),
        ("py_table('lambda: []')", "can't be inferred from the first rows: it gave no rows"),
        ("py_table('lambda: [None]')", "all of them are None"),
        ("py_table('lambda: [(1,), (''a'',)]')", "col0 holds values of several types"),
        ("py_table('import decimal\nlambda: [decimal.Decimal(1)]')", "holds Decimal, of which later ones"),
        ("py_table('lambda: [{''a'': 1, ''A'': 2}]')", "doesn't distinguish these columns: a, A"),
        ("(SELECT py_table(code) AS x FROM (VALUES ('lambda: [1]'), ('lambda: [2]')) t(code))", "call it in FROM"),
    ],
)
def test_wrong_calls_say_what_is_wrong(con, sandbox, call, message):
    with pytest.raises(duckdb.Error, match=message):
        con.execute(f"FROM {call}").fetchall()
    assert con.execute("FROM py_table('lambda: [1]')").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("function", "schema", "message"),
    [
        ("def f(*args: complex) -> Iterator[int]: yield 1", None, "of parameter 'args'"),
        ("lambda: [1]", "NOTYPE", "NOTYPE"),
        ("lambda: [1]", 42, "the schema is a type DuckDB knows"),
        ("lambda: [1]", {"a": "INT", "A": "INT"}, "is not one DuckDB knows: "),
        (
            "def f() -> Iterator[complex]: yield 1j",
            None,
            "'Iterator\\[complex\\]' of the result is a class, of which SQL",
        ),
        ("def f(x: complex) -> Iterator[int]: yield 1", None, "of parameter 'x'"),
    ],
)
def test_wrong_functions_are_refused_at_registration(con, sandbox, function, schema, message):
    with pytest.raises(SignatureError, match=message):
        sandbox.create_table_function(con, "f", function, schema)
    sandbox.create_table_function(con, "f", "lambda: [1]")
    assert con.execute("FROM f()").fetchall() == [(1,)]


def test_a_taken_name_is_refused_and_a_removed_one_free(con, sandbox):
    con.execute("CREATE MACRO taken() AS TABLE SELECT 42 AS x")
    for begin, end in ((list, list), (con.begin, con.rollback)):  # alone, and inside a transaction
        begin()
        with pytest.raises(duckdb.CatalogException, match="taken"):
            sandbox.create_table_function(con, "taken", "lambda: [1]")
        end()
        assert con.execute("FROM taken()").fetchall() == [(42,)]
    sandbox.create_table_function(con, "f", "lambda: [1]")
    with pytest.raises(duckdb.Error, match=r"\bf\b"):
        sandbox.create_table_function(con, "f", "lambda: [2]")
    assert con.execute("FROM f()").fetchall() == [(1,)]
    con.remove_function("f")
    sandbox.create_table_function(con, "f", "lambda: [3]")
    assert con.execute("FROM f()").fetchall() == [(3,)]


# ---- streams -------------------------------------------------------------------------------------------------------


def test_limit_ends_an_infinite_generator(con, counted):
    counted.create_table_function(con, "naturals", NATURALS)
    assert con.execute("FROM naturals() LIMIT 5").fetchall() == [(i,) for i in range(5)]
    assert con.execute("SELECT sum(naturals) FROM (FROM naturals() LIMIT 1_000_000)").fetchall() == [(499999500000,)]


def test_a_step_of_2048_rows_is_all_that_limit_pulls(con, caplog, counted):
    code = """
        def f() -> Iterator[int]:
            for i in range(10**9):
                if i % 2048 == 0:
                    print(f"step {i}")
                yield i
    """
    with caplog.at_level("INFO", logger="duckdb_wasi_udf.guest"):
        assert con.execute("FROM py_table($1) LIMIT 5", [code]).fetchall() == [(i,) for i in range(5)]
    assert "step 0" in caplog.text
    assert "step 2048" not in caplog.text


def test_memory_stays_the_same_over_millions_of_rows(con, counted):
    code = "def f() -> Iterator[str]:\n    for i in range(3_000_000): yield 'x' * 50"
    assert con.execute("SELECT count(*), sum(strlen(py_table)) FROM py_table($1)", [code]).fetchall() == [
        (3_000_000, 150_000_000)
    ]
    assert counted._domain.instances.held_bytes < 16 * 2**20


def test_a_generators_finally_runs_when_the_scan_ends_early(con, caplog, counted):
    code = "def f() -> Iterator[int]:\n    try:\n        while True: yield 1\n    finally: print('closed')"
    with caplog.at_level("INFO", logger="duckdb_wasi_udf.guest"):
        con.execute("FROM py_table($1) LIMIT 1", [code]).fetchall()
    assert "closed" in caplog.text


def test_every_scan_of_a_plan_is_a_stream_of_its_own(con, counted):
    counted.create_table_function(con, "up_to", UP_TO)
    assert con.execute(
        "SELECT count(*), sum(a.up_to) FROM up_to(5000) a JOIN up_to(3000) b USING (up_to)"
    ).fetchall() == [(3000, 4498500)]
    assert con.execute("WITH n AS MATERIALIZED (FROM up_to(9)) SELECT count(*) FROM n, n AS m").fetchall() == [(81,)]
    assert con.execute("WITH n AS NOT MATERIALIZED (FROM up_to(9)) SELECT count(*) FROM n, n AS m").fetchall() == [
        (81,)
    ]
    con.execute("PREPARE all_of_them AS SELECT count(*), max(up_to) FROM up_to(4000)")
    gc.collect()
    assert [con.execute("EXECUTE all_of_them").fetchall() for _ in range(3)] == [[(4000, 3999)]] * 3
    con.execute("PREPARE up_to_a_number AS SELECT count(*) FROM up_to($1)")
    assert [con.execute(f"EXECUTE up_to_a_number({n})").fetchall() for n in (3, 0, 2049)] == [[(3,)], [(0,)], [(2049,)]]


def test_relations_views_and_tables_take_them(con, counted):
    counted.create_table_function(con, "up_to", UP_TO)
    relation = con.sql("SELECT up_to * 2 AS twice FROM up_to(3000)")
    assert relation.aggregate("sum(twice)").fetchall() == relation.aggregate("sum(twice)").fetchall() == [(8997000,)]
    con.execute("CREATE VIEW v AS FROM up_to(4)")
    con.execute("CREATE TABLE t AS FROM v")
    con.execute("INSERT INTO t FROM py_table('lambda: [7]')")
    assert con.execute("SELECT list(up_to ORDER BY ALL) FROM t").fetchall() == [([0, 1, 2, 3, 7],)]
    assert con.cursor().execute("SELECT (SELECT count(*) FROM v), x FROM range(2) r(x)").fetchall() == [(4, 0), (4, 1)]


def test_binding_alone_runs_nothing_of_a_typed_function(con, counted):
    code = "def f() -> Iterator[int]: raise ValueError('it ran')"
    assert con.execute("DESCRIBE FROM py_table($1)", [code]).fetchall()[0][:2] == ("py_table", "BIGINT")
    con.execute("EXPLAIN FROM py_table($1)", [code])
    with pytest.raises(duckdb.InvalidInputException, match="it ran"):
        con.execute("FROM py_table($1)", [code]).fetchall()


@pytest.mark.parametrize("threads", [1, 4])
def test_many_connections_scan_at_once(con, counted, threads):
    con.execute(f"SET threads = {threads}")
    counted.create_table_function(con, "up_to", UP_TO)
    found, wanted = [], []

    def work(first):
        cursor = con.cursor()
        for n in range(first, first + 10):
            wanted.append(n)
            (count,) = cursor.execute(
                "SELECT count(*) FROM (FROM up_to($1) UNION ALL FROM py_table($2, args := {'n': $1}))", [n, UP_TO]
            ).fetchone()
            found.append(count // 2)

    workers = [threading.Thread(target=work, args=(n,)) for n in (0, 2040, 4090, 6000)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(found) == sorted(wanted)


# ---- errors --------------------------------------------------------------------------------------------------------


def test_an_error_halfway_fails_the_query_and_keeps_nothing(con, failing, counted):
    code = "def f() -> Iterator[int]:\n    yield from range(3000)\n    raise ValueError('no more')"
    con.execute("CREATE TABLE t (i BIGINT)")
    error = failing("INSERT INTO t FROM py_table($1)", [code], error=GuestError)
    assert "ValueError: no more\nafter 3000 rows" in str(error)
    assert "raise ValueError('no more')" in error.guest_traceback
    assert con.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


def test_an_error_of_the_call_itself_shows_the_arguments(failing, counted):
    error = failing("FROM py_table('def f(n: int) -> list[int]: return 1 // n', args := {'n': 0})", error=GuestError)
    assert "ZeroDivisionError" in str(error)
    assert "called with (0)" in str(error)


def test_later_rows_that_do_not_fit_name_both(failing, counted):
    code = "def f():\n    for i in range(5000):\n        yield {'i': i if i < 4100 else f'x{i}'}"
    error = failing("FROM py_table($1)", [code], error=GuestError)
    assert "returned 'x4100', which is no BIGINT" in str(error)
    assert "\nafter 4100 rows" in str(error)
    assert "inferred from the first rows: i int64; declare a schema" in str(error)
    declared = failing("FROM py_table($1, schema := {'i': 'BIGINT'})", [code], error=GuestError)
    assert "inferred" not in str(declared)
    unknown = "def f():\n    for i in range(3000):\n        yield {'i': i} if i < 2048 else {'i': i, 'j': 0}"
    assert "the key 'j'" in str(failing("FROM py_table($1)", [unknown], error=GuestError))


def test_a_value_that_the_declared_type_cannot_hold_fails(failing, counted):
    error = failing("FROM py_table('lambda: [1, 1000]', schema := 'TINYINT')", error=GuestError)
    assert "outside the range of TINYINT (-128 to 127)" in str(error)
    assert "after 1 rows" in str(error)


@pytest.mark.parametrize(
    ("limits", "code", "limit"),
    [
        ({"timeout_seconds": 0.3}, "def f() -> Iterator[int]:\n    while True: pass\n    yield 1", "timeout_seconds"),
        ({"budget_seconds": 0.3}, NATURALS, "budget_seconds"),
        ({"memory_bytes": 40 * 2**20}, "def f() -> list[int]: return [0] * 10**9", "memory_bytes"),
        ({"memory_bytes": 40 * 2**20}, f"{COLUMNS} yield Columns(range(10**9))", "memory_bytes"),
        ({"timeout_seconds": 0.3}, f"{COLUMNS}\n  while True: yield Columns([])", "timeout_seconds"),
        ({"budget_seconds": 0.3}, f"{COLUMNS}\n  while True: yield Columns([1] * 4096)", "budget_seconds"),
    ],
)
def test_limits_end_a_generator(con, limits, code, limit):
    with wasi_udf.Sandbox(limits=wasi_udf.ResourceLimits(**limits)).install(con) as sandbox:
        with pytest.raises(duckdb.InvalidInputException, match=limit):
            con.execute("SELECT max(py_table) FROM py_table($1)", [code]).fetchall()
        assert isinstance(sandbox.last_error, LimitExceeded)
        assert sandbox.last_error.limit == limit
        assert con.execute("FROM py_table('lambda: [1]')").fetchall() == [(1,)]


def test_cancel_ends_a_step(con, sandbox):
    code = "def f() -> Iterator[int]:\n    print('begun')\n    while True: pass\n    yield 1"
    ended = []

    def run():
        with pytest.raises(duckdb.InvalidInputException, match="stopped by Sandbox.cancel"):
            con.cursor().execute("FROM py_table($1)", [code]).fetchall()
        ended.append(sandbox.last_error)

    worker = threading.Thread(target=run)
    worker.start()
    while not ended:
        sandbox.cancel()
        worker.join(0.02)
    assert isinstance(ended[0], Cancelled)


# ---- lifetimes -----------------------------------------------------------------------------------------------------


def test_a_closed_sandbox_ends_its_streams(con):
    with wasi_udf.Sandbox().install(con) as sandbox:
        sandbox.create_table_function(con, "naturals", NATURALS)
        result = con.execute("FROM naturals()")
        assert result.fetchone() == (0,)
    with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
        result.fetchall()
    with pytest.raises(duckdb.InvalidInputException, match="the sandbox is closed"):
        con.execute("FROM naturals()")
    assert isinstance(sandbox.last_error, ClosedError)
    while len(sandbox._domain.instances):  # DuckDB's thread is about to end the stream
        time.sleep(0.01)


def test_closing_drops_the_instance_of_a_stream_that_rests(sandbox):
    domain = sandbox._domain
    with CallContext(domain.clock) as context:
        function = define_table(
            context, domain, ship(NATURALS, "naturals", return_null=False), None, sql_type_of, sql_type_of
        )
        scan = TableScan(function, [], pa.int64())
        assert scan.next(context)[5].as_py() == 5
        assert len(domain.instances) == 1
        function.close()
        assert len(domain.instances) == 0
        scan.close()


def test_a_forgotten_functions_instances_go_with_its_last_scan(con, sandbox):
    con.execute("PREPARE first AS SELECT count(*) FROM py_table('def f() -> list[int]: return [1, 2, 3]')")
    for i in range(70):
        con.execute(f"DESCRIBE FROM py_table('def f() -> list[int]: return [{i}]')")
    before = len(sandbox._domain.instances)
    assert con.execute("EXECUTE first").fetchall() == [(3,)]
    assert len(sandbox._domain.instances) <= before <= 65


def test_batch_isolation_gives_every_scan_a_fresh_start(con):
    code = "seen = []\ndef f() -> list[int]:\n    seen.append(1)\n    return [len(seen)]"
    for isolation, expected in (("function", [1, 2]), ("batch", [1, 1])):
        with wasi_udf.Sandbox(isolation=isolation).install(con):
            assert [con.execute("FROM py_table($1)", [code]).fetchall()[0][0] for _ in range(2)] == expected


def test_a_database_file_keeps_views_and_is_let_go(tmp_path):
    path = tmp_path / "file.db"
    with duckdb.connect(path) as con, wasi_udf.Sandbox() as sandbox:
        sandbox.install(con)
        sandbox.create_table_function(con, "up_to", UP_TO)
        con.execute("CREATE VIEW few AS FROM up_to(3)")
        assert con.cursor().execute("FROM few").fetchall() == [(0,), (1,), (2,)]
    with duckdb.connect(path) as con, wasi_udf.Sandbox() as sandbox:
        with pytest.raises(duckdb.Error, match="up_to"):
            con.execute("FROM few")
        sandbox.install(con)
        sandbox.create_table_function(con, "up_to", "def more(n: int) -> Iterator[int]: return range(n + 1)")
        assert con.cursor().execute("FROM few").fetchall() == [(0,), (1,), (2,), (3,)]
    with duckdb.connect(path, read_only=True) as con, wasi_udf.Sandbox() as sandbox:  # the database was let go
        sandbox.install(con)
        sandbox.create_table_function(con, "up_to", UP_TO)
        sandbox.create_table_function(con, "other", UP_TO)
        assert con.execute("SELECT count(*) FROM few, up_to(2), other(2)").fetchall() == [(12,)]
        assert con.cursor().execute("FROM few").fetchall() == [(0,), (1,), (2,)]
        assert con.cursor().execute("FROM query(other(2))").fetchall() == [(0,), (1,)]


def test_the_case_of_a_name_does_not_matter_in_a_database_file(tmp_path):
    for name in ("UpTo", "upto"):
        with duckdb.connect(tmp_path / "file.db") as con, wasi_udf.Sandbox() as sandbox:
            sandbox.install(con)
            sandbox.create_table_function(con, name, UP_TO)
            assert con.execute("SELECT count(*) FROM UPTO(3)").fetchall() == [(3,)]
            options = "{'kind': 'table', 'persist': true, 'replace': true}"
            con.execute(f"SELECT py_create_function($1, 'lambda n: range(n)', {options})", [f"{name}Again"])
            con.execute("SELECT py_drop_function('uptoagain')")
            check_gone(con, "UpToAgain", "FROM UpToAgain(3)")


def test_table_functions_outlive_the_registering_connection(tmp_path):
    path = tmp_path / "file.db"
    con = duckdb.connect(path)
    with wasi_udf.Sandbox() as sandbox, duckdb.connect(path) as other:
        sandbox.install(con)
        assert other.execute("FROM py_table('lambda: [1]')").fetchall() == [(1,)]
        con.close()
        assert other.execute("FROM py_table('lambda: [1]')").fetchall() == [(1,)]
        del con
        gc.collect()
        assert other.execute("FROM py_table('lambda: [1]')").fetchall() == [(1,)]


def test_a_rollback_removes_a_table_function(con, sandbox):
    con.execute("BEGIN")
    sandbox.create_table_function(con, "up_to", UP_TO)
    assert con.execute("SELECT count(*) FROM up_to(3)").fetchall() == [(3,)]
    con.execute("ROLLBACK")
    check_gone(con, "up_to", "FROM up_to(3)")
