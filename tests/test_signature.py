import pyarrow as pa
import pytest

from duckdb_wasi_udf import ProtocolError, SignatureError, _signature
from duckdb_wasi_udf._install import _arrow_type_of


def resolve(label, description, **options):
    return _signature.resolve(label, description, _arrow_type_of, **options)


def described(*parameters, returns=None):
    """A description as the guest makes it, from (name, annotation[, kind[, required]])."""
    rows = []
    for name, annotation, *more in parameters:
        kind, required = (*more, *("POSITIONAL_OR_KEYWORD", True)[len(more) :])
        rows.append({"name": name, "annotation": annotation, "kind": kind, "required": required})
    return {"name": "f", "parameters": rows, "returns": returns}


@pytest.mark.parametrize(
    ("annotation", "sql_type", "sees_null"),
    [
        ("int", "BIGINT", False),
        ("float", "DOUBLE", False),
        ("str", "VARCHAR", False),
        ("bool", "BOOLEAN", False),
        ("int | None", "BIGINT", True),
        ("None|int", "BIGINT", True),
        ("Optional[int]", "BIGINT", True),
        ("typing.Optional[str]", "VARCHAR", True),
        (None, None, False),
        ("Any", None, True),
        ("typing.Any", None, True),
        ("object", None, True),
        ("None", None, True),
        ("list[int]", "BIGINT[]", False),
        ("list[int | None] | None", "BIGINT[]", True),
        ("dict[str, list[float]]", "MAP(VARCHAR, DOUBLE[])", False),
        ("list[datetime.date]", "DATE[]", False),
    ],
)
def test_annotations_stand_for_sql_types(annotation, sql_type, sees_null):
    (parameter,) = resolve("f", described(("x", annotation))).parameters
    assert (parameter.sql_type, parameter.sees_null) == (sql_type, sees_null)


@pytest.mark.parametrize(
    "annotation",
    [
        "list",
        "list[Any]",
        "dict[str]",
        "set[int]",
        "int | str",
        "Decimal",
        "int +",
        "x" * 10_000,
        "(" * 10_000,
        "[]",
        "1",
        "int if x else str",
    ],
)
def test_an_annotation_that_is_not_supported_names_the_parameter(annotation):
    with pytest.raises(SignatureError, match="of parameter 'x' is not supported yet; supported: bool, int, float, str"):
        resolve("f", described(("x", annotation)))
    with pytest.raises(SignatureError, match="of the result is not supported yet"):
        resolve("f", described(returns=annotation))


@pytest.mark.parametrize(
    ("returns", "declared", "sql_type", "arrow_type"),
    [
        (None, None, "VARIANT", None),
        ("int", None, "BIGINT", pa.int64()),
        ("int | None", None, "BIGINT", pa.int64()),
        ("Any", None, "VARIANT", None),
        ("int", "DOUBLE", "DOUBLE", pa.float64()),
        (None, "INTEGER", "INTEGER", pa.int64()),
        (None, "FLOAT", "FLOAT", pa.float64()),
        ("list[int]", None, "BIGINT[]", pa.list_(pa.int64())),
        (None, "SMALLINT[2][]", "SMALLINT[2][]", pa.list_(pa.list_(pa.int64()))),
        (
            None,
            "STRUCT(a TINYINT, b MAP(VARCHAR, FLOAT))",
            "STRUCT(a TINYINT, b MAP(VARCHAR, FLOAT))",
            pa.struct([("a", pa.int64()), ("b", pa.map_(pa.string(), pa.float64()))]),
        ),
        (None, "ENUM('a', 'b')", "ENUM('a', 'b')", pa.string()),
        (None, "VARIANT", "VARIANT", None),
    ],
)
def test_the_result_type_is_declared_annotated_or_inferred(returns, declared, sql_type, arrow_type):
    signature = resolve("f", described(returns=returns), return_type=declared)
    assert (signature.return_type, signature.result_type) == (sql_type, arrow_type)


def test_declared_types_replace_annotations():
    signature = resolve("f", described(("x", "int"), ("y", None)), parameters=["DOUBLE", "VARCHAR"])
    assert [parameter.sql_type for parameter in signature.parameters] == ["DOUBLE", "VARCHAR"]


def test_null_handling_special_shows_every_null():
    signature = resolve("f", described(("x", "int"), ("y", None)), sees_null=True)
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
    signature = resolve("f", described(("x", "int"), ("rest", "int | None", "VAR_POSITIONAL")))
    assert signature.bind([pa.int64()] * 3) == [(pa.int64(), False), (pa.int64(), True), (pa.int64(), True)]


def test_a_builtin_that_cannot_be_inspected_takes_anything():
    signature = resolve("f", {"name": "max", "parameters": None, "returns": None})
    assert len(signature.bind([pa.int64()] * 7)) == 7


@pytest.mark.parametrize("declared", [[], ["BIGINT"], ["BIGINT"] * 3])
def test_declaring_more_or_fewer_parameters_than_there_are_is_an_error(declared):
    with pytest.raises(SignatureError, match=r"parameter type\(s\) declared, but the function takes 2"):
        resolve("f", described(("x", None), ("y", None)), parameters=declared)


def test_a_type_that_is_not_supported_is_named():
    with pytest.raises(SignatureError, match="the type INTERVAL of parameter 'y' is not supported yet"):
        resolve("f", described(("x", None), ("y", None)), parameters=["BIGINT", "INTERVAL"])
    with pytest.raises(SignatureError, match="the type BIT of the result is not supported yet"):
        resolve("f", described(), return_type="BIT")


def test_a_keyword_only_parameter_needs_a_default():
    with pytest.raises(SignatureError, match="'k' is keyword-only"):
        resolve("f", described(("k", None, "KEYWORD_ONLY")))
    resolve("f", described(("k", None, "KEYWORD_ONLY", False), ("o", None, "VAR_KEYWORD", True)))


@pytest.mark.parametrize("parameters", [[3], [{}], [{"name": "x"}], ["x"]])
def test_a_description_that_is_none_is_a_protocol_error(parameters):
    with pytest.raises(ProtocolError, match="malformed"):
        resolve("f", {"parameters": parameters})
