"""Results that their declared type can't hold, and those that it just can."""

import struct

import duckdb
import pytest

from duckdb_wasi_udf import GuestError

pytestmark = pytest.mark.shared_sandbox

IMPORTS = "import array, datetime, decimal, io, pickle, uuid\nimport duckdb_wasi_udf\n"
WIDTHS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
FLOAT_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
TOO_WIDE = FLOAT_MAX + 2.0**103  # half a step beyond: it would round to infinity

BOUNDS = [
    *[(name, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for name, bits in WIDTHS.items()],
    *[(f"U{name}", 0, 2**bits - 1) for name, bits in WIDTHS.items()],
]


def check_refused(con, sandbox, sql_type, expression, message):
    sandbox.create_function(
        con, "refused", f"{IMPORTS}lambda i: {expression} if i == 5 else None", ["BIGINT"], sql_type
    )
    with pytest.raises(duckdb.InvalidInputException):
        con.execute("SELECT refused(i) FROM range(10) r(i)").fetchall()
    error = sandbox.last_error
    assert isinstance(error, GuestError)
    assert (error.row, error.arguments) == (5, ("5",))
    assert message in str(error), str(error)
    assert str(error).startswith("refused: ")
    con.remove_function("refused")


@pytest.mark.parametrize(("sql_type", "least", "most"), BOUNDS)
def test_integers_have_the_bounds_of_their_type(con, sandbox, sql_type, least, most):
    sandbox.create_function(con, "f", f"lambda i: ({least}, {most})[i]", ["BIGINT"], sql_type)
    assert con.execute("SELECT f(0)::VARCHAR, f(1)::VARCHAR").fetchall() == [(str(least), str(most))]
    for value in (least - 1, most + 1):
        check_refused(con, sandbox, sql_type, str(value), f"outside the range of {sql_type} (")
        check_refused(con, sandbox, f"{sql_type}[]", f"[1, {value}]", f"outside the range of {sql_type} (")
        check_refused(con, sandbox, f"STRUCT(a {sql_type})", f"{{'a': {value}}}", f"outside the range of {sql_type} (")
    assert con.execute("SELECT f(0)::VARCHAR").fetchall() == [(str(least),)]


@pytest.mark.parametrize(
    ("sql_type", "expression", "message"),
    [
        ("FLOAT", repr(TOO_WIDE), "which is too large for FLOAT; declare DOUBLE"),
        ("FLOAT", "-1e39", "which is too large for FLOAT; declare DOUBLE"),
        ("FLOAT", "10**39", "which is too large for FLOAT"),
        ("DOUBLE", "10**400", "which is too large for DOUBLE"),
        ("DOUBLE", "decimal.Decimal('1e400')", "which is too large for DOUBLE"),
        ("DECIMAL(4,1)", "1000", "which DECIMAL(4,1) can't hold"),
        ("DECIMAL(4,1)", "decimal.Decimal('999.95')", "which DECIMAL(4,1) can't hold"),
        ("DECIMAL(4,1)", "1000.5", "which DECIMAL(4,1) can't hold"),
        ("TIMESTAMP_NS", "datetime.datetime(1677, 9, 21, 0, 12, 43, 145224)", "outside the range of TIMESTAMP_NS"),
        ("TIMESTAMP_NS", "datetime.datetime(2262, 4, 11, 23, 47, 16, 854776)", "outside the range of TIMESTAMP_NS"),
        ("TIMESTAMP_NS", "datetime.date(1, 1, 1)", "outside the range of TIMESTAMP_NS"),
        ("ENUM('a', 'b')", "'c'", "returned 'c', which is not among the 2 values of its result type ENUM"),
        ("ENUM('a', 'b')", "''", "returned '', which is not among the 2 values"),
        ("ENUM('a', 'b')", "1", "returned int where its result type ENUM was declared"),
        ("ENUM('a', 'b')[]", "['a', 'A']", "returned 'A', which is not among"),
        ("STRUCT(e ENUM('a'))", "('b',)", "returned 'b', which is not among"),
        ("MAP(ENUM('a'), BIGINT)", "{'b': 1}", "returned 'b', which is not among"),
        ("UNION(e ENUM('a'), n BIGINT)", "'b'", "which no member of its result type UNION takes"),
        ("INTEGER[2]", "[1, 2, 3]", "a list of 3 values where its result type ARRAY has 2"),
        ("INTEGER[2]", "(1,)", "a tuple of 1 values where its result type ARRAY has 2"),
        ("INTEGER[2]", "[1, 2**31]", "outside the range of INTEGER"),
        ("INTEGER[1][2]", "[[1], [2, 3]]", "a list of 2 values where its result type ARRAY has 1"),
        ("INTEGER[2][]", "[[1, 2], [3]]", "a list of 1 values where its result type ARRAY has 2"),
        ("UUID", "'x'", "returned 'x', which is no UUID"),
        ("BIT", "'12'", "a BIT is a str of the digits 0 and 1"),
        ("BIGNUM", "'x'", "returned 'x', which is no BIGNUM"),
        ("INTERVAL", "duckdb_wasi_udf.Interval(microseconds=2**63)", "which INTERVAL can't hold"),
        ("INTERVAL", "'1 moon'", "which is no INTERVAL"),
        ("DATE", "'2020-02-30'", "which is no DATE"),
        ("TIME", "'24:00:00'", "which is no TIME"),
        ("JSON", "'{\"a\": 1'", "which is not JSON"),
        ("JSON", "''", "which is not JSON"),
        ("JSON", "'[1] 2'", "which is not JSON"),
        ("JSON", "'[' * 100_000", "which is not JSON (it nests too deep)"),
        ("JSON", r"'\"\\ud800\"'", "which is not JSON (it has half a surrogate pair)"),
        ("JSON[]", "['1', 'x']", "returned 'x', which is not JSON"),
    ],
)
def test_what_does_not_fit_names_function_row_and_argument(con, sandbox, sql_type, expression, message):
    check_refused(con, sandbox, sql_type, expression, message)


@pytest.mark.parametrize(
    ("sql_type", "expression", "text"),
    [
        (
            "FLOAT",
            repr(FLOAT_MAX),
            str(duckdb.execute(f"SELECT ({FLOAT_MAX!r}::DOUBLE)::FLOAT::VARCHAR").fetchall()[0][0]),
        ),
        ("FLOAT", "float('inf')", "inf"),
        ("FLOAT", "float('nan')", "nan"),
        ("DECIMAL(4,1)", "decimal.Decimal('999.94')", "999.9"),
        ("TIMESTAMP_NS", "datetime.datetime(1677, 9, 21, 0, 12, 43, 145225)", "1677-09-21 00:12:43.145225"),
        ("TIMESTAMP_NS", "datetime.datetime(2262, 4, 11, 23, 47, 16, 854775)", "2262-04-11 23:47:16.854775"),
        ("TIMESTAMP", "datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)", "9999-12-31 23:59:59.999999"),
        ("DATE", "datetime.date(1, 1, 1)", "0001-01-01"),
        ("ENUM('it''s', '\"', 'ü\\')", '"it\'s"', "it's"),
        ("ENUM('it''s', '\"', 'ü\\')", "'\"'", '"'),
        ("ENUM('it''s', '\"', 'ü\\')", r"'ü\\'", "ü\\"),
        ("ENUM('a', 'b')[2]", "['a', None]", "[a, NULL]"),
        ("JSON", "'[1, NaN]'", "[1, NaN]"),
        ("JSON", r"'\"\\ud83d\\ude00\"'", r'"\ud83d\ude00"'),
        ("JSON", "'9' * 5000", "9" * 5000),
    ],
)
def test_a_value_at_the_edge_of_its_type_is_returned(con, sandbox, sql_type, expression, text):
    sandbox.create_function(con, "f", f"{IMPORTS}lambda i: {expression}", ["BIGINT"], sql_type)
    assert con.execute("SELECT f(1)::VARCHAR, f(NULL)").fetchall() == [(text, None)]


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
@pytest.mark.parametrize("by_batch", [False, True])
def test_narrow_columns_of_any_length_are_checked(con, sandbox, rows, by_batch):
    code = f"{IMPORTS}lambda x: array.array('q', x)" if by_batch else "lambda x: x"
    sandbox.create_function(con, "f", code, ["BIGINT"], "SMALLINT", type="arrow" if by_batch else "native")
    query = "SELECT count(*), sum(f(i)) FROM range({}, {}) r(i)"
    total = sum(range(rows)) if rows else None
    assert con.execute(query.format(0, rows)).fetchall() == [(rows, total)]
    with pytest.raises(duckdb.InvalidInputException):
        con.execute(query.format(32768 - rows, 32769)).fetchall()
    assert "outside the range of SMALLINT" in str(sandbox.last_error)


def test_an_exception_becomes_null_where_that_was_asked_for(con, sandbox):
    code = "lambda i: 100 * i"
    sandbox.create_function(con, "f", code, ["BIGINT"], "TINYINT", exception_handling="return_null")
    assert con.execute("SELECT f(i) FROM range(3) r(i)").fetchall() == [(0,), (100,), (None,)]
    assert sandbox.failed_rows("f") == 1


@pytest.mark.parametrize(
    ("expression", "data"),
    [
        ("memoryview(b'abcdef')[::2]", b"ace"),
        ("memoryview(b'abcdef')[::-1]", b"fedcba"),
        ("memoryview(bytes(range(6))).cast('B', (2, 3))", bytes(range(6))),
        ("memoryview(b'')", b""),
        ("memoryview(array.array('h', [1, -2, 3]))[::2]", struct.pack("<hh", 1, 3)),
        ("array.array('d', [1.5])", struct.pack("<d", 1.5)),
        ("bytearray(b'x')", b"x"),
        ("io.BytesIO(b'buffer').getbuffer()", b"buffer"),
        ("pickle.PickleBuffer(b'pickle')", b"pickle"),
    ],
)
def test_a_blob_is_made_of_any_buffer(con, sandbox, expression, data):
    sandbox.create_function(con, "f", f"{IMPORTS}lambda i: {expression}", ["BIGINT"], "BLOB")
    sandbox.create_function(con, "g", f"{IMPORTS}lambda i: [None, {expression}]", ["BIGINT"], "BLOB[]")
    assert con.execute("SELECT f(1), g(1)").fetchall() == [(data, [None, data])]
