"""Types that don't nest, against DuckDB's own Python functions and pyarrow."""

import datetime as dt
import uuid
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckdb_wasi_udf import GuestError, SignatureError
from duckdb_wasi_udf._arrow.types import HUGEINT, UHUGEINT
from tests.support import type_table
from tests.support.guests import start

pytestmark = pytest.mark.shared_sandbox

UTC = dt.UTC

VALUES = {
    "BLOB": [b"", b"abc", bytes(range(256)), b"\0" * 5000, None],
    "DATE": [
        dt.date(1, 1, 1),
        dt.date(9999, 12, 31),
        dt.date(1970, 1, 1),
        dt.date(1969, 12, 31),
        dt.date(2024, 2, 29),
        None,
    ],
    "TIME": [dt.time(0), dt.time(23, 59, 59, 999999), dt.time(12, 34, 56, 789012), None],
    "TIMESTAMP": [
        dt.datetime(1, 1, 1),
        dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
        dt.datetime(2013, 1, 5, 17, 3),
        None,
    ],
    "TIMESTAMP_S": [dt.datetime(2013, 1, 5, 17, 3), dt.datetime(1900, 1, 1), None],
    "TIMESTAMP_MS": [dt.datetime(2013, 1, 5, 17, 3, 0, 123000), dt.datetime(1900, 1, 1), None],
    "TIMESTAMP_NS": [dt.datetime(2013, 1, 5, 17, 3, 0, 123456), dt.datetime(1900, 1, 1), None],
    "TIMESTAMPTZ": [dt.datetime(2013, 1, 5, 17, 3, tzinfo=UTC), dt.datetime(1900, 1, 1, 5, tzinfo=UTC), None],
    "DECIMAL(4,2)": [Decimal("0.00"), Decimal("99.99"), Decimal("-0.01"), None],
    "DECIMAL(9,0)": [Decimal(999999999), Decimal(-1), None],
    "DECIMAL(18,18)": [Decimal("0.999999999999999999"), Decimal("-0.000000000000000001"), None],
    "DECIMAL(38,10)": [Decimal("9999999999999999999999999999.9999999999"), Decimal("-1.5"), None],
    "UBIGINT": [0, 2**64 - 1, None],
    "HUGEINT": [0, -(2**127), 2**127 - 1, 2**63, -(2**63) - 1, None],
    "UHUGEINT": [0, 2**128 - 1, 2**127, 2**64, None],
    "UUID": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), uuid.uuid4(), None],
    "BIT": ["0", "1", "10101010", "111100001", "0" * 1000, None],
    "TIME_NS": [dt.time(1, 2, 3, 456789), None],
    "FLOAT": [1.5, float("inf"), -0.0, None],
    "TINYINT": [-128, 127, None],
    "UINTEGER": [0, 2**32 - 1, None],
    "ENUM('a', 'b')": ["b", "a", None],
}


@pytest.fixture
def table(con):
    def make(sql_type):
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"CREATE TABLE t (i INTEGER, v {sql_type})")
        con.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(VALUES[sql_type])))
        return [(value,) for value in VALUES[sql_type]]

    return make


@pytest.mark.own_sandbox
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("sql_type", VALUES)
def test_declared_types_arrive_and_return_as_in_duckdb(con, sandbox, table, sql_type, lossless):
    expected = table(sql_type)
    con.execute(f"SET arrow_lossless_conversion = {lossless}")
    con.create_function("own_repr", lambda v: repr(v), [sql_type], "VARCHAR")
    sandbox.create_function(con, "our_repr", lambda v: repr(v), [sql_type], "VARCHAR")
    sandbox.create_function(con, "identity", lambda v: v, [sql_type], sql_type)
    query = "SELECT {}(v) FROM t ORDER BY i"
    own, ours = (con.execute(query.format(name)).fetchall() for name in ("own_repr", "our_repr"))
    if sql_type == "TIMESTAMPTZ":  # the same instants, which DuckDB's own functions show in pytz's time zone class
        assert ours == [(value and repr(value),) for (value,) in expected]
    else:
        assert ours == own
    assert con.execute(query.format("identity")).fetchall() == expected
    assert con.execute("SELECT DISTINCT typeof(identity(v)) = typeof(v) FROM t").fetchall() == [(True,)]


# Inferred, a UHUGEINT beyond HUGEINT is refused, a BIT is a VARCHAR of digits, and DuckDB casts no VARIANT to ENUM.
@pytest.mark.parametrize("sql_type", [name for name in VALUES if not name.startswith(("UHUGEINT", "BIT", "ENUM"))])
def test_an_inferred_type_is_that_of_the_values(con, sandbox, table, sql_type):
    expected = table(sql_type)
    got = con.execute(f"SELECT py_udf('lambda v: v', v)::{sql_type} FROM t ORDER BY i").fetchall()
    assert got == expected


@pytest.mark.parametrize("lossless", [False, True])
def test_values_without_a_python_type_follow_the_documentation(con, sandbox, lossless):
    con.execute(f"SET arrow_lossless_conversion = {lossless}")
    literals = {
        "BIGNUM": [
            str(sign * 256**power + shift) for power in (0, 1, 7, 100) for sign in (1, -1) for shift in (-1, 0, 1)
        ],
        "INTERVAL": ["1 month", "-1 month 40 days 25 hours", "1 year -1 microsecond", "0 days", "999999 days"],
    }
    if lossless:
        literals["TIMETZ"] = ["12:00:00+02", "23:59:59.999999-15:59:59", "00:00:00+15:59:59", "01:00:00-00:30"]
    for sql_type, texts in literals.items():
        sandbox.create_function(con, "same", lambda v: v, [sql_type], sql_type)
        for text in [*texts, None]:
            expected = con.execute(f"SELECT $1::{sql_type}::VARCHAR", [text]).fetchall()
            assert con.execute(f"SELECT same($1::{sql_type})::VARCHAR", [text]).fetchall() == expected
        con.remove_function("same")


def test_bignums_are_ints(con, sandbox):
    sandbox.create_function(con, "f", "lambda v: v * v", ["BIGNUM"], "BIGNUM")
    assert con.execute("SELECT f(-123456789012345678901234567890)::VARCHAR").fetchall() == [
        (str(123456789012345678901234567890**2),)
    ]


def test_integers_of_any_size_are_inferred(con, sandbox):
    query = "SELECT py_udf('lambda i: (-2)**i if i % 3 else None', i) FROM range(127) r(i)"
    assert con.execute(query).fetchall() == [((-2) ** i if i % 3 else None,) for i in range(127)]
    query = "SELECT py_udf('lambda i: 2**i if i < 100 else 0.5', i) FROM range(102) r(i)"
    assert con.execute(query).fetchall() == [(float(2**i) if i < 100 else 0.5,) for i in range(102)]
    assert con.execute("SELECT py_udf('lambda x: x + 1', sum(i)) FROM range(3) t(i)").fetchall() == [(4,)]


def test_inferred_decimals_share_the_scale_they_need(con, sandbox):
    source = "from decimal import Decimal\nlambda s: s and Decimal(s)"
    texts = ["1", "-2.5", None, "0.125", "12345678901234567890", "1E+3", "-0.00"]
    con.execute("CREATE TABLE t AS SELECT i, $1[i + 1] AS s FROM range(7) r(i)", [texts])
    got = con.execute("SELECT py_udf($1, s), variant_typeof(py_udf($1, s)) FROM t ORDER BY i", [source]).fetchall()
    assert [value for value, _ in got] == [text and Decimal(text) for text in texts]
    assert {kind for _, kind in got} == {"DECIMAL(38, 3)", "VARIANT_NULL"}


def test_variants_arrive_as_the_values_in_them(con, sandbox):
    literals = {
        "true": True,
        "-5::TINYINT": -5,
        "300::SMALLINT": 300,
        "-70000": -70000,
        "2::BIGINT ** 60": 2.0**60,
        "(-9223372036854775808)::BIGINT": -(2**63),
        "1.5::FLOAT": 1.5,
        "-1e300::DOUBLE": -1e300,
        "-1.23::DECIMAL(4,2)": Decimal("-1.23"),
        "1.23::DECIMAL(18,2)": Decimal("1.23"),
        "-12345678901234567890123456789.5": Decimal("-12345678901234567890123456789.5"),
        "'short'": "short",
        "repeat('lång', 1000)": "lång" * 1000,
        "'x'::BLOB": b"x",
        "DATE '0001-01-01'": dt.date(1, 1, 1),
        "TIME '01:02:03.4'": dt.time(1, 2, 3, 400000),
        "TIMESTAMP '1969-12-31 23:59:59.999999'": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
        "'2020-01-01 01:02:03.123456'::TIMESTAMP_NS": dt.datetime(2020, 1, 1, 1, 2, 3, 123456),
        "TIMESTAMPTZ '2020-01-01 00:00:00+02'": dt.datetime(2019, 12, 31, 22, tzinfo=UTC),
        "'00000000-0000-0000-0000-000000000005'::UUID": uuid.UUID(int=5),
        "[1, NULL, 3]": [1, None, 3],
        "[]": [],
        "{'a': 1, 'b': [{'c': 'd'}]}": {"a": 1, "b": [{"c": "d"}]},
        "range(100000)": list(range(100000)),
        "'{\"a\": null}'::JSON": {"a": None},
        "MAP {'k': 1}": [{"key": "k", "value": 1}],
    }
    sandbox.create_function(con, "shown", lambda v: repr(v), ["VARIANT"], "VARCHAR")
    for literal, value in literals.items():
        assert con.execute(f"SELECT shown(({literal})::VARIANT)").fetchall() == [(repr(value),)], literal
    table = ", ".join(f"(({literal})::VARIANT)" for literal in literals if literal != "range(100000)")
    expected = [(repr(value),) for literal, value in literals.items() if literal != "range(100000)"]
    assert (
        con.execute(f"SELECT py_udf_varchar('lambda v: repr(v)', v) FROM (VALUES {table}) t(v)").fetchall() == expected
    )
    assert con.execute("SELECT shown(NULL::VARIANT), shown('null'::JSON::VARIANT)").fetchall() == [(None, None)]
    nested = con.execute(
        "SELECT py_udf_varchar('lambda v: repr(v)', {'v': [1::VARIANT, NULL, 'a'::VARIANT]})"
    ).fetchall()
    assert nested == [("{'v': [1, None, 'a']}",)]


def test_a_variant_that_nests_too_deep_is_an_error(failing):
    deep = "[" * 300 + "]" * 300
    error = failing(f"SELECT py_udf('lambda v: 1', '{deep}'::JSON::VARIANT)", error=GuestError)
    assert "a VARIANT that nests too deep" in str(error)


def test_repeated_short_strings_and_near_misses_stay_apart(con, sandbox):
    texts = ["", "a", "a\0", "\0", "\0\0", "ä", "12345678", "123456789", "a", "\0", None, "ab", "abcdefgh", "ab"] * 50
    con.execute("CREATE TABLE t AS SELECT i, $1[i + 1] AS s FROM range($2) r(i)", [texts, len(texts)])
    got = con.execute("SELECT py_udf_varchar('lambda s: s', s) FROM t ORDER BY i").fetchall()
    assert got == [(text,) for text in texts]


@pytest.mark.own_sandbox
def test_other_arrow_export_settings_change_nothing_or_are_named(con, sandbox, failing):
    query = "SELECT py_udf_varchar('lambda *a: repr(a)', 'text', 'x'::BLOB, ['a', NULL], {'s': 'u'}, MAP {'k': ['v']})"
    expected = con.execute(query).fetchall()
    con.execute("SET arrow_large_buffer_size = true")
    assert con.execute(query).fetchall() == expected
    con.execute("RESET arrow_large_buffer_size")
    con.execute("SET arrow_output_version = '1.4'")
    assert "RESET arrow_output_version" in str(failing(query, error=SignatureError))


def test_failed_rows_are_counted(con, sandbox):
    sandbox.create_function(con, "f", lambda x: 1 // (x % 10), ["BIGINT"], "BIGINT", exception_handling="return_null")
    sandbox.create_function(con, "g", lambda x: x, ["BIGINT"], "BIGINT", exception_handling="return_null")
    assert con.execute("SELECT count(f(i)), count(g(i)) FROM range(5000) r(i)").fetchall() == [(4500, 5000)]
    assert (sandbox.failed_rows("f"), sandbox.failed_rows("g")) == (500, 0)
    with pytest.raises(SignatureError, match="'h' is not a function of this sandbox; there are: f, g"):
        sandbox.failed_rows("h")


def test_the_table_of_types_is_what_really_happens():
    document = type_table.DOCUMENT.read_text()
    written = document.partition(type_table.MARKS[0])[2].partition(type_table.MARKS[1])[0]
    assert written == type_table.table(), "run python -m tests.support.type_table"
    assert "|  |" not in written


def test_decimal_literals_just_work(con, sandbox):
    assert con.execute("SELECT py_udf_varchar('lambda x: str(x * 2)', 1.50)").fetchall() == [("3.00",)]
    assert con.execute("SELECT py_udf('lambda x: float(x) * 2', 1.5)").fetchall() == [(3.0,)]


def test_annotations_name_the_types(con, sandbox):
    source = """
        import datetime
        from datetime import date

        def f(day: date, blob: bytes, at: "datetime.datetime | None") -> datetime.time:
            return at.time() if day.year > 2000 else None
    """
    sandbox.create_function(con, "f", source)
    row = con.execute("SELECT f(DATE '2020-01-01', 'x'::BLOB, TIMESTAMP '2020-01-01 10:20:30')").fetchall()
    assert row == [(dt.time(10, 20, 30),)]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("DATE 'infinity'", "a DATE outside the years 1 to 9999"),
        ("DATE '-infinity'", "a DATE outside the years 1 to 9999"),
        ("DATE '0044-03-15 (BC)'", "a DATE outside the years 1 to 9999"),
        ("DATE '10000-01-01'", "a DATE outside the years 1 to 9999"),
        ("TIMESTAMP 'infinity'", "a TIMESTAMP outside the years 1 to 9999"),
        ("TIMESTAMP '10000-01-01 00:00:00'", "a TIMESTAMP outside the years 1 to 9999"),
        ("TIMESTAMPTZ '-infinity'", "a TIMESTAMP WITH TIME ZONE outside the years 1 to 9999"),
        ("TIMESTAMP_S '99999-01-01 00:00:00'", "a TIMESTAMP outside the years 1 to 9999"),
        ("TIMESTAMP_NS '2020-01-01 00:00:00.000000001'", "a value with nanoseconds"),
        ("TIME '24:00:00'", "the TIME 24:00:00"),
    ],
)
def test_a_value_python_cannot_hold_is_an_error(failing, argument, message):
    assert message in str(failing(f"SELECT py_udf('lambda v: 1', {argument})", error=GuestError))


def test_a_declared_wide_decimal_is_taken(con, sandbox):
    sandbox.create_function(con, "same", lambda v: v, ["DECIMAL(38,0)"], "DECIMAL(38,0)")
    assert con.execute("SELECT same(-99999999999999999999999999999999999999)").fetchall() == [(Decimal(-(10**38 - 1)),)]


@pytest.mark.parametrize(
    ("sql_type", "expression", "message"),
    [
        ("BLOB", "'ü'", "returned 'ü', which is no BLOB: only ASCII text"),
        ("DATE", "datetime.datetime(2020, 1, 1, 5)", "which is no DATE: it has a time"),
        ("TIMESTAMPTZ", "datetime.date(2020, 1, 1)", "returned datetime.date where its result type TIMESTAMP WITH"),
        ("TIMESTAMP", "datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)", "where TIMESTAMP has none"),
        ("TIMESTAMPTZ", "datetime.datetime(2020, 1, 1)", "where TIMESTAMP WITH TIME ZONE needs one"),
        ("TIME", "datetime.time(1, tzinfo=datetime.UTC)", "where TIME has none"),
        ("DECIMAL(4,2)", "1.555", "which is no DECIMAL: it has more than 2 digits after the point"),
        ("DECIMAL(4,2)", "True", "returned bool where its result type DECIMAL was declared"),
        ("DECIMAL(4,2)", "100", r"returned 100, which DECIMAL\(4,2\) can't hold"),
        ("DECIMAL(4,2)", "Decimal('99.995')", r"returned 99.995, which DECIMAL\(4,2\) can't hold"),
        ("DECIMAL(4,2)", "Decimal('1e999999')", r"returned 1E\+999999, which DECIMAL\(4,2\) can't hold"),
        ("DECIMAL(38,0)", "10**38", r"which DECIMAL\(38,0\) can't hold"),
        ("DECIMAL(38,38)", "1", r"returned 1, which DECIMAL\(38,38\) can't hold"),
        ("DECIMAL(4,2)", "Decimal('nan')", r"returned NaN, which DECIMAL\(4,2\) can't hold"),
        ("DECIMAL(4,2)", "Decimal('-inf')", r"returned -Infinity, which DECIMAL\(4,2\) can't hold"),
        ("UBIGINT", "-1", "outside the range of UBIGINT"),
        ("UBIGINT", "2**64", "outside the range of UBIGINT"),
        (
            "VARIANT",
            "[Decimal(10**37), Decimal('0.01')]",
            "returned 0.01, and with the decimals of earlier rows more than",
        ),
        ("VARIANT", "Decimal('1e-39')", "more than 38 digits are needed; declare a DECIMAL"),
        ("VARIANT", "Decimal('nan')", "returned NaN, which DECIMAL"),
        ("HUGEINT", "2**127", "outside the range of HUGEINT"),
        ("UHUGEINT", "-1", "outside the range of UHUGEINT"),
        ("UHUGEINT", "2**128", "outside the range of UHUGEINT"),
        ("HUGEINT", "1.5", "returned 1.5, which is no HUGEINT: it is no whole number"),
        ("BIGNUM", "'x'", "returned 'x', which is no BIGNUM"),
        ("BIT", "''", "returned ''; a BIT is a str of the digits 0 and 1, at least one"),
        ("BIT", "'012'", "returned '012'; a BIT is a str of the digits"),
        ("BIT", "3", "returned int where its result type BIT was declared"),
        ("TIMETZ", "datetime.time(1)", "where TIME WITH TIME ZONE needs one; give it a tzinfo"),
        (
            "TIMETZ",
            "datetime.time(1, tzinfo=datetime.timezone(datetime.timedelta(hours=16)))",
            "whole seconds up to 15:59:59",
        ),
        (
            "TIMETZ",
            "datetime.time(1, tzinfo=datetime.timezone(datetime.timedelta(microseconds=1)))",
            "whole seconds up to",
        ),
        ("INTERVAL", "3", "returned int where its result type INTERVAL was declared"),
        ("INTERVAL", "Interval(microseconds=2**62)", "which INTERVAL can't hold"),
        ("UUID", "'no uuid'", "returned 'no uuid', which is no UUID"),
        ("UUID", "5", "returned int where its result type UUID was declared"),
        ("JSON", "float('nan')", "Out of range float values are not JSON compliant"),
        ("JSON", "b''", "Object of type bytes is not JSON serializable"),
    ],
)
def test_a_result_its_type_cannot_hold_is_an_error(con, sandbox, failing, sql_type, expression, message):
    code = f"import datetime\nfrom decimal import Decimal\nfrom duckdb_wasi_udf import Interval\nlambda x: {expression}"
    sandbox.create_function(con, "f", code, ["BIGINT"], sql_type)
    error = failing("SELECT f(i) FROM range(3) t(i)", error=GuestError)
    with pytest.raises(GuestError, match=message):
        raise error


@pytest.mark.parametrize(
    "text", ["1.005", "1.004999", "-1.005", "0.005", "1e-10", "1E-3", "12.3e-1", "5e0", "12e1", "-0", "0E+3"]
)
def test_decimals_round_as_duckdb_rounds(con, sandbox, text):
    sandbox.create_function(con, "f", "from decimal import Decimal\nlambda s: Decimal(s)", ["VARCHAR"], "DECIMAL(9,2)")
    plain = f"{Decimal(text):f}"
    assert con.execute("SELECT f($1)", [text]).fetchall() == con.execute(f"SELECT ({plain})::DECIMAL(9,2)").fetchall()


def test_instants_survive_in_any_time_zone_of_the_session(con, sandbox):
    for zone in ("UTC", "America/New_York", "Asia/Kolkata"):
        con.execute(f"SET TimeZone = '{zone}'")
        query = (
            "SELECT py_udf('lambda t: t', t)::TIMESTAMPTZ = t FROM (SELECT TIMESTAMPTZ '2020-06-01 12:00:00+02' AS t)"
        )
        assert con.execute(query).fetchall() == [(True,)]
        shifted = "import datetime\nlambda t: t.astimezone(datetime.timezone(datetime.timedelta(hours=-3.5)))"
        assert con.execute(query.replace("'lambda t: t'", "$1"), [shifted]).fetchall() == [(True,)]


STRATEGIES = {
    pa.binary(): st.binary(max_size=40),
    pa.date32(): st.dates(),
    pa.time64("us"): st.times(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(UTC)),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.decimal128(38, 9): st.decimals(-(10**28), 10**28, places=9),
    pa.uuid(): st.uuids().map(lambda value: value.bytes),
    HUGEINT: st.integers(-(2**127), 2**127 - 1).map(lambda value: value.to_bytes(16, "little", signed=True)),
    UHUGEINT: st.integers(0, 2**128 - 1).map(lambda value: value.to_bytes(16, "little")),
    pa.decimal128(5, 5): st.decimals(Decimal("-0.99999"), Decimal("0.99999"), places=5),
}


@pytest.fixture(scope="module")
def identities():
    def make(data_type, *, inferred):
        return start("lambda x: x", data_type, result=None if inferred else data_type)

    cannot_infer = (pa.uint64(), HUGEINT, UHUGEINT, pa.decimal128(38, 9), pa.decimal128(5, 5))
    return {
        (data_type, inferred): make(data_type, inferred=inferred)
        for data_type in STRATEGIES
        for inferred in (False, True)
        if not (inferred and data_type in cannot_infer)
    }


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_values_of_every_type_survive_the_round_trip(identities, data):
    data_type, inferred = data.draw(st.sampled_from(list(identities)))
    values = data.draw(st.lists(st.none() | STRATEGIES[data_type], max_size=30))
    array = pa.array(values, data_type)
    result, _ = identities[data_type, inferred].call([array], len(array))
    result.validate(full=True)
    assert result.to_pylist() == array.to_pylist()
    if any(value is not None for value in values):
        assert result.type == data_type


def test_duckdb_is_the_version_these_facts_are_about():
    assert duckdb.__version__.startswith("2.")
