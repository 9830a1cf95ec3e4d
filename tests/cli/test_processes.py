"""Real processes: pipes, Ctrl-C, and the entry point."""

import os
import signal
import subprocess
import sys
import tomllib

import pytest

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


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("arguments", [["--format", "csv"], ["-o", "out.csv"]])
def test_ctrl_c_ends_a_query(tmp_path, arguments):
    """Once it runs: rows have come out, or the file beside the output is there."""
    with start(
        "sql",
        "SELECT py_udf_bigint('lambda x: x + 1', i) AS x FROM range(1000000000000000) t(i)",
        *arguments,
        cwd=tmp_path,
    ) as process:
        if arguments[0] == "-o":
            while not list(tmp_path.glob(".*.out.csv")):
                assert process.poll() is None
        else:
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        assert (process.returncode, error) == (130, b"error: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_the_console_script_is_the_module():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"duckdb-wasi-udf": "duckdb_wasi_udf.__main__:main"}
