"""Integers beside floats in results of undeclared type: no digit is lost."""

from decimal import Decimal

import pytest

from duckdb_wasi_udf import GuestError

pytestmark = pytest.mark.shared_sandbox

BIG = 2**53


def inferred(con, values):
    """What comes of one batch that returns these values, None for NULL: each with its type's name."""
    code = f"values = [{', '.join(values)}]\nlambda i: values[i]"
    query = f"SELECT v::VARCHAR, variant_typeof(v) FROM (SELECT py_udf($1, i) AS v FROM range({len(values)}) r(i))"
    return con.execute(query, [code]).fetchall()


@pytest.mark.parametrize("exact", [0, 1, -1, BIG - 1, BIG, -BIG, BIG + 2, 2**60, -(2**63), 2**70, -(2**127)])
def test_integers_that_are_floats_exactly_become_floats(con, sandbox, exact):
    for values in ([str(exact), "1.5"], ["1.5", str(exact)], ["None", str(exact), "float('nan')", "None"]):
        found = inferred(con, values)
        assert {kind for _, kind in found} <= {"DOUBLE", "VARIANT_NULL"}
        assert float(found[values.index(str(exact))][0]) == exact


@pytest.mark.parametrize("lost", [BIG + 1, -BIG - 1, 2**63 - 1, 2**64 + 1, 2**126 + 1, -(2**127) + 1, 2**127 - 1])
def test_integers_that_are_not_keep_their_digits(con, sandbox, lost):
    for values in (
        [str(lost), "1.5"],
        ["1.5", str(lost)],
        ["1", "1.5", "None", str(lost), "2"],
        ["'a'", str(lost), "1.5"],
    ):
        found = inferred(con, values)
        assert found[values.index(str(lost))][0] == str(lost)
        assert found[values.index("1.5")] == ("1.5", "DOUBLE")


def test_each_row_of_a_mixture_with_text_has_its_own_type(con, sandbox):
    found = inferred(con, ["1", "'a'", "1.5", str(2**70), "2", "None", "True"])
    assert [text for text, _ in found] == ["1", "a", "1.5", str(2**70), "2", None, "true"]
    assert found[2][1] == "DOUBLE"
    assert found[0][1] == found[4][1] != "DOUBLE"


def test_edges_of_batches(con, sandbox):
    code = f"lambda i: {BIG + 1} if i == 2047 else 0.5 if i % 2 else i"
    query = "SELECT count(*), max(v::HUGEINT) FILTER (i = 2047) FROM (SELECT i, py_udf($1, i) AS v FROM range({}) r(i))"
    for rows in (2048, 2049, 5000):
        assert con.execute(query.format(rows), [code]).fetchall() == [(rows, BIG + 1)]


def test_lists_keep_digits_or_say_why_not(con, sandbox, failing):
    query = "SELECT to_json(py_udf($1, 1))::VARCHAR"
    assert con.execute(query, [f"lambda i: [1.5, {BIG + 1}]"]).fetchall() == [(f"[1.5,{BIG + 1}]",)]
    assert con.execute(query, [f"lambda i: {{'a': [1.5, {BIG}]}}"]).fetchall() == [(f'{{"a":[1.5,{BIG}.0]}}',)]
    error = failing(query, [f"lambda i: {{'a': [1.5, {BIG + 1}]}}"], error=GuestError)
    assert "values of mixed types" in str(error)
    assert con.execute("SELECT py_udf_json($1, 1)", [f"lambda i: {{'a': [1.5, {BIG + 1}]}}"]).fetchall() == [
        (f'{{"a": [1.5, {BIG + 1}]}}',)
    ]


def test_decimals_beside_integers_keep_their_types(con, sandbox):
    found = inferred(con, [f"__import__('decimal').Decimal('{Decimal('0.1')}')", str(BIG + 1), "1.5"])
    assert [text for text, _ in found] == ["0.1", str(BIG + 1), "1.5"]
