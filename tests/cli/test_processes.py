"""Real processes: pipes, Ctrl-C, and the entry point."""

import importlib
import os
import signal
import subprocess
import sys
import tomllib

import pytest

from duckdb_wasi_udf import __main__
from duckdb_wasi_udf._cli import app, sources
from tests.support.repository import ROOT

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
COMMAND = [sys.executable, "-m", "duckdb_wasi_udf"]


def start(*arguments, **options):
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT, **options
    )


def test_a_pipe_that_is_closed_ends_the_query():
    """Rows come as soon as there are any: the query has no end."""
    with start(
        "sql", "SELECT py_udf_bigint('lambda x: x + 1', i) AS x FROM range(1000000000000000) t(i)", "--format", "csv"
    ) as process:
        assert [process.stdout.readline().strip() for _ in range(3)] == [b"x", b"1", b"2"]
        process.stdout.close()
        error = process.stderr.read()
        assert (process.wait(60), error) == (141, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither signal for one process")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_query_and_leaves_no_half_file(tmp_path, number, status):
    """Once it runs: the file beside the output is there."""
    query = "SELECT py_udf_bigint('lambda x: x + 1', i) AS x FROM range(1000000000000000) t(i)"
    with start("sql", query, "-o", "out.csv", cwd=tmp_path) as process:
        while not list(tmp_path.glob(".*.out.csv")):
            assert process.poll() is None
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (status, b"error: interrupted\n" if number == signal.SIGINT else b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_counts_whatever_duckdb_makes_of_it(cli, tmp_path, monkeypatch):
    """DuckDB raises a RuntimeError on the main thread; a function's definition is stopped by its sandbox."""

    def pressed(*_, **__):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100_000):  # until the handler has run
            pass

    def converting(*_, **__):
        try:
            pressed()
        except KeyboardInterrupt:
            raise RuntimeError("something of DuckDB's") from None

    (tmp_path / "f.py").write_text("def f(x: int) -> int: return x\n")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    for action in (pressed, converting):
        monkeypatch.setattr(sources, "create", action)
        for arguments in (["check", "f.py"], ["sql", "SELECT f(1)", "-f", "f.py"]):
            done = cli(*arguments)
            assert (done.status, done.out, done.err) == (130, "", "error: interrupted\n")
    done = cli("repl", "--json", stdin=".read f.py\nSELECT 7 AS x;\n")
    assert (done.status, done.json()) == (130, [{"x": 7}])
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_ctrl_c_beside_the_command_is_reported(cli, monkeypatch, capfd):
    """While the libraries are imported, and while the command line is read."""

    def pressed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(importlib, "import_module", pressed)
        assert (__main__.main(), capfd.readouterr().err) == (130, "error: interrupted\n")
    monkeypatch.setattr(app, "print_line", pressed)
    done = cli("--version")
    assert (done.status, done.out, done.err) == (130, "", "error: interrupted\n")


def test_the_console_script_is_the_module():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"duckdb-wasi-udf": "duckdb_wasi_udf.__main__:main"}
