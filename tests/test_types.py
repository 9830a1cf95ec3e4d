"""Types beyond the four basic ones, against DuckDB's own Python functions and pyarrow."""

import datetime as dt
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duckdb_wasi_udf import GuestError, SignatureError
from tests.guests import start

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
}


@pytest.fixture
def table(con):
    def make(sql_type):
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"CREATE TABLE t (i INTEGER, v {sql_type})")
        con.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(VALUES[sql_type])))
        return [(value,) for value in VALUES[sql_type]]

    return make


@pytest.mark.parametrize("sql_type", VALUES)
def test_a_declared_type_arrives_as_in_duckdbs_own_functions_and_returns(con, sandbox, table, sql_type):
    expected = table(sql_type)
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


@pytest.mark.parametrize("sql_type", [name for name in VALUES if not name.startswith(("DECIMAL", "UBIGINT"))])
def test_an_inferred_type_is_that_of_the_values(con, sandbox, table, sql_type):
    expected = table(sql_type)
    got = con.execute(f"SELECT py_udf('lambda v: v', v)::{sql_type} FROM t ORDER BY i").fetchall()
    assert got == expected


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
def test_a_value_python_cannot_hold_is_an_error_never_another_value(failing, argument, message):
    assert message in str(failing(f"SELECT py_udf('lambda v: 1', {argument})", error=GuestError))


@pytest.mark.parametrize("argument", ["1::HUGEINT", "1::UHUGEINT", "1::DECIMAL(38,0)", "sum(i)"])
def test_huge_integers_are_refused_rather_than_confused(failing, argument):
    error = failing(f"SELECT py_udf('lambda v: v', {argument}) FROM range(3) t(i)", error=SignatureError)
    assert "argument 1 is a HUGEINT, UHUGEINT or DECIMAL(38,0)" in str(error)


def test_a_declared_wide_decimal_is_taken(con, sandbox):
    sandbox.create_function(con, "same", lambda v: v, ["DECIMAL(38,0)"], "DECIMAL(38,0)")
    assert con.execute("SELECT same(-99999999999999999999999999999999999999)").fetchall() == [(Decimal(-(10**38 - 1)),)]


@pytest.mark.parametrize(
    ("sql_type", "expression", "message"),
    [
        ("BLOB", "'text'", "returned str where its result type BLOB was declared"),
        ("DATE", "datetime.datetime(2020, 1, 1)", "returned datetime.datetime where its result type DATE was"),
        ("TIMESTAMP", "datetime.date(2020, 1, 1)", "returned datetime.date where its result type TIMESTAMP was"),
        ("TIMESTAMP", "datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)", "where TIMESTAMP has none"),
        ("TIMESTAMPTZ", "datetime.datetime(2020, 1, 1)", "where TIMESTAMP WITH TIME ZONE needs one"),
        ("TIME", "datetime.time(1, tzinfo=datetime.UTC)", "where TIME has none"),
        ("DECIMAL(4,2)", "1.5", "returned float where its result type DECIMAL was declared"),
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
        ("VARIANT", "Decimal(1)", "returned a Decimal, whose width and scale have to be declared"),
        ("VARIANT", "datetime.timedelta(1)", "returned datetime.timedelta; a result must be bool, int"),
    ],
)
def test_a_result_its_type_cannot_hold_is_an_error(con, sandbox, failing, sql_type, expression, message):
    code = f"import datetime\nfrom decimal import Decimal\nlambda x: {expression}"
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
    pa.decimal128(5, 5): st.decimals(Decimal("-0.99999"), Decimal("0.99999"), places=5),
}


@pytest.fixture(scope="module")
def identities():
    def make(data_type, *, inferred):
        return start("lambda x: x", data_type, result=None if inferred else data_type)

    cannot_infer = (pa.uint64(), pa.decimal128(38, 9), pa.decimal128(5, 5))
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


def test_a_type_that_is_not_supported_says_so(failing):
    for argument in ("INTERVAL 1 DAY", "[INTERVAL 1 DAY]", "1::BIGNUM"):
        error = failing(f"SELECT py_udf('lambda v: v', {argument})", error=SignatureError)
        assert "which is not supported yet; cast it" in str(error)


def test_duckdb_is_the_version_these_facts_are_about():
    assert duckdb.__version__.startswith("2.")
