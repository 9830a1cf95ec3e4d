"""Documents decoded and encoded on the host, against the standard library and the formats' own readers."""

import datetime as dt
import io
import json
import subprocess
import sys
from decimal import Decimal

import cbor2
import duckdb
import ormsgpack
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from hostfuncs import serialization
from hostfuncs.serialization import DocumentError

VALUE = {"id": 2**62, "tags": ["a", "ä\U0001f600", None], "pos": {"x": 1.5, "y": None}, "ok": True}
TYPE = "STRUCT(id BIGINT, tags VARCHAR[], pos STRUCT(x DOUBLE, y DOUBLE), ok BOOLEAN)"
WRITERS = {
    "json": json.dumps,
    "yaml": lambda value: yaml.safe_dump(value, allow_unicode=True),
    "msgpack": ormsgpack.packb,
    "cbor": cbor2.dumps,
}
READERS = {"json": json.loads, "yaml": yaml.safe_load, "msgpack": ormsgpack.unpackb, "cbor": cbor2.loads}
FORMATS = sorted(WRITERS)
SIZES = [0, 1, 2047, 2048, 2049]


def documents(name, values):
    text = name in {"json", "yaml"}
    return pa.array([None if v is None else WRITERS[name](v) for v in values], pa.string() if text else pa.binary())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", SIZES)
def test_documents_become_values_of_the_type(name, size):
    decode = serialization.decode(name, "STRUCT(i BIGINT, s VARCHAR)")
    assert (decode.name, decode.batched) == (f"decode_{name}", True)
    values = [None if i % 5 == 4 else {"i": i, "s": str(i)} for i in range(size)]
    assert decode(documents(name, values)).to_pylist() == values


@pytest.mark.parametrize("name", FORMATS)
def test_nested_values_survive_both_ways(name):
    decoded = serialization.decode(name, TYPE)(documents(name, [VALUE, None, {}]))
    assert decoded.to_pylist() == [VALUE, None, dict.fromkeys(VALUE)]
    encoded = serialization.encode(name, TYPE)(decoded).to_pylist()
    assert READERS[name](encoded[0]) == VALUE
    assert encoded[1] is None
    assert READERS[name](encoded[2]) == dict.fromkeys(VALUE)


@pytest.mark.parametrize("name", FORMATS)
def test_json_stands_for_whatever_a_document_holds(name):
    values = [VALUE, [1, "x", None, {}], "text", 1.5, False, None]
    texts = serialization.decode(name, "JSON")(documents(name, values)).to_pylist()
    assert [None if text is None else json.loads(text) for text in texts] == values
    with duckdb.connect() as con:
        assert con.execute("SELECT ($1::JSON).id::BIGINT", [texts[0]]).fetchall() == [(2**62,)]
    encoded = serialization.encode(name, "JSON")(pa.array(texts, pa.json_())).to_pylist()
    assert [None if document is None else READERS[name](document) for document in encoded] == values


@pytest.mark.parametrize("name", FORMATS)
def test_dates_times_decimals_and_maps(name):
    value = {
        "d": dt.date(2024, 2, 29),
        "t": dt.datetime(2024, 1, 2, 3, 4, 5, 6),
        "z": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "c": dt.time(1, 2, 3, 4),
        "n": Decimal("12.50"),
        "m": [("k", 1)],
    }
    sql_type = "STRUCT(d DATE, t TIMESTAMP, z TIMESTAMPTZ, c TIME, n DECIMAL(9,2), m MAP(VARCHAR, INTEGER))"
    arrow_type = pa.struct(
        [
            ("d", pa.date32()),
            ("t", pa.timestamp("us")),
            ("z", pa.timestamp("us", "UTC")),
            ("c", pa.time64("us")),
            ("n", pa.decimal128(9, 2)),
            ("m", pa.map_(pa.string(), pa.int32())),
        ]
    )
    encoded = serialization.encode(name, sql_type)(pa.array([value], arrow_type))
    assert serialization.decode(name, sql_type)(encoded).to_pylist() == [value]


@pytest.mark.parametrize("name", ["msgpack", "cbor"])
def test_bytes_are_bytes_where_the_format_has_them(name):
    document = serialization.encode(name, "BLOB")(pa.array([b"\x00\xff"], pa.binary()))
    assert serialization.decode(name, "BLOB")(document).to_pylist() == [b"\x00\xff"]
    with pytest.raises(DocumentError, match="^row 0: TypeError: "):
        serialization.decode(name, "JSON")(document)


@pytest.mark.parametrize(
    ("value", "sql_type", "told"),
    [
        (1.5, "BIGINT", "'1.5' is no int64"),
        ("1", "BIGINT", "'1' is no int64"),
        (True, "BIGINT", "'True' is no int64"),
        (2**63, "BIGINT", OverflowError),
        (300, "TINYINT", pa.ArrowInvalid),
        (1, "BOOLEAN", "int is no bool"),
        (1, "VARCHAR", "int is no string"),
        ([1], "VARCHAR", "list is no string"),
        ({}, "BIGINT[]", "dict is no list"),
        ([1], "STRUCT(a BIGINT)", "list is no struct"),
        ([1, "x"], "BIGINT[]", "'x' is no int64"),
        ("2024-02-30", "DATE", ValueError),
        ("1e400000000", "DECIMAL(9,2)", pa.ArrowInvalid),
    ],
)
def test_a_value_that_does_not_fit_names_the_row_or_is_null(value, sql_type, told):
    given = documents("json", [None, None, value, None])
    message = f"{told.__name__}: " if isinstance(told, type) else f"TypeError: {told}"
    with pytest.raises(DocumentError, match=f"^row 2: {message}") as raised:
        serialization.decode("json", sql_type)(given)
    assert raised.value.row == 2
    assert isinstance(raised.value.__cause__, told if isinstance(told, type) else TypeError)
    assert serialization.decode("json", sql_type, errors="null")(given).to_pylist() == [None] * 4


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("json", "{"),
        ("json", "NaN"),
        ("json", '{"a": 1} x'),
        ("json", "[" * 100_000),
        ("yaml", "a: [1"),
        ("yaml", "!!python/object/apply:os.system ['true']"),
        ("yaml", "a: &x 1\nb: *x"),
        ("yaml", "a\n---\nb"),
        ("yaml", "[" * 100_000),
        ("yaml", "- " * 100_000),
        ("yaml", "9" * 5_000),
        ("yaml", "{18446744073709551616: 1}"),
        ("msgpack", b""),
        ("msgpack", b"\xdd\xff\xff\xff\xff"),
        ("msgpack", b"\x91" * 100_000),
        ("msgpack", b"\xc7\x01\x05\x00"),
        ("cbor", b""),
        ("cbor", b"\x9b\x7f" + b"\xff" * 7),
        ("cbor", b"\x81" * 100_000),
        ("cbor", bytes.fromhex("d81c81d81d00")),  # a list that holds itself
        ("cbor", bytes.fromhex("d9010083656161616161d81900d81900")),  # strings used again
        ("cbor", cbor2.dumps({1: 1})),
        ("cbor", cbor2.dumps({(1, 2): 1})),
        ("cbor", cbor2.dumps(cbor2.CBORTag(35, "(a+)+$"))),
        ("arrow", b"ARROW1"),
        ("arrow", b""),
        ("parquet", b"PAR1PAR1"),
    ],
)
def test_malformed_documents_name_the_row_or_are_null(name, document):
    sql_type = "STRUCT(a BIGINT)[]" if name in {"arrow", "parquet"} else "JSON"
    with pytest.raises(DocumentError, match=r"^row 1: \w+: "):
        serialization.decode(name, sql_type)(pa.array([None, document]))
    assert serialization.decode(name, sql_type, errors="null")(pa.array([document])).to_pylist() == [None]


def test_hostile_numbers_take_no_time():
    for document in ("c4821a3b9aca0001", "c5821a3b9aca0001"):  # 1e1000000000, 2**1000000000
        for sql_type in ("BIGINT", "DOUBLE", "DECIMAL(18,3)", "VARCHAR"):
            decode = serialization.decode("cbor", sql_type, errors="null")
            assert decode(pa.array([bytes.fromhex(document)])).to_pylist() in ([None], [float("inf")])


def test_values_without_a_form_name_the_row_or_are_null():
    values = pa.array([None, b"\xff"], pa.binary())
    with pytest.raises(DocumentError, match="^row 1: TypeError: "):
        serialization.encode("json", "BLOB")(values)
    assert serialization.encode("json", "BLOB", errors="null")(values).to_pylist() == [None, None]
    with pytest.raises(DocumentError, match="row 0: "):
        serialization.encode("msgpack", "JSON")(pa.array(["{"]))


ROWS = [[{"a": 1, "s": "x"}, {"a": None, "s": "ä"}], None, [], [{"a": 2, "s": None}]]
ROWS_TYPE = "STRUCT(a BIGINT, s VARCHAR)[]"
ROWS_ARROW = pa.list_(pa.struct([("a", pa.int64()), ("s", pa.string())]))


@pytest.mark.parametrize("name", ["arrow", "parquet"])
def test_tables_become_lists_of_rows_and_back(name):
    encoded = serialization.encode(name, ROWS_TYPE)(pa.array(ROWS, ROWS_ARROW)).to_pylist()
    assert encoded[1] is None
    read = pa.ipc.open_stream(encoded[0]).read_all() if name == "arrow" else pq.read_table(io.BytesIO(encoded[0]))
    assert read.to_pylist() == ROWS[0]
    decode = serialization.decode(name, ROWS_TYPE)
    assert decode(pa.array(encoded)).to_pylist() == ROWS
    assert decode(pa.array([], pa.binary())).to_pylist() == []
    other = serialization.decode(name, "STRUCT(b DATE, a INTEGER)[]")
    assert other(pa.array(encoded[:1])).to_pylist() == [[{"b": None, "a": 1}, {"b": None, "a": None}]]


def test_arrow_streams_may_nest_and_parquet_may_not():
    nested = "STRUCT(l BIGINT[], t STRUCT(x BOOLEAN))[]"
    value = [[{"l": [1, None], "t": {"x": True}}]]
    arrow_type = pa.list_(pa.struct([("l", pa.list_(pa.int64())), ("t", pa.struct([("x", pa.bool_())]))]))
    encoded = serialization.encode("arrow", nested)(pa.array(value, arrow_type))
    assert serialization.decode("arrow", nested)(encoded).to_pylist() == value
    with pytest.raises(ValueError, match="columns of Parquet documents can't nest"):
        serialization.decode("parquet", nested)
    with pytest.raises(ValueError, match=r"has to be STRUCT\(\.\.\.\)\[\]"):
        serialization.decode("arrow", "BIGINT")


def stream(table, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_arrow_streams_with_wrong_lengths_are_refused():
    decode = serialization.decode("arrow", "STRUCT(a VARCHAR)[]")
    plain = pa.table({"a": ["x" * 1000] * 100})
    assert len(decode(pa.array([stream(plain)])).to_pylist()[0]) == 100
    views = plain.cast(pa.schema([("a", pa.string_view())]))
    for document in (
        stream(plain, compression="zstd"),
        stream(plain, compression="lz4"),
        stream(pa.table({"a": plain.column("a").dictionary_encode()})),
        stream(views),
        stream(pa.table({"n": pa.nulls(10**8)})),
        stream(pa.table({"a": pa.nulls(10**8)})),
        stream(pa.table({"l": pa.ListArray.from_arrays(pa.array([0, 10**8], pa.int32()), pa.nulls(10**8))})),
        stream(pa.table({"s": pa.array([{}] * 10, pa.struct([]))})),
    ):
        assert len(document) < 200_000
        with pytest.raises(
            DocumentError, match=r"may not be compressed or hold dictionaries|of the type|100000000 rows"
        ):
            decode(pa.array([document]))
    short = stream(pa.table({"a": pa.nulls(2)}))
    assert decode(pa.array([short])).to_pylist() == [[{"a": None}] * 2]


def parquet_bomb(value_bytes, rows):
    """A file of a few KiB at most: a value once, and how often it stands there."""
    codes = pa.Array.from_buffers(pa.int8(), rows, [None, pa.py_buffer(bytes(rows))])
    column = pa.DictionaryArray.from_arrays(codes, pa.array(["x" * value_bytes]))
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": column}), sink, compression="zstd", store_schema=False)
    return sink.getvalue()


BOMBS = """
import resource, sys
import pyarrow as pa
from hostfuncs import serialization
from tests.hostfuncs.test_serialization import parquet_bomb
decode = serialization.decode("parquet", "STRUCT(a VARCHAR)[]")
assert decode(pa.array([parquet_bomb(10, 1000)])).to_pylist() == [[{"a": "x" * 10}] * 1000]
bombs = [parquet_bomb(3 * 10**6, 2_000), parquet_bomb(100, 2_000_000), parquet_bomb(10**8, 1)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for bomb in bombs:
    assert len(bomb) < 2**20, len(bomb)
    try:
        print(len(decode(pa.array([bomb]))), "rows")
    except ValueError as error:
        print(f"{type(error.__cause__).__name__}: {error}".splitlines()[0])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, "MiB")
"""


def test_parquet_bombs_take_no_memory_to_speak_of():
    done = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    large, long, wide, used = done.stdout.splitlines()
    assert "the values are 6000000000 bytes, 67108864 are allowed" in large
    assert "the values are 200000000 bytes" in long
    assert wide.startswith("OutOfMemoryException: ")
    assert int(used.split()[0]) < 300


def test_sizes_of_batches_are_limited():
    decode = serialization.decode("json", "VARCHAR", input_bytes=100)
    assert decode(pa.array(['"x"'])).to_pylist() == ["x"]
    with pytest.raises(ValueError, match=r"the documents of the batch are \d+ bytes, 100 are allowed"):
        decode(pa.array(['"xxxxxxxxx"'] * 20))
    grown = serialization.decode(
        "json", f"STRUCT({', '.join(f'c{i} BIGINT' for i in range(100))})", output_bytes=10_000
    )
    with pytest.raises(ValueError, match="the values of the batch are"):
        grown(pa.array(["{}"] * 100))
    with pytest.raises(ValueError, match="the values of the batch are"):
        serialization.encode("json", "VARCHAR", input_bytes=10)(pa.array(["x" * 100]))


def test_unknown_formats_types_and_options_are_named():
    with pytest.raises(ValueError, match="format must be 'json'"):
        serialization.decode("xml", "JSON")
    with pytest.raises(ValueError, match="'NUMBERS' is not a type"):
        serialization.decode("json", "NUMBERS")
    with pytest.raises(ValueError, match="documents hold nothing that becomes"):
        serialization.decode("json", "UUID")
    with pytest.raises(ValueError, match="errors must be"):
        serialization.encode("json", "JSON", errors="ignore")


def test_names_and_other_options_may_be_said():
    decode = serialization.decode("json", "JSON", name="parse", doc="Parses.")
    assert (decode.name, decode.doc) == ("parse", "Parses.")
