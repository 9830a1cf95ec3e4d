import csv
import decimal
import io
import json
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import PRICES


def test_inline_code_runs(cli):
    done = cli("sql", "SELECT py_udf_varchar('lambda s: s.title()', 'ada lovelace') AS name")
    assert done.status == 0
    assert "Ada Lovelace" in done.out
    assert done.err == ""


@pytest.mark.parametrize("rows", [0, 1, 2047, 2048, 2049])
def test_functions_of_a_file_agree_with_plain_python(cli, prices, rows):
    source = {}
    exec(PRICES, source)
    query = f"SELECT i, gross(i, CASE WHEN i % 2 = 0 THEN 'DE' ELSE 'FR' END) AS g FROM range({rows}) t(i)"
    done = cli("sql", query, "-f", prices, "--json")
    assert done.status == 0, done.err
    expected = [{"i": i, "g": source["gross"](i, "FR" if i % 2 else "DE")} for i in range(rows)]
    assert done.json() == expected


def test_a_file_never_runs_on_the_host(cli, tmp_path):
    (tmp_path / "evil.py").write_text(
        "import os\nopen('ran', 'w').write('x') if os.name != 'posix' or os.path.exists('/proc') else None\n"
        "def f(x: int) -> int: return x\n"
    )
    for command in (["sql", "SELECT f(1)", "-f", "evil.py"], ["check", "evil.py"], ["test", "evil.py"]):
        cli(*command)
        assert not (tmp_path / "ran").exists()


def test_all_files_of_a_directory_are_taken(cli, tmp_path):
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "a.py").write_text("def one(x: int) -> int: return x + 1\n")
    (folder / "b.py").write_text("def two(x: int) -> int: return x + 2\n")
    (folder / "_private.py").write_text("this is no Python\n")
    (folder / "test_a.py").write_text("neither is this\n")
    assert cli("sql", "SELECT one(1) AS a, two(1) AS b", "--functions", folder, "--json").json() == [{"a": 2, "b": 3}]


@pytest.mark.parametrize(("start", "ending"), [("\ufeff", "\n"), ("\n\n", "\r\n"), ("  \n", "\n"), ("# é\n", "\r")])
def test_lines_of_errors_are_those_of_the_file(cli, tmp_path, start, ending):
    text = start + "def f(x: int) -> int:\n    y = x\n    return y // 0\n"
    (tmp_path / "f.py").write_bytes(text.replace("\n", ending).encode())
    line = text.split("\n").index("    return y // 0") + 1
    done = cli("sql", "SELECT f(1)", "-f", "f.py")
    assert done.status == 1
    assert f'File "f.py", line {line}, in f' in done.err


def test_syntax_newer_than_the_hosts_is_read(cli, tmp_path):
    (tmp_path / "new.py").write_text("type Number = int\ndef f(x: int) -> str: return f'{'a' + f\"{x}\"}'\n")
    assert cli("sql", "SELECT f(1) AS f", "-f", "new.py", "--json").json() == [{"f": "a1"}]


def test_tables_and_aggregates_of_a_file_are_registered(cli, tmp_path):
    (tmp_path / "f.py").write_text("""
from typing import Iterator
import collections.abc
def letters(word: str) -> Iterator[tuple[int, str]]:
    yield from enumerate(word)
def ones(n: int) -> collections.abc.Iterable[int]: return [1] * n
class Total:
    def __init__(self): self.total = 0
    def step(self, x: int): self.total += x
    def finish(self) -> int: return self.total
""")
    query = "SELECT (SELECT count(*) FROM letters('abc')) AS l, (SELECT sum(ones) FROM ones(4)) AS o, "
    query += "(SELECT total(list(i)) FROM range(5) t(i)) AS t"
    assert cli("sql", query, "-f", "f.py", "--json").json() == [{"l": 3, "o": 4, "t": 10}]


# ---- formats -----------------------------------------------------------------------------------------------------

QUERY = """SELECT * FROM (VALUES
    (1, 'plain', 1.50::DECIMAL(9, 2), [1, NULL], TRUE),
    (2, 'quote " comma , line
end', NULL, [], FALSE),
    (3, 'ünïcode 😀', -0.25, NULL, NULL),
    (4, '', 0, [2], TRUE)) t(id, text, amount, numbers, flag) ORDER BY id"""


def expected_rows():
    with duckdb.connect() as con:
        return con.sql(QUERY).to_arrow_table().to_pylist()


def test_csv_can_be_read_again(cli):
    for arguments in (["--format", "csv"], ["-o", "out.csv"]):
        done = cli("sql", QUERY, *arguments)
        assert done.status == 0, done.err
        text = done.out or Path("out.csv").read_bytes().decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert [row["text"] for row in rows] == [row["text"] for row in expected_rows()]
        assert [row["amount"] for row in rows] == ["1.50", "", "-0.25", "0.00"]


def test_tsv_has_tabs(cli, tmp_path):
    assert cli("sql", "SELECT 1 AS a, 'x' AS b", "-o", "out.tsv").status == 0
    assert (tmp_path / "out.tsv").read_text() == "a\tb\n1\tx\n"


def test_json_is_an_array_and_jsonl_has_lines(cli, tmp_path):
    expected = [row | {"amount": None if row["amount"] is None else float(row["amount"])} for row in expected_rows()]
    assert cli("sql", QUERY, "--json").json() == expected
    lines = cli("sql", QUERY, "--format", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == expected
    cli("sql", QUERY, "-o", "out.json")
    cli("sql", QUERY, "-o", "out.ndjson")
    assert json.loads((tmp_path / "out.json").read_text()) == expected
    assert [json.loads(line) for line in (tmp_path / "out.ndjson").read_text().splitlines()] == expected


def test_no_rows_are_an_empty_array(cli):
    assert cli("sql", "SELECT 1 AS a WHERE FALSE", "--json").json() == []
    assert cli("sql", "SELECT 1 AS a WHERE FALSE", "--format", "csv").out == "a\n"


def test_parquet_keeps_types(cli, tmp_path):
    assert cli("sql", QUERY, "-o", "out.parquet").status == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.to_pylist() == expected_rows()
    assert table.schema.field("amount").type == pa.decimal128(12, 2)
    assert table["amount"][0].as_py() == decimal.Decimal("1.50")


@pytest.mark.parametrize("name", ["out.csv.gz", "out.jsonl.gz"])
def test_compressed_files_are_compressed(cli, tmp_path, name):
    assert cli("sql", "SELECT 7 AS a", "-o", name).status == 0
    assert (tmp_path / name).read_bytes()[:2] == b"\x1f\x8b"
    assert duckdb.connect().execute(f"FROM '{tmp_path / name}'").fetchall() == [(7,)]


def test_the_table_of_a_terminal_has_nothing_it_acts_on(cli):
    done = cli("sql", "SELECT 'a' || chr(27) || '[31m' || chr(155) || chr(10) || chr(8238) || 'b' AS x, NULL AS n")
    assert done.status == 0
    assert not {"\x1b", "\x9b", "\u202e"} & set(done.out)
    assert "a\\x1b[31m\\x9b\\n\\u202eb" in done.out
    assert "NULL" in done.out


def test_a_table_says_that_it_is_cut(cli):
    done = cli("sql", "FROM range(1000)", "--max-rows", "3")
    assert re.findall(r"│ +(\d+) │", done.out) == ["0", "1", "2"]
    assert "the first 3 rows" in done.err
    assert cli("sql", "FROM range(3)", "--max-rows", "3").err == ""


def test_every_result_is_a_table_and_csv_is_of_the_last(cli):
    text = "SELECT 11 AS a; CREATE TABLE t AS SELECT 22 AS b; INSERT INTO t VALUES (23); SELECT b FROM t; -- end; "
    done = cli("sql", text)
    assert "11" in done.out
    assert "22" in done.out
    assert done.err.count("1 row(s)") == 2
    assert cli("sql", text, "--format", "csv").out == "b\n22\n23\n"


RETURNING_ROWS = [
    "DESCRIBE SELECT 1 AS a",
    "PRAGMA version",
    "CALL duckdb_settings()",
    "EXPLAIN SELECT 1",
    "WITH x AS (SELECT 1 AS a) FROM x",
    "PIVOT (SELECT 1 AS a, 2 AS b) ON a USING sum(b)",
    "VALUES (1, 2)",
    "SELECT 1 AS a, 2 AS a",
    "SELECT ';' AS \";\" /* ; */ ; -- x;\n",
    "SHOW TABLES",
    "SUMMARIZE SELECT 1 AS a",
    "SELECT 1::VARIANT AS v, uuid() AS u, INTERVAL 1 DAY AS i",
    "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2) RETURNING a",
]


@pytest.mark.parametrize("query", RETURNING_ROWS)
def test_whatever_returns_rows_can_be_written(cli, query):
    done = cli("sql", query, "-o", "out.parquet")
    assert done.status == 0, done.err
    with duckdb.connect() as con:
        assert pq.read_table("out.parquet").num_rows == len(con.execute(query).fetchall())


def test_whatever_returns_rows_can_be_shown(cli):
    done = cli("sql", "; ".join(RETURNING_ROWS))
    assert done.status == 0, done.err
    assert done.out.count("╭") == len(RETURNING_ROWS) + 1  # an operator of the plan more


# ---- where SQL and databases come from ---------------------------------------------------------------------------


def test_sql_comes_from_a_file_or_stdin(cli, tmp_path):
    (tmp_path / "a query.sql").write_text("SELECT 'é' AS a;\n")
    assert cli("sql", "a query.sql", "--json").json() == [{"a": "é"}]
    assert cli("sql", "-", "--json", stdin="SELECT 'é' AS a").json() == [{"a": "é"}]


def test_sql_may_begin_with_a_comment(cli):
    assert cli("sql", "-- the answer\nSELECT 42 AS a", "--json").json() == [{"a": 42}]
    assert cli("sql", "-- only a comment").status == 2


def test_a_database_is_read_and_written(cli):
    assert cli("sql", "CREATE TABLE t AS FROM range(3) r(a)", "--db", "shop.duckdb", "--new").status == 0
    assert cli("sql", "SELECT sum(a) AS s FROM t", "--db", "shop.duckdb", "--read-only", "--json").json() == [{"s": 3}]


def test_names_of_variables_are_no_tables(cli):
    names = ("options", "relation", "session", "output", "result")
    done = cli("repl", stdin="".join(f"FROM {name};" + chr(10) for name in names))
    assert done.status == 1
    assert [f"Table with name {name}" in done.err for name in names] == [True] * len(names)


def test_an_error_leaves_the_old_output_and_no_other(cli, tmp_path):
    (tmp_path / "out.csv").write_text("old\n")
    done = cli("sql", "SELECT py_udf_bigint('lambda x: 1 // (x - 50000)', i) FROM range(100000) t(i)", "-o", "out.csv")
    assert done.status == 1
    assert "ZeroDivisionError" in done.err
    assert (tmp_path / "out.csv").read_text() == "old\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_output_keeps_a_link_and_the_permissions(cli, tmp_path):
    (tmp_path / "real.csv").write_text("old\n")
    (tmp_path / "real.csv").chmod(0o640)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert cli("sql", "SELECT 1 AS a", "-o", "link.csv").status == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "a\n1\n"
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o640


def test_limits_are_set(cli):
    done = cli("sql", "SELECT py_udf('def f(x):\n while True: pass', 1)", "--set", "timeout_seconds=0.2", "--json")
    assert done.status == 4
    assert done.error()["limit"] == "timeout_seconds"
    assert done.error()["allowed"] == 0.2
    assert done.error()["line"] == 2


def test_errors_as_json_have_the_parts_of_a_guest_error(cli, prices):
    done = cli("sql", "SELECT gross(1, 'XX')", "-f", prices, "--json")
    assert done.status == done.error()["exit_status"] == 1
    assert done.out == ""
    assert done.error()["kind"] == "GuestError"
    assert done.error()["type_name"] == "KeyError"
    assert done.error()["row"] == 0
    assert done.error()["arguments"] == ["1.0", "'XX'"]
    line = PRICES.splitlines().index("    return VAT[country]") + 1
    assert f'File "prices.py", line {line}, in rate' in done.error()["traceback"]


def test_packages_are_granted(cli, tmp_path):
    (tmp_path / "rules.py").write_text("RATE = 3\n")
    (tmp_path / "f.py").write_text("import rules\ndef f(x: int) -> int: return x * rules.RATE\n")
    done = cli("sql", "SELECT f(2) AS f", "-f", "f.py", "--package", "rules.py", "--json")
    assert done.json() == [{"f": 6}]
