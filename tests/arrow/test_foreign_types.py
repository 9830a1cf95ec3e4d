"""Types of Arrow that DuckDB never hands over: the values are the same in those that guests know."""

import datetime as dt
import decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import SignatureError
from duckdb_wasi_udf._arrow.foreign_types import known
from duckdb_wasi_udf._arrow.layouts import supports
from duckdb_wasi_udf._arrow.types import with_small_offsets

TEXT = st.text(max_size=3)
LEAVES = [
    (pa.int64(), st.integers(-5, 5)),
    (pa.string(), TEXT),
    (pa.string_view(), TEXT),
    (pa.binary_view(), st.binary(max_size=20)),
    (pa.binary(2), st.binary(min_size=2, max_size=2)),
    (pa.dictionary(pa.int8(), pa.string()), TEXT),
    (pa.date64(), st.dates()),
    (pa.time32("ms"), st.sampled_from([dt.time(1, 2, 3), dt.time(0)])),
    (pa.float16(), st.sampled_from([0.5, -2.0])),
    (pa.decimal64(9, 2), st.decimals(-999, 999, places=2)),
    (pa.timestamp("ns", "Asia/Tokyo"), st.sampled_from([dt.datetime(2020, 2, 29, tzinfo=dt.UTC)])),
]


def nested(inside):
    """Return types that contain one, with their values."""
    data_type, values = inside
    values = st.none() | values
    return st.sampled_from([
        (pa.list_(data_type), st.lists(values, max_size=3)),
        (pa.large_list(data_type), st.lists(values, max_size=3)),
        (pa.list_view(data_type), st.lists(values, max_size=3)),
        (pa.large_list_view(data_type), st.lists(values, max_size=3)),
        (pa.list_(data_type, 2), st.lists(values, min_size=2, max_size=2)),
        (pa.struct([("a", data_type), ("b", pa.int8())]), st.fixed_dictionaries({"a": values, "b": st.just(1)})),
        (pa.map_(pa.string(), data_type), st.lists(st.tuples(TEXT, values), max_size=3)),
    ])  # fmt: skip


TYPES = st.recursive(st.sampled_from(LEAVES), lambda inner: inner.flatmap(nested), max_leaves=3)


def values_of(column):
    """Return the values of a column in Python; a Timestamp of pandas is a datetime."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(part) for part in value]
        return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value

    return plain(column.to_pylist())


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_values_stay_the_same_in_types_that_guests_know(data):
    data_type, values = data.draw(TYPES)
    parts = data.draw(st.lists(st.lists(st.none() | values, max_size=4), max_size=3))
    first = next(iter([part[0] for part in parts if part]), None)
    column = pa.chunked_array([pa.array([None, first, *part], data_type)[2:] for part in parts], data_type)
    made = known(pa.table({"x": column}))["x"]
    made.validate(full=True)
    assert supports(with_small_offsets(made.type))
    assert values_of(made) == values_of(column)


def test_guests_get_values_of_foreign_types_inside_of_others():
    shown = wasi_udf.batch_function("def shown(x) -> str: return repr(x)", null_handling="special")
    column = pa.array([[{"a": "x", "d": decimal.Decimal("1.5")}, None], None], pa.list_view(
        pa.struct([("a", pa.dictionary(pa.int8(), pa.large_string())), ("d", pa.decimal32(4, 1))])
    ))  # fmt: skip
    assert shown(pa.table({"x": column}))["shown"].to_pylist() == [repr(value) for value in column.to_pylist()]
    texts = pa.DictionaryArray.from_arrays([1, None, 0], pa.array(["a", "b"], pa.string_view()))
    assert shown(pa.table({"x": texts}))["shown"].to_pylist() == ["'b'", "None", "'a'"]
    durations = pa.array([[dt.timedelta(days=-1, seconds=5)]], pa.list_(pa.duration("s")))
    seconds = wasi_udf.batch_function("def s(x) -> float: return x[0].total_seconds()")
    assert seconds(pa.table({"x": durations}))["s"].to_pylist() == [-86395.0]


def test_what_no_guest_knows_is_refused():
    shown = wasi_udf.batch_function("def shown(x) -> str: return repr(x)")
    huge = pa.array([decimal.Decimal(10) ** 50], pa.decimal256(60, 2))
    with pytest.raises(SignatureError, match="has the Arrow type decimal256.*cast it, for example to VARCHAR"):
        shown(pa.table({"x": huge}))
    pl = pytest.importorskip("polars", reason="pip install polars")
    with pytest.raises(SignatureError, match="'x' Int128.*cast what is no type of Arrow"):
        shown(pl.DataFrame({"x": pl.Series([1], dtype=pl.Int128)}))
