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


def test_the_console_script_is_the_module():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"duckdb-wasi-udf": "duckdb_wasi_udf.__main__:main"}
