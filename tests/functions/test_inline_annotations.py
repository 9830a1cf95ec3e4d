"""Inline code gets what its annotations say, as a named function of the same text does."""

from decimal import Decimal

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

pytestmark = pytest.mark.shared_sandbox

# What a function with this parameter is called with: the same as a named one, or refused as there.
ARGUMENTS = """
    true::BOOLEAN|1::TINYINT|1::BIGINT|1.5::FLOAT|1.5::DOUBLE|1.25::DECIMAL(5,2)|19.99::DECIMAL(18,2)|'x'::VARCHAR
    '\\x01'::BLOB|DATE '2020-02-03'|TIME '10:00:00'|TIMESTAMP '2020-02-03 04:05:06'|TIMESTAMPTZ '2020-02-03 04:05:06+00'
    INTERVAL 1 DAY|[1.25, 2]|['a']|{'a': 1.5}|MAP {'a': 1.5}|[1.5, 2]::DOUBLE[2]
"""
LITERALS = [text.strip() for line in ARGUMENTS.strip().splitlines() for text in line.split("|")]
ANNOTATIONS = "bool|float|str|bytes|date|time|datetime|timedelta|list[float]|list[str]|dict[str, float]|'DECIMAL(18,1)'"


@pytest.mark.parametrize("annotation", ANNOTATIONS.split("|"))
def test_inline_is_as_named(con, sandbox, annotation):
    code = f"def f(x: {annotation}) -> str: return repr(x)"
    sandbox.create_function(con, "f", code)
    accepted = []
    for literal in LITERALS:
        con.execute(f"CREATE OR REPLACE TABLE t AS SELECT {literal} AS x")
        try:
            named = con.execute("SELECT f(x) FROM t").fetchall()
        except duckdb.BinderException:
            if annotation.startswith(("dict", "datetime")) and literal.startswith(("{", "TIMESTAMPTZ")):
                continue  # a STRUCT is a dict as well; no cast without a time zone
            with pytest.raises(duckdb.InvalidInputException) as raised:
                con.execute("SELECT py_udf($1, x) FROM t", [code]).fetchall()
            error = wasi_udf.error_of(raised.value)
            got = con.execute("SELECT typeof(x) FROM t").fetchone()[0]
            assert isinstance(error, wasi_udf.SignatureError)
            wanted = sandbox._registry.find("f").signature.parameters[0].sql_type.name
            assert f"the parameter 'x' expects {wanted}, got" in str(error)
            assert f"got {got};" in str(error).replace("got TIMESTAMP_NS", "got TIMESTAMP")
            continue
        if annotation == "datetime" and literal.startswith("TIMESTAMPTZ"):
            continue
        assert con.execute("SELECT py_udf_varchar($1, x) FROM t", [code]).fetchall() == named, literal
        accepted.append(literal)
    assert accepted


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
def test_decimals_become_the_nearest_doubles(con, sandbox, rows):
    narrow = "(CASE WHEN i % 7 > 0 THEN (hash(i) % 200000)::BIGINT - 100000 END / 1000)::DECIMAL(18,3)"
    wide = "((hash(i) % 1000000)::HUGEINT * 10::HUGEINT ** 20 + i)::DECIMAL(38,2)"
    con.execute(f"CREATE TABLE t AS SELECT {narrow} AS d, {wide} AS w FROM range({rows}) r(i)")
    code = "def f(d: float | None, w: float): return [d, w]"
    for d, w, (x, y) in con.execute("SELECT d, w, py_udf($1, d, w) FROM t", [code]).fetchall():
        assert x == (None if d is None else float(d))
        assert y == float(w)


STEPS = "class A:\n def step(self, x: float): self.x = x * 1.5\n def finish(self): return self.x"
POINT = "from dataclasses import dataclass\n@dataclass\nclass P:\n x: float\ndef f(p: P): return p.x * 1.5"
QUERIES = [
    "SELECT py_udf_double('def f(x: float): return x * 1.5', {})",
    "SELECT py_udf('def f(*xs: float): return sum(xs) * 1.5', {})",
    "SELECT py_udf_double('def f(xs: Column[float]) -> list[float]: return [x * 1.5 for x in xs]', {})",
    "SELECT py_udf_double('def f(xs: Column[float | None]) -> list[float]: return [x * 1.5 for x in xs]', {})",
    "SELECT py_agg('def f(xs: list[float]) -> float: return sum(xs) * 1.5', list({}))",
    f"SELECT py_agg('{STEPS}', list({{}}))",
    "FROM py_table('def f(x: float) -> Iterator[float]: yield x * 1.5', args := {{'x': {}}})",
    "FROM py_map_batches('def f(x: float) -> Iterator[float]: yield x * 1.5', 'SELECT {}')",
    f"SELECT py_udf('{POINT}', {{{{'x': {{}}}}}})",
]


@pytest.mark.parametrize("query", QUERIES)
def test_everywhere_a_float_is_a_float(con, sandbox, query):
    for literal in ("2.5", "2", "2.5::FLOAT", "2.5::DOUBLE", "2::HUGEINT"):
        value = float(Decimal(literal.partition(":")[0]))
        ((result,),) = con.execute(query.format(literal)).fetchall()
        assert float(result) == value * 1.5, literal


@pytest.mark.parametrize("query", [query for query in QUERIES if "SELECT {}'" not in query])
def test_everywhere_a_wrong_type_is_named(con, failing, query):
    if "py_table" in query:
        with pytest.raises(duckdb.InvalidInputException) as raised:
            con.execute(query.format("DATE '2024-01-01'"))
        error = wasi_udf.error_of(raised.value)
    else:
        error = failing(query.format("DATE '2024-01-01'"))
    assert isinstance(error, wasi_udf.SignatureError)
    assert "the parameter '" in str(error)
    assert "DOUBLE" in str(error)
    assert "DATE" in str(error)


def test_a_named_function_with_a_parameter_of_any_type_casts_too(con, sandbox):
    sandbox.create_function(con, "half", "def half(x: float, y): return [x * 0.5, y]")
    assert con.execute("SELECT half(2.5, 'a'), half(NULL, 1)").fetchall() == [([1.25, "a"], None)]
