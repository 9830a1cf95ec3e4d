"""Our functions and DuckDB's own side by side: where they differ, docs/guide/moving-from-create-function.md says so."""

import contextlib
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from duckdb.func import SPECIAL

from tests.support.coercions import ERROR, connection, differences

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "moving-from-create-function.md"
WHOLE = {"TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT", "HUGEINT"}
WHOLE |= {"UHUGEINT", "BIGNUM", "DECIMAL(5,2)", "DECIMAL(38,0)"}
TIMES = {"DATE", "TIME", "TIMETZ", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ"}


def reason(sql_type, value, own, ours):
    """The first cell of the page's row that explains a difference."""
    if own == ERROR:
        return "More values are taken"
    if value == "float('nan')":
        return "NaN"
    if value == "uuid.UUID(int=5)" or sql_type == "UUID":
        return "A UUID"
    if ours == ERROR and sql_type in WHOLE:
        return "A number that would be rounded"
    if ours == ERROR and sql_type in {"FLOAT", "BOOLEAN"}:
        return {"FLOAT": "A number too large for FLOAT", "BOOLEAN": "A number as BOOLEAN"}[sql_type]
    if ours == ERROR and sql_type in TIMES:
        return "A date or time that would lose or gain a part"
    if ours == ERROR and sql_type in {"VARCHAR", "BLOB", "BIT"}:
        return f"Other values as {sql_type}"
    if sql_type == "JSON":
        return "JSON"
    if ours == ERROR and sql_type == "INTERVAL":
        return "A number as the text of an INTERVAL"
    if ours == ERROR:
        return "The text of a LIST or STRUCT"
    assert (sql_type, own != ours) == ("UNION(i INTEGER, s VARCHAR)", True), (sql_type, value, own, ours)
    return "A float for a UNION"


def test_every_difference_of_results_is_on_the_page():
    reasons = {reason(*key, *pair) for key, pair in differences().items()}
    rows = set(
        re.findall(r"^\| ([^|]+?) \|", PAGE.read_text().partition("## Results")[2].partition("\n## ")[0], re.MULTILINE)
    )
    assert reasons == rows - {"value", "---"}


def both(con, sandbox, create):
    """What a query gives with a function of DuckDB's own, and with ours."""
    found = []
    for register in (con.create_function, lambda *args, **options: sandbox.create_function(con, *args, **options)):
        try:
            found.append(create(register))
        except Exception as error:
            found.append(type(error).__name__)
        with contextlib.suppress(duckdb.InvalidInputException):
            con.remove_function("f")
    return tuple(found)


@pytest.fixture
def con():
    with connection() as made:
        made.execute("CREATE TABLE t AS SELECT unnest([1, NULL, 3]) AS x")
        yield made


def query(con, text):
    return con.execute(text).fetchall()


def test_null_handling_is_the_same(con, sandbox):
    for options in ({}, {"null_handling": "special"}, {"null_handling": SPECIAL}):

        def create(register, options=options):
            register("f", lambda x: -1 if x is None else x, ["BIGINT"], "BIGINT", **options)
            return query(con, "SELECT f(x) FROM t")

        own, ours = both(con, sandbox, create)
        assert own == ours


def test_none_under_default_null_handling_is_null_here(con, sandbox):
    def create(register):
        register("f", lambda x: None, ["BIGINT"], "BIGINT")
        return query(con, "SELECT f(x) FROM t")

    assert both(con, sandbox, create) == ("InvalidInputException", [(None,)] * 3)


def test_exception_handling_is_the_same(con, sandbox):
    def create(register):
        register("f", lambda x: 1 // (x - 3), ["BIGINT"], "BIGINT", exception_handling="return_null")
        return query(con, "SELECT f(x) FROM t")

    own, ours = both(con, sandbox, create)
    assert own == ours == [(-1,), (None,), (None,)]


def test_side_effects_are_the_same(con, sandbox):
    def create(register):
        register("f", lambda: __import__("random").random(), [], "DOUBLE", side_effects=True)
        return query(con, "SELECT count(DISTINCT f()) FROM range(100)")

    own, ours = both(con, sandbox, create)
    assert own == ours == [(100,)]


def test_arrow_functions_get_columns_instead_of_pyarrow(con, sandbox):
    def create(register):
        register("f", lambda x: pa.array([v.as_py() + 1 for v in x]), ["BIGINT"], "BIGINT", type="arrow")
        return query(con, "SELECT f(2)")

    own, ours = both(con, sandbox, create)
    assert own == [(3,)]
    assert ours != own  # there is no pyarrow in the sandbox
    sandbox.create_function(con, "g", lambda x: [v + 1 for v in x], ["BIGINT"], "BIGINT", type="arrow")
    assert query(con, "SELECT g(2)") == [(3,)]


def test_annotations_are_read_by_both(con, sandbox):
    def f(x: int, y: str) -> str:
        return y * x

    own, ours = both(con, sandbox, lambda register: (register("f", f), query(con, "SELECT f(2, 'ab')"))[1])
    assert own == ours == [("abab",)]


def test_a_function_without_types_is_taken_here_only(con, sandbox):
    def create(register):
        register("f", lambda x: x + 1)
        return query(con, "SELECT f(2)")

    own, ours = both(con, sandbox, create)
    assert (own, ours) == ("InvalidInputException", [(3,)])


def test_varargs_take_any_types(con, sandbox):
    def create(register):
        register("f", lambda *xs: len(xs), None, "BIGINT")
        return query(con, "SELECT f(1, 'a', 2.5)")

    own, ours = both(con, sandbox, create)
    assert own == ours == [(3,)]


def test_a_taken_name_is_an_error_of_both(con, sandbox):
    def create(register):
        register("f", lambda x: x, ["BIGINT"], "BIGINT")
        register("f", lambda x: x, ["VARCHAR"], "VARCHAR")

    own, ours = both(con, sandbox, create)
    assert (own, ours) == ("NotImplementedException", "CatalogException")


def test_source_text_is_taken_here_only(con, sandbox):
    def create(register):
        register("f", "lambda x: x", ["BIGINT"], "BIGINT")
        return query(con, "SELECT f(1)")

    assert both(con, sandbox, create) == ("TypeError", [(1,)])


def test_a_function_here_changes_nothing_of_the_process(con, sandbox):
    calls = []

    def create(register):
        register("f", lambda x: calls.append(x), ["BIGINT"], "BIGINT", null_handling="special")
        return query(con, "SELECT f(1)")

    own, _ = both(con, sandbox, create)
    assert own == [(None,)]
    assert calls == [1]  # of DuckDB's own
