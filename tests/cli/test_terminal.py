"""What a person sees, and what a terminal must not act on."""

import io
import json
import sys

import duckdb
import pytest

from duckdb_wasi_udf._cli import running, terminal

HOSTILE = "SELECT 'a' || chr(27) || '[31m' || chr(155) || chr(8238) || ' ü' AS x, [chr(7)] AS y"


@pytest.fixture
def on_terminal(monkeypatch):
    """Has output treated as if a person saw it, on a terminal that is 80 characters wide."""
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: stream is sys.stdout)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.mark.parametrize("arguments", [[], ["--format", "csv"], ["--json"], ["--format", "jsonl"]])
def test_a_terminal_gets_nothing_that_it_acts_on(cli, on_terminal, arguments):
    done = cli("sql", HOSTILE, *arguments)
    assert done.status == 0, done.err
    assert all(character.isprintable() or character in "\n\t" for character in done.out)
    assert "ü" in done.out


def test_other_programs_get_the_values_as_they_are(cli):
    (row,) = cli("sql", HOSTILE, "--json").json()
    assert row == {"x": "a\x1b[31m\x9b\u202e ü", "y": ["\x07"]}
    assert "a\x1b[31m\x9b\u202e ü" in cli("sql", HOSTILE, "--format", "csv").out


def test_characters_cut_by_a_pipe_are_put_together(cli, on_terminal):
    done = cli("sql", "SELECT repeat('é😀', 20000) AS x", "--format", "csv")
    assert done.out == "x\n" + "é😀" * 20000 + "\n"


def test_names_of_emojis_and_markup_are_text(cli, tmp_path):
    done = cli("sql", "SELECT ':smile: [bold]x[/]' AS \":warning:\"")
    assert ":smile: [bold]x[/]" in done.out
    assert ":warning:" in done.out
    done = cli("sql", "SELECT error(':smile: [bold]x[/]')")
    assert ":smile: [bold]x[/]" in done.err


def test_wide_tables_are_cut_on_a_terminal_only(cli, on_terminal, monkeypatch):
    query = f"SELECT {', '.join(f'{i} AS c{i}' for i in range(50))}, repeat('x', 500) AS long"
    done = cli("sql", query)
    assert max(map(len, done.out.splitlines())) <= 80
    assert "of 51 columns" in done.err
    done = cli("sql", "SELECT repeat('x', 500) AS long")
    assert max(map(len, done.out.splitlines())) <= 80
    monkeypatch.undo()
    done = cli("sql", query)
    assert "x" * 500 in done.out
    assert "c49" in done.out


def test_a_long_text_leaves_other_columns_whole(cli, on_terminal):
    done = cli("sql", "SELECT repeat('long ', 40) AS name, 42 AS answer, NULL AS missing")
    assert all(text in done.out for text in ("answer", "42", "missing", "NULL", "long", "…"))
    assert max(map(len, done.out.splitlines())) <= 80


def test_what_functions_print_goes_to_stderr(cli):
    code = "def f(x):\n    print('seen', x)\n    return x"
    done = cli("sql", f"SELECT py_udf_bigint($${code}$$, i) AS x FROM range(2) t(i)", "--format", "csv")
    assert (done.out, done.err) == ("x\n0\n1\n", "seen 0\nseen 1\n")


def test_progress_is_shown_once_a_query_takes_long(cli, monkeypatch):
    shown = []

    class Line:
        def __init__(self, *columns, **options): ...

        def add_task(self, *_, **options):
            return 0

        def start(self): ...

        def stop(self): ...

        def update(self, _, **values):
            shown.append(values)

    monkeypatch.setattr(running, "Progress", Line)
    monkeypatch.setattr(running, "is_terminal", lambda stream: stream is sys.stderr)
    code = "import time\ndef f(x):\n    if x % 4096 == 0: time.sleep(0.05)\n    return x"
    query = f"SELECT sum(py_udf_bigint('{code}', i)) AS s FROM range(40000) t(i)"
    assert cli("sql", query, "--format", "csv", "-o", "out.csv").status == 0
    assert shown == []
    monkeypatch.setattr(running, "_SILENT_SECONDS", 0.0)
    assert cli("sql", query, "--format", "csv", "-o", "out.csv").status == 0
    assert any("rows, " in values["rows"] for values in shown)
    assert all(0 <= values["completed"] <= 100 for values in shown)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_any_encoding_of_stdout_takes_everything(cli, monkeypatch, encoding):
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding))
    done = cli("sql", "SELECT '日本 ü' AS x")
    assert (done.status, done.err) == (0, "")
    assert b"\\u65e5\\u672c" in data.getvalue()


def test_streams_may_be_closed_from_the_beginning(cli, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli("sql", "SELECT 1 AS a").status == 0
    assert cli("sql", "SELEC").status == 1
    sys.stdout.close()
    sys.stderr.close()


def test_input_and_output_may_be_one_file(cli, tmp_path):
    (tmp_path / "f.py").write_text("def double(n: int) -> int: return n * 2\n")
    with duckdb.connect() as con:
        con.execute(f"COPY (SELECT i AS n FROM range(5000) t(i)) TO '{tmp_path / 'data.parquet'}'")
        done = cli("run", "f.py", "data.parquet", "--as", "n", "-o", "data.parquet")
        assert done.status == 0, done.err
        assert con.execute(f"SELECT sum(n) FROM '{tmp_path / 'data.parquet'}'").fetchall() == [(sum(range(5000)) * 2,)]


def test_files_without_rows_are_read(cli, tmp_path):
    (tmp_path / "f.py").write_text("def double(n: int) -> int: return n * 2\n")
    (tmp_path / "in.csv").write_text("n\n")
    assert json.loads(cli("run", "f.py", "in.csv", "--json").out) == []
    with duckdb.connect() as con:
        con.execute(f"COPY (SELECT 1 AS n WHERE FALSE) TO '{tmp_path / 'in.parquet'}'")
    assert cli("run", "f.py", "in.parquet", "-o", "out.parquet").status == 0
    assert (tmp_path / "out.parquet").stat().st_size > 0


def test_duckdbs_own_progress_is_never_in_the_output(cli):
    """DuckDB would print it to stdout, whatever that is, once a query takes two seconds."""
    query = "SELECT name, value FROM duckdb_settings() WHERE name LIKE 'enable_progress_bar%' ORDER BY name"
    settings = {row["name"]: row["value"] for row in cli("sql", query, "--json").json()}
    assert settings["enable_progress_bar"] == "false"
