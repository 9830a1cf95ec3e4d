"""VARIANT columns made plain values: what DuckDB exports, and bytes that are damaged."""

import datetime as dt
import decimal
import math
import random
import time
import uuid

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import variant_to_arrow, variant_to_python

pytestmark = pytest.mark.shared_sandbox

VARIANT = pa.struct([pa.field("metadata", pa.binary(), nullable=False), pa.field("value", pa.binary())])

VALUES = {
    "true": True,
    "(-5)::TINYINT": -5,
    "300::SMALLINT": 300,
    "-70000::INTEGER": -70000,
    "9223372036854775807": 2**63 - 1,
    "1.5::DOUBLE": 1.5,
    "'-inf'::DOUBLE": -math.inf,
    "0.5::FLOAT": 0.5,
    "1.25": decimal.Decimal("1.25"),
    "-12345678901234567890.123::DECIMAL(38,3)": decimal.Decimal("-12345678901234567890.123"),
    "'ä' || repeat('x', 100)": "ä" + "x" * 100,
    "''": "",
    "'\\x00\\xff'::BLOB": b"\x00\xff",
    "DATE '0001-01-01'": dt.date(1, 1, 1),
    "TIME '23:59:59.999999'": dt.time(23, 59, 59, 999_999),
    "TIMESTAMP '2024-02-29 12:00:00.000001'": dt.datetime(2024, 2, 29, 12, 0, 0, 1),
    "TIMESTAMPTZ '1969-12-31 23:59:59+00'": dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
    "TIMESTAMP_NS '2024-01-01 00:00:00.000001'": dt.datetime(2024, 1, 1, 0, 0, 0, 1),
    "'12345678-1234-5678-1234-567812345678'::UUID": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "[1, NULL, 3]": [1, None, 3],
    "[]::INTEGER[]": [],
    "{'a': [{'b': 1}], 'c': 'x'}": {"a": [{"b": 1}], "c": "x"},
    "range(300)": list(range(300)),
}


def exported(con, expression):
    return con.sql(f"SELECT ({expression})::VARIANT AS v").to_arrow_table()["v"]


@pytest.mark.parametrize("expression", VALUES)
def test_a_value_is_what_duckdb_has(con, expression):
    (value,) = variant_to_python(exported(con, expression))
    assert value == VALUES[expression]
    assert type(value) is type(VALUES[expression])


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
def test_what_py_udf_returns_arrives_everywhere(con, sandbox, rows):
    code = "def f(i): return [None, i, str(i), {'n': [i, -1], 'ü': 'ü'}][i % 4]"
    relation = con.sql("SELECT py_udf($1, i) AS v FROM range($2) t(i)", params=[code, rows])
    expected = [[None, i, str(i), {"n": [i, -1], "ü": "ü"}][i % 4] for i in range(rows)]
    table = relation.to_arrow_table()
    assert variant_to_python(table["v"]) == expected
    assert variant_to_python(table["v"].slice(rows // 2)) == expected[rows // 2 :]
    if rows:
        assert variant_to_python(table["v"].combine_chunks().slice(1)) == expected[1:]
        assert variant_to_python(relation.pl()["v"]) == expected


def test_an_arrow_array_of_a_common_type(con, sandbox):
    table = con.sql("SELECT py_udf('lambda i: i * 1.5', i) AS v FROM range(3) t(i)").to_arrow_table()
    assert variant_to_arrow(table["v"]).equals(pa.array([0.0, 1.5, 3.0]))
    assert variant_to_arrow(table["v"], pa.float32()).type == pa.float32()
    mixed = con.sql("SELECT py_udf('lambda i: str(i) if i else i', i) AS v FROM range(3) t(i)").to_arrow_table()
    with pytest.raises(ValueError, match="the values of the VARIANT don't fit one Arrow type"):
        variant_to_arrow(mixed["v"])
    with pytest.raises(ValueError, match="don't fit int64"):
        variant_to_arrow(mixed["v"], pa.int64())


@pytest.mark.parametrize("column", [pa.array([1]), pa.array([{"a": 1}]), pl.Series([1]), [b""], None])
def test_another_column_is_refused(column):
    with pytest.raises(TypeError, match="a VARIANT column is a"):
        variant_to_python(column)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("TIMESTAMP_NS '2024-01-01 00:00:00.000000001'", "nanoseconds"),
        ("DATE 'infinity'", "outside the years 1 to 9999"),
        ("DATE '10000-01-01'", "outside the years 1 to 9999"),
    ],
)
def test_values_that_python_has_not_are_an_error(con, expression, message):
    with pytest.raises(ValueError, match=message):
        variant_to_python(exported(con, expression))


def encoded(metadata, value):
    return pa.array([{"metadata": metadata, "value": value}], VARIANT)


def test_damaged_bytes_are_an_error_or_other_values(con):
    chance = random.Random(1)
    (row,) = exported(
        con, "{'a': [{'b': 2.5, 'c': NULL}, {'b': 1, 'c': 'text'}], 'd': DATE '2024-01-01', 'e': 1.25}"
    ).to_pylist()
    read = 0
    for _ in range(3000):
        metadata, value = bytearray(row["metadata"]), bytearray(row["value"])
        for data in (metadata, value):
            for _ in range(chance.randrange(3)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            if chance.random() < 0.2:
                del data[chance.randrange(len(data)) :]
        try:
            variant_to_python(encoded(bytes(metadata), bytes(value)))
            read += 1
        except ValueError:
            pass
    assert 0 < read < 3000


def test_bytes_that_mean_far_more_than_they_are_end_soon():
    lists = b"\x00"  # NULL
    began = time.perf_counter()
    for _ in range(60):  # each is a list of 200 times the one before, at the same place
        lists = bytes([3, 200]) + b"\0" * 201 + lists
    with pytest.raises(ValueError, match="not in Parquet's encoding"):
        variant_to_python(encoded(b"\x01\0\0", lists))
    deep = b"\x00"
    for _ in range(300):
        deep = bytes([3, 1, 0, 1]) + deep
    with pytest.raises(ValueError, match="nests too deep"):
        variant_to_python(encoded(b"\x01\0\0", deep))
    assert time.perf_counter() - began < 5


def test_metadata_is_checked():
    for metadata in (b"", b"\x02\0\0", b"\x01", b"\x01\x05\0", b"\x01\x01\x02\x01a", b"\x01\x01\0\xffa"):
        with pytest.raises(ValueError, match="not in Parquet's encoding"):
            variant_to_python(encoded(metadata, b"\x02\x01\0\0\x01\0"))


def test_a_variant_argument_becomes_what_the_annotation_says(con, sandbox, failing):
    code = "def f(x: float) -> str: return repr(x)"
    query = "SELECT py_udf_varchar($1, py_udf('lambda x: x', x)) FROM (VALUES ({}), (NULL)) t(x)"
    for literal, shown in (("1.25", "1.25"), ("1", "1.0"), ("1::DOUBLE", "1.0")):
        assert con.execute(query.format(literal), [code]).fetchall() == [(shown,), (None,)]
    error = failing(query.format("'abc'"), [code], error=wasi_udf.SignatureError)
    assert "the parameter 'x' expects DOUBLE, got VARIANT: a VARIANT holds 'abc'" in str(error)


def test_helpers_need_no_sandbox():
    with duckdb.connect() as con:
        assert variant_to_python(exported(con, "42")) == [42]
