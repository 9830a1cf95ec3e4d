import re

import duckdb
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from duckdb_wasi_udf._cli import prompt
from duckdb_wasi_udf._cli.sql import is_complete


def test_statements_run_one_after_another(cli, prices):
    text = "CREATE TABLE t (a INTEGER);\nINSERT INTO t VALUES (1),\n (2);\n.mode csv\n"
    text += "SELECT gross(a) AS g\nFROM t; SELECT 5"
    done = cli("repl", "-f", prices, stdin=text)
    assert (done.status, done.out) == (0, "g\n1.19\n2.38\n5\n5\n")


def test_errors_are_reported_and_the_rest_is_run(cli):
    done = cli(
        "repl", stdin="SELEC 1;\nSELECT py_udf('lambda x: 1 / x', 0);\n.nosuch\n.mode xml\n.timer\nSELECT 7 AS seven;\n"
    )
    assert "seven" in done.out
    assert done.err.count("error: ") == 5
    assert "there is no command .nosuch" in done.err
    assert ".mode takes one of table, csv, json, jsonl, got 'xml'" in done.err
    assert done.status == 2


def test_commands_show_functions_and_read_files(cli, prices, tmp_path):
    (tmp_path / "more.py").write_text("def more(x: int) -> int: return x + 1\n")
    (tmp_path / "more2.py").write_text("def more(x: int) -> int: return x + 2\n")
    (tmp_path / "query.sql").write_text("SELECT more(1) AS m;")
    commands = (
        ".help\n.functions\n.tables\n.read more.py\n.mode jsonl\n.read query.sql\n.read more2.py\n.read query.sql\n"
    )
    done = cli(
        "repl", "-f", prices, stdin=f"{commands}.explain gross\n.timer on\nSELECT 1;\n.read nosuch.py\n.quit\nSELECT 2;"
    )
    assert ".explain NAME" in done.out
    assert "(net DOUBLE, [country VARCHAR]) -> DOUBLE" in done.out
    assert re.findall(r'{"m":(\d)}', done.out) == ["2", "3"]
    assert "gross(net DOUBLE, [country VARCHAR]) -> DOUBLE: can be compiled" in done.out
    assert re.search(r"^\d+\.\d{3} s$", done.err, re.MULTILINE)
    assert '{"2":2}' not in done.out
    assert done.status == 3  # of the file that isn't there


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True),
        ("  ", True),
        (".help", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- end;", True),
        ("SELECT 1 -- end;", False),
        ("SELECT 'a;", False),
        ("SELECT 'é😀;'", False),
        ("SELECT 'é😀';", True),
        ('SELECT "a;', False),
        ("SELECT $$a;", False),
        ("SELECT $x$ ; $x$;\n", True),
        ("SELECT 1 /* ; ", False),
        ("SELECT 1;; ", True),
    ],
)
def test_an_input_ends_with_a_semicolon_of_sql(text, complete):
    assert is_complete(text) is complete


def test_the_prompt_edits_lines_and_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr(prompt, "history_path", lambda: tmp_path / "history")
    with duckdb.connect() as con, create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        asked = prompt.Prompt(con, input=keys, output=DummyOutput())
        keys.send_text("SELECT\r1;\r")
        assert asked.ask() == "SELECT\n1;"
        keys.send_text("SELECT wrong\x03SELECT 2;\r")  # Ctrl-C clears
        assert asked.ask() == "SELECT 2;"
        keys.send_text("\x1b[A\r")  # up: the last one again
        assert asked.ask() == "SELECT 2;"
        keys.send_text("\x04")
        assert asked.ask() is None
    assert "+SELECT 2;" in (tmp_path / "history").read_text()
    assert (tmp_path / "history").stat().st_mode & 0o077 == 0


def test_names_are_completed(con):
    con.execute("CREATE TABLE people (first_name VARCHAR)")
    completer = prompt.SqlCompleter(con)
    completer.refresh()

    def completed(text):
        return [completion.text for completion in completer.get_completions(Document(text), None)]

    assert completed("SELECT fir")[0] == "first_name"
    assert "people" in completed("FROM peo")
    assert "SELECT" in completed("SEL")
    assert "regexp_matches" in completed("SELECT regexp_m")
    assert completed(".fu") == [".functions"]
    assert completed("SELECT ") == []
