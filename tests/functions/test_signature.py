"""Signatures, from what the guest says of a function; what annotations say is in test_annotations.py."""

import pyarrow as pa
import pytest

from duckdb_wasi_udf import ProtocolError, SignatureError
from duckdb_wasi_udf._arrow import type_mapping
from duckdb_wasi_udf._arrow.types import BIT, HUGEINT, TIMETZ, UHUGEINT, UUID_TEXT
from duckdb_wasi_udf._functions import signature
from duckdb_wasi_udf._sql.types import sql_type_of


def resolve(label, description, **options):
    return signature.resolve(label, description, sql_type_of, **options)


def meaning(sql, *, none=False, json=False):
    return {"annotation": sql, "sql": sql, "none": none, "json": json, "problem": None}


def described(*parameters, returns=None):
    """A description as the guest makes it, from (name, SQL type[, kind[, required]])."""
    rows = []
    for name, sql, *more in parameters:
        kind, required = (*more, *("POSITIONAL_OR_KEYWORD", True)[len(more) :])
        rows.append(meaning(sql) | {"name": name, "kind": kind, "required": required})
    return {"name": "f", "parameters": rows, "returns": meaning(returns)}


@pytest.mark.parametrize(
    ("returns", "declared", "sql_type", "arrow_type"),
    [
        (None, None, "VARIANT", None),
        ("BIGINT", None, "BIGINT", pa.int64()),
        ("VARIANT", None, "VARIANT", None),
        ("BIGINT", "DOUBLE", "DOUBLE", pa.float64()),
        (None, "INTEGER", "INTEGER", pa.int64()),
        (None, "FLOAT", "FLOAT", pa.float64()),
        ("int8[]", None, "BIGINT[]", pa.list_(pa.int64())),
        (None, "SMALLINT[2][]", "SMALLINT[2][]", pa.list_(pa.list_(pa.int64()))),
        (
            None,
            "STRUCT(a TINYINT, b MAP(VARCHAR, FLOAT))",
            "STRUCT(a TINYINT, b MAP(VARCHAR, FLOAT))",
            pa.struct([("a", pa.int64()), ("b", pa.map_(pa.string(), pa.float64()))]),
        ),
        (None, "ENUM('a', 'b')", "ENUM('a', 'b')", pa.string()),
        (None, "VARIANT", "VARIANT", None),
        (None, "UHUGEINT", "UHUGEINT", UHUGEINT),
        (None, "UUID[]", "UUID[]", pa.list_(pa.uuid())),
        (None, "INTERVAL", "INTERVAL", pa.month_day_nano_interval()),
        (
            None,
            "UNION(a TINYINT, b BOOLEAN)",
            "UNION(a TINYINT, b BOOLEAN)",
            pa.sparse_union([pa.field("a", pa.int64()), pa.field("b", pa.bool_())]),
        ),
    ],
)
def test_the_result_type_is_declared_annotated_or_inferred(returns, declared, sql_type, arrow_type):
    signature = resolve("f", described(returns=returns), return_type=declared)
    built = None if signature.result_type is None else type_mapping.result_type(signature.result_type)
    assert (signature.return_type, built) == (sql_type, arrow_type)


def test_declared_types_replace_annotations():
    signature = resolve("f", described(("x", "BIGINT"), ("y", None)), parameters=["DOUBLE", "VARCHAR"])
    assert [parameter.sql_type.name for parameter in signature.parameters] == ["DOUBLE", "VARCHAR"]


def test_null_handling_special_shows_every_null():
    signature = resolve("f", described(("x", "BIGINT"), ("y", None)), sees_null=True)
    assert [parameter.sees_null for parameter in signature.parameters] == [True, True]


@pytest.mark.parametrize(
    ("parameters", "given", "message"),
    [
        ([("x", None)], 2, r"takes 1 argument\(s\) \(x\), the query passes 2"),
        ([("x", None), ("y", None)], 1, r"takes 2 argument\(s\) \(x, y\), the query passes 1"),
        ([("x", None), ("y", None, "POSITIONAL_OR_KEYWORD", False)], 3, r"takes 1 to 2 argument\(s\)"),
        ([("x", None), ("rest", None, "VAR_POSITIONAL")], 0, r"takes at least 1 argument\(s\) \(x\)"),
        ([], 1, r"takes 0 argument\(s\) \(\)"),
    ],
)
def test_a_wrong_number_of_arguments_says_both_numbers(parameters, given, message):
    with pytest.raises(SignatureError, match=message):
        resolve("f", described(*parameters)).bind([pa.int64()] * given)


def test_arguments_beyond_the_named_ones_go_to_the_rest():
    description = described(("x", "BIGINT"), ("rest", "BIGINT", "VAR_POSITIONAL"))
    description["parameters"][1]["none"] = True
    signature = resolve("f", description)
    assert signature.bind([pa.int64()] * 3) == [(pa.int64(), False), (pa.int64(), True), (pa.int64(), True)]


def test_a_builtin_that_cannot_be_inspected_takes_anything():
    signature = resolve("f", {"name": "max", "parameters": None, "returns": meaning(None)})
    assert len(signature.bind([pa.int64()] * 7)) == 7


@pytest.mark.parametrize("declared", [[], ["BIGINT"], ["BIGINT"] * 3])
def test_another_number_of_parameters_is_an_error(declared):
    with pytest.raises(SignatureError, match=r"parameter type\(s\) declared, but the function takes 2"):
        resolve("f", described(("x", None), ("y", None)), parameters=declared)


def test_a_type_duckdb_does_not_know_is_named():
    with pytest.raises(SignatureError, match="the type NUMBER of parameter 2 is not one DuckDB knows"):
        resolve("f", described(("x", None), ("y", None)), parameters=["BIGINT", "NUMBER"])
    with pytest.raises(SignatureError, match="the annotation 'Foo' of parameter 'x' is neither a Python type"):
        resolve("f", described(("x", "Foo")))
    with pytest.raises(SignatureError, match="the annotation 'Foo' of the result is neither a Python type"):
        resolve("f", described(returns="Foo"))


def test_annotations_do_not_matter_where_types_are_declared():
    resolve("f", described(("x", "Foo"), returns="Foo"), parameters=["BIGINT"], return_type="BIGINT")


def test_a_variant_inside_a_result_says_what_to_do():
    with pytest.raises(SignatureError, match=r"VARIANT\[\] can't be built; return VARIANT as a whole"):
        resolve("f", described(), return_type="VARIANT[]")


@pytest.mark.parametrize("name", ["INT); DROP TABLE t; --", "(" * 1000, "x" * 100_000, "INT[" * 1000, ""])
def test_a_type_from_a_hostile_guest_is_only_ever_a_name(name):
    with pytest.raises(SignatureError, match="the annotation"):
        resolve("f", described(("x", name)))


@pytest.mark.parametrize(
    ("arrived", "declared", "expected"),
    [
        (pa.decimal128(38, 0), None, HUGEINT),
        (pa.decimal128(38, 0), "UHUGEINT", UHUGEINT),
        (pa.decimal128(38, 0), "DECIMAL(38,0)", pa.decimal128(38, 0)),
        (pa.list_(pa.decimal128(38, 0)), "UHUGEINT[]", pa.list_(UHUGEINT)),
        (pa.string(), None, pa.string()),
        (pa.string(), "UUID", UUID_TEXT),
        (pa.uuid(), "UUID", pa.uuid()),
        (pa.string(), "JSON", pa.string()),
        (pa.json_(), None, pa.string()),
        (pa.binary(), "BIT", BIT),
        (pa.binary(), "BLOB", pa.binary()),
        (TIMETZ, "TIMETZ", TIMETZ),
    ],
)
def test_arguments_are_what_was_declared_whatever_they_arrive_as(arrived, declared, expected):
    signature = resolve("f", described(("x", declared)))
    assert signature.bind([arrived]) == [(expected, False)]


def test_a_time_that_has_lost_its_offset_is_refused():
    signature = resolve("f", described(("x", "TIMETZ[]")))
    with pytest.raises(SignatureError, match="without its offset; run SET arrow_lossless_conversion = true"):
        signature.bind([pa.list_(pa.time64("us"))])


def test_an_arrow_type_without_codec_is_named():
    with pytest.raises(SignatureError, match="argument 2 has the Arrow type run_end_encoded"):
        resolve("f", described(("x", None), ("y", None))).bind([pa.int64(), pa.run_end_encoded(pa.int32(), pa.int64())])


def test_a_keyword_only_parameter_needs_a_default():
    with pytest.raises(SignatureError, match="'k' is keyword-only"):
        resolve("f", described(("k", None, "KEYWORD_ONLY")))
    resolve("f", described(("k", None, "KEYWORD_ONLY", False), ("o", None, "VAR_KEYWORD", True)))


@pytest.mark.parametrize(
    ("sql", "default", "kept"),
    [
        ("BIGINT", [7], (7,)),
        ("DOUBLE", [7], (7,)),
        (None, ["\t"], ("\t",)),
        ("VARCHAR", ["a\ud800"], ()),
        ("BIGINT", [2**70], ()),
        ("BIGINT", ["7"], ()),
        ("DATE", ["2026-01-01"], ()),
        ("BIGINT", [None], ()),
        (None, [[1]], ()),
        (None, [{"a": 1}], ()),
        (None, [1, 2], ()),
        (None, 7, ()),
        (None, "7", ()),
    ],
)
def test_a_default_is_kept_if_an_argument_could_be_it(sql, default, kept):
    parameter = meaning(sql) | {"name": "x", "kind": "POSITIONAL_OR_KEYWORD", "required": False, "default": default}
    signature = resolve("f", {"parameters": [parameter], "returns": meaning(None)})
    assert signature.parameters[0].default == kept


@pytest.mark.parametrize("parameters", [[3], [{}], [{"name": "x"}], ["x"], [{"name": "x", "kind": "", "required": 1}]])
def test_a_description_that_is_none_is_a_protocol_error(parameters):
    with pytest.raises(ProtocolError, match="malformed"):
        resolve("f", {"parameters": parameters, "returns": meaning(None)})
