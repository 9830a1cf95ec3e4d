"""zoneinfo inside the guest, beside the host's zoneinfo over the same files."""

import datetime as dt
import io
import json
import zoneinfo

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

# Seconds since 1970: from 1890 to 2030, around a change of European and of US clocks, and far futures.
INSTANTS = [
    *(
        int(dt.datetime(year, month, 15, 12, tzinfo=dt.UTC).timestamp())
        for year in range(1890, 2031, 7)
        for month in (1, 7)
    ),
    *(1711846800 + seconds for seconds in (-1, 0, 1)),  # 2024-03-31 01:00 UTC
    *(1730595600 + seconds for seconds in (-1, 0, 1)),  # 2024-11-03 01:00 UTC
    *(int(dt.datetime(year, month, 15, tzinfo=dt.UTC).timestamp()) for year in (2038, 2100, 5000) for month in (1, 7)),
]
LOCAL = [
    "2024-03-31T02:30:00",
    "2024-10-27T02:30:00",
    "2024-11-03T01:30:00",
    "1999-12-31T23:59:59",
    "2400-07-01T00:00:00",
]

SHOW = """
def show(zone, instants, local):
    '''What is known of a zone: instants in its time, and what its times are in UTC, for both folds.'''
    here = [dt.datetime.fromtimestamp(each, dt.timezone.utc).astimezone(zone) for each in instants]
    given = [dt.datetime.fromisoformat(each).replace(tzinfo=zone, fold=fold) for each in local for fold in (0, 1)]
    return [
        *(f"{each.isoformat()} {each.tzname()} {each.dst()} {each.fold}" for each in here),
        *(each.astimezone(dt.timezone.utc).isoformat() for each in given),
    ]
"""


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def own():
    """A connection for a test that has another sandbox."""
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def sandbox(con):
    """One for all tests of this module, which leave nothing behind."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=30.0)
    with wasi_udf.Sandbox(limits=limits).install(con) as installed:
        yield installed


@pytest.fixture
def zone_files(con, sandbox):
    """The bytes of each zone, as the guest has them."""
    code = "import zoneinfo\nfrom importlib.resources import files\ndef f(x):\n    root = files('tzdata.zoneinfo')\n"
    code += "    for name in sorted(zoneinfo.available_timezones()): yield name, root.joinpath(name).read_bytes()"
    con.execute(
        "CREATE TABLE zones AS FROM py_table($1, schema := {'name': 'VARCHAR', 'data': 'BLOB'})",
        [code.replace("(x)", "()")],
    )
    return dict(con.execute("FROM zones").fetchall())


def test_all_zones_agree_with_the_hosts_zoneinfo(con, zone_files):
    namespace = {"dt": dt}
    exec(SHOW, namespace)
    code = f"import datetime as dt, json, zoneinfo\n{SHOW}\ndef f(name):\n    zone = zoneinfo.ZoneInfo(name)\n"
    code += f"    return json.dumps(show(zone, {INSTANTS!r}, {LOCAL!r}))"
    found = dict(con.execute("SELECT name, py_udf_varchar($1, name) FROM zones", [code]).fetchall())
    assert len(found) > 590
    for name, data in zone_files.items():
        zone = zoneinfo.ZoneInfo.from_file(io.BytesIO(data), key=name)
        assert json.loads(found[name]) == namespace["show"](zone, INSTANTS, LOCAL), name


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("dt.datetime(2024, 7, 1, 12, tzinfo=Z('Europe/Paris')).isoformat()", "2024-07-01T12:00:00+02:00"),
        ("dt.datetime(2024, 1, 1, 12, tzinfo=Z('Europe/Paris')).isoformat()", "2024-01-01T12:00:00+01:00"),
        ("str(dt.datetime(2024, 3, 31, 2, 30, tzinfo=Z('Europe/Paris')).astimezone(Z('UTC')))[11:]", "01:30:00+00:00"),
        ("str(dt.datetime(2024, 10, 27, 2, 30, tzinfo=Z('Europe/Paris'), fold=1).utcoffset())", "1:00:00"),
        ("dt.datetime(2011, 12, 31, tzinfo=Z('Pacific/Apia')).isoformat()", "2011-12-31T00:00:00+14:00"),
        ("dt.datetime(2011, 12, 29, tzinfo=Z('Pacific/Apia')).isoformat()", "2011-12-29T00:00:00-10:00"),
        ("str(dt.datetime(2500, 7, 1, tzinfo=dt.UTC).astimezone(Z('America/New_York')))", "2500-06-30 20:00:00-04:00"),
        ("str(Z('Europe/Paris') is Z('Europe/Paris'))", "True"),
        ("str('Europe/Paris' in zoneinfo.available_timezones())", "True"),
        ("str(Z('UTC').utcoffset(None))", "0:00:00"),
        ("__import__('pickle').loads(__import__('pickle').dumps(Z('Asia/Tokyo'))).key", "Asia/Tokyo"),
    ],
)  # fmt: skip
def test_times_are_those_of_the_zone(con, sandbox, expression, expected):
    code = f"import datetime as dt, zoneinfo\nfrom zoneinfo import ZoneInfo as Z\nlambda x: {expression}"
    assert con.execute("SELECT py_udf_varchar($1, 1)", [code]).fetchall() == [(expected,)]


@pytest.mark.parametrize(
    ("key", "error"),
    [
        *((key, "ZoneInfoNotFoundError") for key in ("No/Where", "Europe", "Europe/Paris/x", "\udc80")),
        *((key, "ValueError") for key in ("", "Europe/", "../Europe/Paris", "/etc/localtime", "./Europe/Paris")),
    ],
)
def test_a_zone_that_is_not_there_is_an_error(failing, key, error):
    code = f"import zoneinfo\nlambda x: zoneinfo.ZoneInfo({key!a})"
    assert failing("SELECT py_udf($1, 1)", [code]).type_name == error


def test_a_sandbox_may_bring_its_own_data(own, tmp_path):
    package = tmp_path / "tzdata"
    (package / "zoneinfo").mkdir(parents=True)
    (package / "__init__.py").write_text("IANA_VERSION = 'mine'")
    tokyo = b"TZif2" + bytes(39) + b"TZif2" + bytes(15)
    (package / "zoneinfo" / "Mine").write_bytes(
        tokyo + bytes(12) + b"\0\0\0\0\0\0\0\1\0\0\0\4" + b"\0\0\x0e\x10\0\0ONE\0\nONE-1\n"
    )
    with wasi_udf.Sandbox(packages=[package]).install(own):
        code = "import tzdata, zoneinfo, datetime as dt\n"
        code += "lambda x: f'{tzdata.IANA_VERSION} {dt.datetime(2030, 1, 1, tzinfo=zoneinfo.ZoneInfo(x)):%z}'"
        found = own.execute(
            "SELECT py_udf_varchar($1, x) FROM (VALUES ('Mine'), ('Asia/Tokyo')) t(x)", [code]
        ).fetchall()
    assert found == [("mine +0100",), ("mine +0900",)]


def test_an_argument_goes_into_the_sessions_zone(con, sandbox):
    con.execute("SET TimeZone = 'America/New_York'")
    code = "from zoneinfo import ZoneInfo\nlambda t, zone: t.astimezone(ZoneInfo(zone)).isoformat()"
    query = "SELECT py_udf_varchar($1, t, current_setting('TimeZone')), t::VARCHAR FROM "
    query += "(VALUES (TIMESTAMPTZ '2024-07-01 12:00:00+00'), (NULL)) r(t)"
    assert con.execute(query, [code]).fetchall() == [
        ("2024-07-01T08:00:00-04:00", "2024-07-01 08:00:00-04"),
        (None, None),
    ]
