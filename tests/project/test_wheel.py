"""The wheel, in an environment that has nothing else."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THREE_LINES = """
import duckdb, duckdb_wasi_udf
con = duckdb.connect(); duckdb_wasi_udf.install(con); con.sql("CREATE TABLE t AS SELECT 'ada lovelace' AS name")
print(con.sql("SELECT py_udf('lambda s: s.title()', name) FROM t").fetchall())
"""

READY_MADE = """
from hostfuncs import http, lookup, serialization
assert lookup.from_dict({"a": 1}).batched and serialization.decode("parquet", "STRUCT(a BIGINT)[]").batched
try:
    http.fetch([])
except ImportError as error:
    print(error)
"""


def run(*command, cwd, **options):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=True, **options).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT), cwd=folder)
    (made,) = folder.iterdir()
    return made


@pytest.mark.timeout(300)
def test_the_wheel_carries_the_guest_and_runs_everywhere(wheel):
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size <= 15 * 2**20
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("guest.wasm", "MANIFEST.json", "licences/python.txt"):
        assert f"duckdb_wasi_udf/_artifact/{name}" in names
    for folder in ("", "http/", "lookup/", "serialization/"):
        assert f"hostfuncs/{folder}__init__.py" in names
    assert not any(name.startswith(("tests/", "wasm/", "benchmarks/")) for name in names)


@pytest.mark.timeout(600)
def test_three_lines_work_in_a_fresh_environment(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", str(wheel), cwd=tmp_path)
    assert run(python, "-c", THREE_LINES, cwd=tmp_path) == "[('Ada Lovelace',)]\n"
    assert (
        run(python, "-c", READY_MADE, cwd=tmp_path) == "anyio is not installed: pip install 'duckdb-wasi-udf[http]'\n"
    )
    report = run(python, "-m", "duckdb_wasi_udf", "doctor", cwd=tmp_path)
    assert report.endswith("everything works\n")
    assert str(ROOT) not in report
