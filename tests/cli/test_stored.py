import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from tests.cli.conftest import PRICES


@pytest.fixture
def shop(cli, prices, tmp_path):
    done = cli("create", prices, "--db", "shop.duckdb", "--new")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines() == [
        "rate(country VARCHAR) -> DOUBLE",
        "gross(net DOUBLE, [country VARCHAR]) -> DOUBLE",
    ]
    return tmp_path / "shop.duckdb"


def test_stored_functions_are_those_of_the_api(cli, shop):
    with duckdb.connect(shop, read_only=True) as con, wasi_udf.install(con):
        assert con.execute("SELECT gross(100), gross(100, 'FR')").fetchall() == [(119.0, 120.0)]
    assert cli("sql", "SELECT gross(100) AS g", "--db", "shop.duckdb", "--json").json() == [{"g": 119.0}]


def test_functions_are_listed_shown_explained_and_dropped(cli, shop):
    (first, second) = cli("list", "--db", "shop.duckdb", "--json").json()["functions"]
    assert (first["name"], first["kind"], first["problem"]) == ("gross", "scalar", None)
    assert second["signature"] == "(country VARCHAR) -> DOUBLE"
    assert "gross" in cli("list", "--db", "shop.duckdb").out
    # The empty lines at the beginning are kept by a comment, so that the numbers of lines are those of the file.
    assert cli("show", "GROSS", "--db", "shop.duckdb").out == f"#{PRICES}"
    assert cli("show", "gross", "--db", "shop.duckdb", "--json").json()["name"] == "gross"
    explained = cli("explain", "gross", "--db", "shop.duckdb")
    assert explained.out.startswith("gross(net DOUBLE, [country VARCHAR]) -> DOUBLE: can be compiled")
    assert cli("drop", "gross", "nosuch", "--db", "shop.duckdb").status == 1  # and nothing is dropped
    assert cli("drop", "Gross", "rate", "--db", "shop.duckdb", "--json").json() == {"dropped": ["Gross", "rate"]}
    assert cli("list", "--db", "shop.duckdb").err == "shop.duckdb has no stored functions\n"
    assert cli("list", "--db", "shop.duckdb", "--json").json() == {"functions": []}


def test_all_functions_are_stored_or_none(cli, shop, tmp_path):
    (tmp_path / "new.py").write_text("def a(x: int) -> int: return x\ndef gross(x: int) -> int: return -1\n")
    done = cli("create", "new.py", "--db", "shop.duckdb")
    assert done.status == 1
    assert "shop.duckdb has a function gross already; add --replace to replace it" in done.err
    (tmp_path / "wrong.py").write_text("def a(x: int) -> int: return x\ndef upper(x: str) -> str: return x\n")
    done = cli("create", "wrong.py", "--db", "shop.duckdb", "--replace")
    assert done.status == 1
    assert "wrong.py:2: " in done.err
    assert [row["name"] for row in cli("list", "--db", "shop.duckdb", "--json").json()["functions"]] == [
        "gross",
        "rate",
    ]
    assert cli("create", "new.py", "--db", "shop.duckdb", "--replace", "--function", "gross").status == 0
    assert cli("sql", "SELECT gross(1) AS g", "--db", "shop.duckdb", "--json").json() == [{"g": -1}]


def test_what_cannot_be_restored_is_listed(cli, shop):
    with duckdb.connect(shop) as con:
        con.execute("UPDATE wasi_udf.functions SET source = 'def gross(' WHERE name = 'gross'")
    listed = cli("list", "--db", "shop.duckdb", "--json")
    assert listed.err == ""
    problems = {row["name"]: row["problem"] for row in listed.json()["functions"]}
    assert "SyntaxError" in problems["gross"]
    assert problems["rate"] is None
    done = cli("sql", "SELECT rate('DE') AS r", "--db", "shop.duckdb", "--json")
    assert done.json() == [{"r": 0.19}]
    assert "warning: the stored function gross is not restored" in done.err
    assert cli("drop", "gross", "--db", "shop.duckdb").out == "dropped gross\n"
