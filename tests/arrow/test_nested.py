"""Nested types, against SQL, DuckDB's own Python functions and pyarrow."""

import datetime as dt

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckdb_wasi_udf import DataLimits, GuestError, LimitExceeded
from duckdb_wasi_udf._arrow.type_mapping import result_type
from duckdb_wasi_udf._arrow.types import HUGEINT, UHUGEINT
from duckdb_wasi_udf._arrow.value_checks import is_safe_as_variant
from tests.support.guests import start

pytestmark = pytest.mark.shared_sandbox

VALUES = {
    "INTEGER[]": ["[1, NULL, 3]", "[]", "NULL", "[NULL]"],
    "VARCHAR[][]": ["[['a', NULL], NULL, []]", "[]", "NULL"],
    "INTEGER[3]": ["[1, NULL, 3]", "NULL"],
    "STRUCT(a INTEGER, b VARCHAR)": ["{'a': 1, 'b': NULL}", "{'a': NULL, 'b': 'ä'}", "NULL"],
    "STRUCT(a STRUCT(b STRUCT(c INTEGER[])))": ["{'a': {'b': {'c': [1, NULL]}}}", "{'a': {'b': NULL}}", "{'a': NULL}"],
    "MAP(VARCHAR, INTEGER)": ["MAP {'a': 1, 'b': NULL}", "MAP {}", "NULL"],
    "MAP(INTEGER, DATE[])": ["MAP {1: [DATE '2020-01-01', NULL], 2: NULL}", "NULL"],
    "ENUM('x', 'y', 'z')": ["'z'", "'x'", "NULL", "'z'"],
    "STRUCT(e ENUM('x', 'y'))[]": ["[{'e': 'y'}, NULL, {'e': NULL}]", "[]"],
    "DECIMAL(9, 2)[]": ["[1.25, NULL]"],
    "TIMESTAMP[]": ["[TIMESTAMP '2020-01-01 10:00:00.000001', NULL]"],
    "BLOB[]": [r"['\xAA\x00'::BLOB]"],
    "BOOLEAN[]": ["[true, NULL, false]"],
}


@pytest.fixture
def table(con):
    def make(sql_type):
        con.execute(f"CREATE TABLE t (i INTEGER, v {sql_type})")
        for i, value in enumerate(VALUES[sql_type] * 3):
            con.execute(f"INSERT INTO t VALUES ({i}, {value})")
        return con.execute("SELECT v FROM t ORDER BY i").fetchall()

    return make


@pytest.mark.own_sandbox
@pytest.mark.parametrize("sql_type", VALUES)
def test_values_arrive_as_in_duckdbs_own_functions_and_return(con, sandbox, table, sql_type):
    expected = table(sql_type)
    con.create_function("own_repr", lambda v: repr(v), [sql_type], "VARCHAR")
    sandbox.create_function(con, "our_repr", lambda v: repr(v), [sql_type], "VARCHAR")
    sandbox.create_function(con, "identity", lambda v: v, [sql_type], sql_type)
    query = "SELECT {}(v) FROM t ORDER BY i"
    assert con.execute(query.format("our_repr")).fetchall() == con.execute(query.format("own_repr")).fetchall()
    assert con.execute(query.format("identity")).fetchall() == expected


def test_a_union_arrives_as_the_value_of_its_member(con, sandbox):
    con.execute("CREATE TABLE t (u UNION(num INTEGER, str VARCHAR))")
    con.execute("INSERT INTO t VALUES (1), ('two'), (NULL)")
    got = con.execute("SELECT py_udf_varchar('def f(u: object): return repr(u)', u) FROM t").fetchall()
    assert got == [("1",), ("'two'",), ("None",)]


def test_a_result_goes_to_the_member_of_a_union_made_for_it(con, sandbox):
    union = "UNION(flag BOOLEAN, small TINYINT, number DOUBLE, day DATE, words VARCHAR[], name VARCHAR)"
    source = """
        import datetime
        values = [True, 7, 2.5, datetime.date(2020, 1, 2), ["a", None], "n", None]
        lambda i: values[i]
    """
    sandbox.create_function(con, "f", source, ["BIGINT"], union)
    got = con.execute("SELECT union_tag(f(i)), f(i)::VARCHAR FROM range(7) r(i)").fetchall()
    assert got[:6] == [
        ("flag", "true"),
        ("small", "7"),
        ("number", "2.5"),
        ("day", "2020-01-02"),
        ("words", "[a, NULL]"),
        ("name", "n"),
    ]
    assert got[6][1] is None
    sandbox.create_function(con, "g", "lambda i: i * 1000", ["BIGINT"], "UNION(small TINYINT, wide INTEGER)")
    got = con.execute("SELECT union_tag(g(i)), g(i)::VARCHAR FROM range(2) r(i)").fetchall()
    assert got == [("small", "0"), ("wide", "1000")]  # the first member that can hold it


def test_a_map_whose_keys_cannot_be_a_dicts_arrives_as_lists(con, sandbox):
    query = "SELECT py_udf_varchar('lambda m: repr(m)', MAP {[1]: 'a', [2]: 'b'})"
    assert con.execute(query).fetchall() == [("{'key': [[1], [2]], 'value': ['a', 'b']}",)]


def test_nested_results_are_inferred(con, sandbox):
    query = "SELECT to_json(py_udf($1, i)) FROM range(4) r(i)"
    rows = lambda code: [text and text.replace(" ", "") for (text,) in con.execute(query, [code]).fetchall()]
    assert rows("lambda x: [x] * x") == ["[]", "[1]", "[2,2]", "[3,3,3]"]
    assert rows("lambda x: {'a': x, 'b': [None, {'c': str(x)}]}")[1] == '{"a":1,"b":[null,{"c":"1"}]}'
    assert rows("lambda x: {'even': x} if x % 2 == 0 else {'odd': float(x)} if x < 3 else None")[:3] == [
        '{"even":0,"odd":null}',
        '{"even":null,"odd":1.0}',
        '{"even":2,"odd":null}',
    ]
    assert rows("lambda x: [1, 2.5, None] if x else []")[3] == "[1.0,2.5,null]"
    assert rows("lambda x: {x: 'a', -1: None}")[2] == '[{"key":2,"value":"a"},{"key":-1,"value":null}]'
    assert rows("lambda x: {} if x else {1: 2}") == ['[{"key":1,"value":2}]', "[]", "[]", "[]"]


def test_values_that_do_not_go_together_keep_their_types(con, sandbox):
    code = """
        import datetime, uuid
        from decimal import Decimal
        values = [1, "a", None, 2.5, True, [1, 2], {"k": None}, datetime.date(2020, 1, 2), b"x", Decimal("1.5"),
                  {1: [{}]}, uuid.UUID(int=1), datetime.timedelta(1), 7, [2**70]]
        lambda i: values[i]
    """
    got = con.execute(
        "SELECT v, variant_typeof(v) FROM (SELECT py_udf($1, i) AS v FROM range(15) r(i))", [code]
    ).fetchall()
    assert [kind for _, kind in got] == [
        *("INT64", "VARCHAR", "VARIANT_NULL", "DOUBLE", "BOOL_TRUE", "ARRAY(2)", "OBJECT(k)", "DATE", "BLOB"),
        *("DECIMAL(38, 1)", "ARRAY(1)", "UUID", "INTERVAL", "INT64", "ARRAY(1)"),
    ]
    assert [value for value, _ in got][:8] == [
        1,
        "a",
        None,
        2.5,
        True,
        [1, 2],
        {"k": None},
        dt.date(2020, 1, 2),
    ]
    (total,) = con.execute(
        "SELECT sum(py_udf('lambda i: i if i % 2 else str(i)', i)::BIGINT) FROM range(5000) r(i)"
    ).fetchall()
    assert total == (sum(range(5000)),)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[i, str(i)]", "[i, str(i)]"),
        ("[[i, str(i)]]", "[[i, str(i)]]"),
        ("{'a': i if i % 2 else str(i)}", "{'a': i if i % 2 else str(i)}"),
        ("[{'a': {'b': i if i % 2 else str(i)}}]", "[{'a': {'b': i if i % 2 else str(i)}}]"),
        ("[i] if i % 2 else {'a': [i]}", "[i] if i % 2 else {'a': [i]}"),
        ("[{i: i if i % 2 else str(i)}]", "[[{'key': i, 'value': i if i % 2 else str(i)}]]"),
    ],
)
def test_mixtures_inside_nested_values_keep_their_types(con, sandbox, expression, expected):
    query = "SELECT v, v::VARCHAR FROM (SELECT py_udf($1, i) AS v FROM range(3000) r(i))"
    rows = con.execute(query, [f"lambda i: {expression}"]).fetchall()
    assert [row for row, _ in rows] == [eval(expected, {"i": i}) for i in range(3000)]


@pytest.mark.parametrize(
    "expression",
    [
        "{'a': [i, str(i)]}",
        "{'a': {'b': [[i, str(i)]]}}",
        "[i, str(i)] if i % 2 else i",
        "[[i, str(i)], i]",
        "{i: i, str(i): i}",
        "{(i, str(i)): i}",
        "{'a': {i: i if i % 2 else str(i)}}",
    ],
)
def test_mixtures_that_duckdb_crashes_on_are_refused(failing, expression):
    query = "SELECT py_udf($1, i) FROM range(3000) r(i)"
    error = failing(query, [f"lambda i: {expression}"], error=GuestError)
    assert "declare a result type, such as JSON" in str(error)


def test_json_takes_mixtures_of_any_depth(con, sandbox):
    sandbox.create_function(con, "as_json", "lambda i: {'a': [i, str(i), {'b': [None, 1.5]}]}", ["BIGINT"], "JSON")
    assert con.execute("SELECT as_json(1)").fetchall() == [('{"a": [1, "1", {"b": [null, 1.5]}]}',)]


def test_a_forged_type_that_duckdb_would_crash_on_is_refused():
    mixed = pa.sparse_union([pa.field("a", pa.int64()), pa.field("b", pa.string())])
    safe = [
        mixed,
        pa.list_(mixed),
        pa.struct([("x", mixed)]),
        pa.list_(pa.struct([("x", mixed)])),
        pa.map_(pa.int64(), mixed),
    ]
    assert all(map(is_safe_as_variant, safe))
    nested = pa.sparse_union([pa.field("a", pa.list_(mixed))])
    crashing = [pa.struct([("x", pa.list_(mixed))]), nested, pa.map_(mixed, pa.int64()), pa.struct([("x", safe[-1])])]
    assert not any(map(is_safe_as_variant, crashing))


def test_annotations_of_nested_types(con, sandbox):
    @sandbox.function(con)
    def counted(words: list[str]) -> dict[str, int]:
        return {word: words.count(word) for word in words}

    got = con.execute("SELECT counted(['a', 'b', 'a']), typeof(counted(['a']))").fetchall()
    assert got == [({"a": 2, "b": 1}, "MAP(VARCHAR, BIGINT)")]


def test_a_struct_may_be_a_tuple_and_may_leave_fields_out(con, sandbox):
    returns = "STRUCT(a INTEGER, b VARCHAR)"
    sandbox.create_function(con, "f", "lambda x: (x, 'b') if x else {'b': 'only'}", ["INTEGER"], returns)
    assert con.execute("SELECT f(1), f(0)").fetchall() == [({"a": 1, "b": "b"}, {"a": None, "b": "only"})]


@pytest.mark.parametrize(
    ("returns", "expression", "message"),
    [
        ("INTEGER[]", "3", "returned int where its result type LIST was declared"),
        ("INTEGER[]", "['a']", "returned 'a', which is no INTEGER"),
        ("INTEGER[]", "{1, 2}", "returned set where its result type LIST was declared"),
        ("STRUCT(a INTEGER)", "[1]", "returned list where its result type STRUCT was declared"),
        ("STRUCT(a INTEGER)", "{'a': 1, 'z': 2}", "the key 'z', which its result type STRUCT doesn't have"),
        ("STRUCT(a INTEGER)", "{1: 2}", "the key 1, which its result type STRUCT doesn't have"),
        ("STRUCT(a INTEGER)", "(1, 2)", "returned a tuple of 2 where its result type STRUCT has 1 fields"),
        ("MAP(VARCHAR, INTEGER)", "[('a', 1)]", "returned list where its result type MAP was declared"),
        ("MAP(VARCHAR, INTEGER)", "{None: 1}", "the key None, which a MAP can't have"),
        ("MAP(VARCHAR, INTEGER)", "{b'a': 1}", "returned bytes where its result type VARCHAR was declared"),
        ("VARIANT", "{'a': 2, 1: 2}", "a key of type int; the keys of an inferred STRUCT are str"),
        ("VARIANT", "{1: 2, None: 2}", "the key None, which a MAP can't have"),
        ("VARIANT", "[1, {2}]", "returned set; a result must be"),
        ("UNION(a INTEGER, b DATE)", "'text'", "returned str, which no member of its result type UNION takes"),
        ("VARIANT", "{f'k{i}': i for i in range(20_000)}", "more than 10000 keys"),
        ("VARIANT", "(lambda a: (a.append(a), a)[1])([])", "nested deeper than 32"),
    ],
)
def test_a_nested_result_its_type_cannot_hold_is_an_error(con, sandbox, failing, returns, expression, message):
    sandbox.create_function(con, "f", f"lambda x: {expression}", ["BIGINT"], returns)
    error = failing("SELECT f(i) FROM range(3) t(i)", error=GuestError)
    with pytest.raises(GuestError, match=message):
        raise error


@pytest.mark.parametrize(
    ("returns", "good", "bad"),
    [
        ("INTEGER[]", "[i, i]", "[i, 'x']"),
        ("MAP(VARCHAR, INTEGER)", "{str(i): i}", "{'k': 1, 'l': 'x'}"),
        ("STRUCT(a INTEGER, b VARCHAR[])", "{'a': i, 'b': [str(i), None]}", "{'a': None, 'b': ['y', b'3']}"),
        ("VARIANT", "{'a': i, 'b': [str(i), None]}", "{'a': None, 'b': ['y', {3}]}"),
        ("VARIANT", "[i, str(i), {i: i}]", "[b'', 1.5, {1: {2}}]"),
        ("UNION(n BIGINT, l VARCHAR[])", "[str(i)] if i % 2 else i", "['x', {3}]"),
    ],
)
def test_a_row_that_fails_halfway_leaves_nothing_behind(con, sandbox, returns, good, bad):
    code = f"lambda i: {bad} if i % 3 == 1 else {good}"
    sandbox.create_function(con, "f", code, ["BIGINT"], returns, exception_handling="return_null")
    sandbox.create_function(con, "g", f"lambda i: None if i % 3 == 1 else {good}", ["BIGINT"], returns)
    query = "SELECT {}(i) FROM range(5000) r(i)"
    assert con.execute(query.format("f")).fetchall() == con.execute(query.format("g")).fetchall()


def test_what_changes_while_it_is_encoded_does_no_harm(con, sandbox):
    code = """
        import datetime

        class Evil(datetime.tzinfo):
            def utcoffset(self, when):
                kept.clear()
                return datetime.timedelta(0)

        kept = []

        def f(x):
            kept.extend(datetime.datetime(2020, 1, 1, tzinfo=Evil()) for _ in range(5))
            return kept
    """
    sandbox.create_function(con, "f", code, ["BIGINT"], "TIMESTAMPTZ[]")
    assert con.execute("SELECT len(f(i)) FROM range(100) r(i)").fetchall() == [(1,)] * 100


def test_nested_values_count_against_the_limit_of_a_result():
    for source in ("lambda x: [x] * x", "lambda x: [None] * x"):
        instance = start(source, pa.int64(), data_limits=DataLimits(result_bytes=10_000))
        assert len(instance.call([pa.array([1000])], 1)[0][0]) == 1000
        with pytest.raises(LimitExceeded, match="result_bytes"):
            instance.call([pa.array([100_000])], 1)


MICROSECONDS = st.integers(-(2**50), 2**50)


def interval(parts):
    months, days, microseconds = parts
    return pa.MonthDayNano([months, days, 1000 * microseconds])


SCALARS = {
    pa.bool_(): st.booleans(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int8(): st.integers(-128, 127),
    pa.float64(): st.floats(allow_nan=False),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    pa.binary(): st.binary(max_size=8),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.uuid(): st.uuids().map(lambda value: value.bytes),
    HUGEINT: st.integers(-(2**127), 2**127 - 1).map(lambda value: value.to_bytes(16, "little", signed=True)),
    UHUGEINT: st.integers(0, 2**128 - 1).map(lambda value: value.to_bytes(16, "little")),
    pa.month_day_nano_interval(): st.tuples(st.integers(-9999, 9999), st.integers(-9999, 9999), MICROSECONDS).map(
        interval
    ),
    pa.decimal128(38, 5): st.decimals(-(10**30), 10**30, places=5),
}
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=5)


def nest(types):
    fields = st.lists(st.tuples(NAMES, types), min_size=1, max_size=3, unique_by=lambda field: field[0])
    return (
        types.map(pa.list_)
        | st.tuples(types, st.integers(1, 3)).map(lambda pair: pa.list_(*pair))
        | fields.map(pa.struct)
        | types.map(lambda item: pa.map_(pa.string(), item))
    )


TYPES = st.recursive(st.sampled_from(list(SCALARS)), nest, max_leaves=5)


def values(data_type):
    types = pa.types
    if data_type in SCALARS:
        return st.none() | SCALARS[data_type]
    if types.is_list(data_type):
        return st.none() | st.lists(values(data_type.value_type), max_size=4)
    if types.is_fixed_size_list(data_type):
        size = data_type.list_size
        return st.none() | st.lists(values(data_type.value_type), min_size=size, max_size=size)
    if types.is_map(data_type):
        items = st.dictionaries(SCALARS[pa.string()], values(data_type.item_type), max_size=3)
        return st.none() | items.map(lambda found: list(found.items()))
    return st.none() | st.fixed_dictionaries({field.name: values(field.type) for field in data_type})


def storage(data_type):
    """The type without extension types, of which pyarrow makes no arrays from lists."""
    types = pa.types
    if isinstance(data_type, pa.BaseExtensionType):
        return data_type.storage_type
    if types.is_list(data_type):
        return pa.list_(storage(data_type.value_type))
    if types.is_fixed_size_list(data_type):
        return pa.list_(storage(data_type.value_type), data_type.list_size)
    if types.is_map(data_type):
        return pa.map_(data_type.key_type, storage(data_type.item_type))
    if types.is_struct(data_type):
        return pa.struct([(field.name, storage(field.type)) for field in data_type])
    return data_type


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_random_values_of_random_types_survive_the_round_trip(data):
    data_type = data.draw(TYPES)
    rows = data.draw(st.lists(values(data_type), max_size=6))
    whole = pa.array(rows, storage(data_type)).cast(data_type)
    array = whole[data.draw(st.integers(0, len(whole))) :]
    instance = start("lambda x: x", data_type, result=result_type(data_type))
    result, _ = instance.call([array], len(array))
    result.validate(full=True)
    assert result.type == result_type(data_type)
    assert result.to_pylist() == array.to_pylist()


def test_an_enum_of_many_values_is_decoded_as_far_as_it_is_used(con, sandbox):
    names = ", ".join(f"'value {i}'" for i in range(5000))
    con.execute(f"CREATE TYPE many AS ENUM ({names})")
    con.execute("CREATE TABLE t AS SELECT ('value ' || (i % 7))::many AS e FROM range(10000) r(i)")
    got = con.execute("SELECT py_udf_varchar('lambda e: e.upper()', e) AS u, count(*) FROM t GROUP BY u ORDER BY u")
    assert got.fetchall() == [(f"VALUE {i}", 10000 // 7 + (i < 10000 % 7)) for i in range(7)]
