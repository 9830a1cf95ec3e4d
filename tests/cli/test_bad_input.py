"""Each command's bad input is one clear sentence and a status, and nothing is left behind."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tests.support.repository import ROOT

USAGE, FILE, FAILED = 2, 3, 1

CASES = [
    # the command line
    (["nosuch"], USAGE, "nosuch"),
    (["sql"], USAGE, "SQL"),
    (["sql", "SELECT 1", "--nosuch"], USAGE, "--nosuch"),
    (["sql", "SELECT 1", "--format", "xml"], USAGE, "'xml' is not one of"),
    (["sql", "SELECT 1", "--max-rows", "0"], USAGE, "--max-rows"),
    (["sql", ""], USAGE, "the argument after sql is empty"),
    (["sql", ";"], USAGE, "there is no SQL statement"),
    (["check", ""], USAGE, "the argument after check is empty"),
    (["sql", "SELECT 1", "--db", ""], USAGE, "the argument after --db is empty"),
    (["sql", "SELECT 1", "--db="], USAGE, "the argument of --db is empty"),
    (["run", "prices.py", "in.csv", "-o", ""], USAGE, "the argument after -o is empty"),
    (["sql", "/* only a comment */"], USAGE, "there is no SQL statement"),
    (["sql", "SELECT 1", "--read-only"], USAGE, "name it with --db"),
    (["sql", "SELECT 1", "-o", "out.xyz"], USAGE, "the name out.xyz says no format"),
    (["sql", "SELECT 1", "-o", "out"], USAGE, "the name out says no format"),
    (["sql", "SELECT 1", "-o", "out.csv", "--format", "table"], USAGE, "a table is for the terminal"),
    (["sql", "CREATE TABLE t (a INTEGER)", "-o", "out.csv"], USAGE, "returns no rows to write to out.csv"),
    (["check"], USAGE, "FILE.py"),
    (["run", "prices.py"], USAGE, "INPUT"),
    (["list"], USAGE, "--db"),
    (["cache", "nosuch"], USAGE, "nosuch"),
    (["guest", "info", "surplus"], USAGE, "surplus"),
    (["repl", "--format", "parquet"], USAGE, "table, csv, json or jsonl"),
    (["explain", "f", "--db", "shop.duckdb", "--function", "g"], USAGE, "--function is for a file"),
    # files that would be lost
    (["sql", "SELECT 1", "-f", "prices.py", "-o", "prices.py", "--format", "csv"], USAGE, "would replace prices.py"),
    (["sql", "SELECT 1", "-f", "other", "-o", "other/prices.py", "--format", "csv"], USAGE, "would replace other"),
    (["sql", "one.sql", "-o", "./one.sql", "--format", "csv"], USAGE, "would replace one.sql"),
    (["sql", "SELECT 1", "--db", "data.duckdb", "-o", "data.duckdb", "--format", "csv"], USAGE, "replace data.duckdb"),
    (["run", "amount.py", "in.csv", "-o", "amount.py", "--format", "csv"], USAGE, "would replace amount.py"),
    # limits
    (["sql", "SELECT 1", "--set", "timeout=3"], USAGE, "did you mean timeout_seconds?"),
    (["sql", "SELECT 1", "--set", "host_batch=3"], USAGE, "there is no limit 'host_batch'"),
    (["sql", "SELECT 1", "--set", "timeout_seconds"], USAGE, "--set takes limit=value"),
    (["sql", "SELECT 1", "--set", "timeout_seconds=-1"], USAGE, "timeout_seconds must be a positive number"),
    (["sql", "SELECT 1", "--set", "timeout_seconds=soon"], USAGE, "a number of seconds, such as 2.5, got 'soon'"),
    (["sql", "SELECT 1", "--set", "memory_bytes=8GiB"], USAGE, "a 32-bit guest can't have more than"),
    (["check", "prices.py", "--set", "instances=1.5"], USAGE, "instances is a whole number, got '1.5'"),
    # files
    (["sql", "nosuch.sql"], FILE, "there is no file nosuch.sql"),
    (["sql", "SELECT 1", "-f", "nosuch.py"], FILE, "there is no file nosuch.py"),
    (["sql", "SELECT 1", "-f", "empty"], FILE, "the directory empty has no *.py files"),
    (["sql", "SELECT 1", "-f", "binary.py"], FILE, "binary.py is not text in UTF-8"),
    (["sql", "SELECT 1", "-f", "zeros.py"], FILE, "zeros.py has binary zeros"),
    (["sql", "SELECT 1", "-f", "bad.py"], FAILED, "bad.py:2: SyntaxError: "),
    (["sql", "SELECT 1", "-f", "nothing.py"], FAILED, "nothing.py defines no function whose parameters"),
    (["sql", "SELECT 1", "-f", "raising.py"], FAILED, "raising.py:2: f: ZeroDivisionError"),
    (["sql", "SELECT 1", "-f", "prices.py", "-f", "other/prices.py"], USAGE, "the function rate is in prices.py too"),
    (["sql", "SELECT 1", "--package", "./nosuch"], FILE, "nosuch"),
    (["sql", "SELECT 1", "-o", "nosuch/out.csv"], FILE, "nosuch/out.csv can't be written: there is no directory"),
    (["sql", "SELECT 1", "-o", "empty.csv"], FILE, "empty.csv can't be written: it is a directory"),
    (["sql", "SELECT 1", "-o", "empty"], FILE, "empty can't be written: it is a directory"),
    (["sql", "latin.sql"], FILE, "latin.sql is not text in UTF-8"),
    (["sql", "SELECT 1", "-f", "latin.py"], FILE, "latin.py is not text in UTF-8"),
    (["check", "empty"], FILE, "the directory empty has no *.py files"),
    (["test", "empty"], FILE, "the directory empty has no *.py files"),
    (["test", "latin.py"], FILE, "latin.py is not text in UTF-8"),
    (["explain", "empty.py"], FAILED, "empty.py defines no function"),
    (["bench", "empty.py"], FAILED, "empty.py defines no function"),
    (["bench", "amount.py", "zero.parquet"], FILE, "zero.parquet can't be read as parquet: "),
    (["check", "nosuch.py"], FILE, "there is no file nosuch.py"),
    (["check", "binary.py"], FILE, "binary.py is not text in UTF-8"),
    (["test", "nosuch.py"], FILE, "there is no file nosuch.py"),
    (["explain", "nosuch.py"], FILE, "there is no file nosuch.py"),
    (["explain", "empty"], FILE, "empty is a directory"),
    (["bench", "nosuch.py"], FILE, "there is no file nosuch.py"),
    (["bench", "prices.py", "nosuch.parquet"], FILE, "there is no file nosuch.parquet"),
    (["create", "nosuch.py", "--db", "shop.duckdb", "--new"], FILE, "there is no file nosuch.py"),
    (["create", "bad.py", "--db", "shop.duckdb", "--new"], FAILED, "bad.py:2: SyntaxError: "),
    (["create", "raising.py", "--db", "shop.duckdb", "--new"], FAILED, "raising.py:2: f: ZeroDivisionError"),
    (["create", "nothing.py", "--db", "shop.duckdb", "--new"], FAILED, "no function's parameters and result"),
    (
        ["create", "prices.py", "--db", "x.duckdb", "--new", "--function", "f"],
        USAGE,
        "no SQL function 'f' in the files",
    ),
    (["run", "nosuch.py", "in.csv"], FILE, "there is no file nosuch.py"),
    (["run", "bad.py", "in.csv"], FAILED, "bad.py:2: SyntaxError: "),
    (["run", "prices.py", "nosuch.csv"], FILE, "there is no file nosuch.csv"),
    (["run", "prices.py", "nosuch*.csv"], FILE, "there is no file nosuch*.csv"),
    (["run", "prices.py", "prices.py"], USAGE, "the name prices.py says no format that can be read"),
    (["run", "prices.py", "in.csv", "--input-format", "xls"], USAGE, "--input-format is parquet, csv or json"),
    (["run", "prices.py", "in.csv", "--input-format", "parquet"], FILE, "in.csv can't be read as parquet: "),
    (["run", "prices.py", "empty"], FILE, "empty is a directory"),
    (["run", "empty", "in.csv"], FILE, "empty is a directory"),
    (["run", "amount.py", "text.parquet"], FILE, "text.parquet can't be read as parquet: "),
    (["run", "amount.py", "zero.parquet", "-o", "out.csv"], FILE, "zero.parquet can't be read as parquet: "),
    (["run", "amount.py", "cut.json"], FILE, "cut.json can't be read as json: "),
    (["run", "amount.py", "latin.csv"], FILE, "latin.csv can't be read as csv: CSV Error on Line: 2; "),
    (["run", "amount.py", "zero.csv"], USAGE, "amount takes amount, and zero.csv has no column amount; it has: "),
    (["run", "amount.py", "words.csv", "--as", "n", "-o", "out.csv"], FAILED, ""),
    (["run", "failing.py", "in.csv", "-o", "out.csv"], FAILED, "ZeroDivisionError"),
    (["run", "prices.py", "in.csv"], USAGE, "gross takes net, country, and in.csv has no column net; it has: amount"),
    (["run", "prices.py", "in.csv", "--function", "nosuch"], USAGE, "defines no 'nosuch'; it defines: rate, gross"),
    (["run", "two.py", "in.csv"], USAGE, "two.py defines several functions; add --function with one of: a, b"),
    (["run", "empty.py", "in.csv"], FAILED, "empty.py defines no function"),
    (["run", "total.py", "in.csv", "--function", "Total"], USAGE, "Total isn't called once a row: it is an aggregate"),
    (["run", "amount.py", "in.csv"], USAGE, "in.csv has a column amount already; name another one with --as"),
    # databases
    (["sql", "SELECT 1", "--db", "nosuch.duckdb"], FILE, "there is no database nosuch.duckdb; add --new to create it"),
    (["sql", "SELECT 1", "--db", "nosuch/x.duckdb", "--new"], FILE, "there is no directory"),
    (["sql", "SELECT 1", "--db", "empty"], FILE, "empty is a directory, not a database"),
    (["sql", "SELECT 1", "--db", "prices.py"], FILE, "prices.py is not a database"),
    (["sql", "SELECT 1", "--db", "zero.csv"], FILE, "zero.csv is not a database"),
    (["sql", "SELECT 1", "--db", "broken.duckdb"], FILE, "the database broken.duckdb can't be opened: "),
    (["create", "prices.py", "--db", "text.parquet", "--new"], FILE, "text.parquet is not a database"),
    (["create", "prices.py", "--db", "empty"], FILE, "empty is a directory, not a database"),
    (["list", "--db", "text.parquet"], FILE, "text.parquet is not a database"),
    (["show", "f", "--db", "in.csv"], FILE, "in.csv is not a database"),
    (["drop", "f", "--db", "text.parquet"], FILE, "text.parquet is not a database"),
    (["explain", "f", "--db", "text.parquet"], FILE, "text.parquet is not a database"),
    (["repl", "--db", "text.parquet"], FILE, "text.parquet is not a database"),
    (["repl", "--db", "nosuch.duckdb"], FILE, "there is no database nosuch.duckdb"),
    (["list", "--db", "nosuch.duckdb"], FILE, "there is no database nosuch.duckdb"),
    (["show", "f", "--db", "nosuch.duckdb"], FILE, "there is no database nosuch.duckdb"),
    (["drop", "f", "--db", "nosuch.duckdb"], FILE, "there is no database nosuch.duckdb"),
    (["explain", "f", "--db", "nosuch.duckdb"], FILE, "there is no database nosuch.duckdb"),
    (["create", "prices.py", "--db", "nosuch.duckdb"], FILE, "there is no database nosuch.duckdb; add --new"),
    (["show", "f", "--db", "data.duckdb"], FAILED, "data.duckdb has no stored function 'f'; there are: none"),
    (["drop", "f", "--db", "data.duckdb"], FAILED, "data.duckdb has no stored function 'f'; there are: none"),
    (["explain", "f", "--db", "data.duckdb"], FAILED, "'f' is not a function of this sandbox"),
    # SQL; the wording is DuckDB's
    (["sql", "SELEC 1"], FAILED, ""),
    (["sql", "FROM nosuch"], FAILED, ""),
    (["sql", "SELECT nosuch(1)"], FAILED, ""),
    (["sql", "SELECT 1; SELECT 'x'::INTEGER", "--format", "csv"], FAILED, ""),
    (["sql", "FROM 'nosuch.parquet'"], FILE, ""),
    (["sql", "CREATE TABLE x (a INTEGER)", "--db", "data.duckdb", "--read-only"], FAILED, ""),
    (["sql", "SELECT gross('a')", "-f", "prices.py"], FAILED, "gross: the parameter 'net' expects DOUBLE, got VARCHAR"),
]


@pytest.fixture
def folder(tmp_path, prices):
    files = {
        "binary.py": b"\xff\xfe\x00x",
        "zeros.py": b"x = 1\0",
        "bad.py": b"x = 1\ndef f(x: int) -> int return x\n",
        "nothing.py": b"def f(x): return x\n",
        "raising.py": b"x = 1 / 0\ndef f(x: int) -> int: return x\n",
        "two.py": b"def a(amount: int) -> int: return 1\ndef b(amount: int) -> int: return 2\n",
        "empty.py": b"\n",
        "total.py": b"class Total:\n def step(self, x: int): pass\n def finish(self) -> int: return 1\n",
        "amount.py": b"def amount(amount: int) -> int: return 1\n",
        "in.csv": b"amount,other\n1,2\n",
        "failing.py": b"def f(amount: int) -> int: return 1 // (amount - amount)\n",
        "latin.py": b'def f(x: int) -> str: return "\xe9"\n',
        "latin.sql": b"SELECT '\xe9'",
        "latin.csv": b"amount\n\xe9\n",
        "one.sql": b"SELECT 1",
        "words.csv": b"amount\none\n",
        "cut.json": b'{"amount": 1',
        "text.parquet": b"no Parquet",
        "zero.parquet": b"",
        "zero.csv": b"",
        "broken.duckdb": b"\0" * 8 + b"DUCK" + b"\xff" * 5000,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "prices.py").write_bytes((tmp_path / prices).read_bytes())
    with duckdb.connect(tmp_path / "data.duckdb") as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS a")
    return tmp_path


def test_bad_input_is_reported(cli, folder):
    """All in one folder, which no command changes."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    wrong = []
    for arguments, status, message in CASES:
        done = cli(*arguments)
        sentence = done.err.partition("\n")[0]
        after = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        checks = {
            "status": done.status == status,
            "no output": done.out == "",
            "a message": done.err.startswith("error: ") and message in done.err,
            "no traceback of ours": str(ROOT) not in done.err,
            "a sentence": 10 < len(sentence) < 400,
            "nothing changed": after == before,
        }
        wrong += [(arguments, name, done) for name, passed in checks.items() if not passed]
    assert not wrong, "\n".join(map(repr, wrong))


@pytest.mark.parametrize(
    "arguments",
    [
        ["sql", "SELEC"],
        ["sql", "SELECT 1", "--format", "csv"],
        ["list", "--db", "nosuch.duckdb"],
        ["check", "--nosuch"],
    ],
)
def test_errors_are_json_if_asked_for(cli, arguments):
    done = cli(*arguments, "--json")
    assert done.error()["exit_status"] == done.status > 0
    assert done.error()["message"]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions don't bind the administrator")
def test_what_may_not_be_written_is_named(cli, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    done = cli("sql", "SELECT 1", "-o", "closed/out.csv")
    assert (done.status, "closed/out.csv can't be written: permission denied" in done.err) == (3, True)


def test_a_full_disk_is_named(cli):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    assert cli("sql", "FROM range(100000)", "-o", "/dev/full", "--format", "csv").status == 3


def test_a_database_in_use_is_named(cli, tmp_path):
    holder = "import duckdb, sys; con = duckdb.connect('shop.duckdb'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"open\n"
        for arguments in (["list"], ["sql", "SELECT 1"], ["drop", "f"]):
            done = cli(*arguments, "--db", "shop.duckdb")
            assert done.status == 3
            assert "the database shop.duckdb is in use by another program" in done.err
        process.stdin.close()
    assert cli("list", "--db", "shop.duckdb").status == 0
