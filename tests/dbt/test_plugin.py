"""The plugin as dbt-duckdb calls it, without dbt."""

import subprocess
import sys
from pathlib import Path

import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import dbt

EXAMPLE = Path(__file__).parents[2] / "sql" / "dbt_example"


def configured(con, **config):
    plugin = dbt.Plugin.__new__(dbt.Plugin)
    plugin.initialize(config)
    plugin.configure_connection(con)
    return plugin


def test_the_files_of_a_folder_are_functions_of_every_connection(con, tmp_path):
    (tmp_path / "doubled.py").write_text("def helper(x): return x\ndef doubled(x: int) -> int: return 2 * helper(x)")
    (tmp_path / "_hidden.py").write_text("not Python")
    (tmp_path / "notes.txt").write_text("nor this")
    plugin = configured(con, functions=str(tmp_path), limits={"timeout_seconds": 3}, allow_inline=False)
    assert plugin.sandbox.limits.timeout_seconds == 3
    assert con.cursor().execute("SELECT doubled(21)").fetchall() == [(42,)]
    (tmp_path / "doubled.py").write_text("def doubled(x: int) -> int: return 3 * x")
    configured(con, functions=str(tmp_path))  # as dbt does when it opens a connection again
    assert con.execute("SELECT doubled(21)").fetchall() == [(63,)]


def test_generators_are_table_functions_and_classes_aggregates(con, tmp_path):
    (tmp_path / "numbers.py").write_text("def numbers(n: int) -> Iterator[int]:\n    yield from range(n)")
    (tmp_path / "multiplied.py").write_text(
        "class Multiplied:\n"
        "    def __init__(self): self.product = 1\n"
        "    def step(self, x: int): self.product *= x\n"
        "    def finish(self) -> int: return self.product\n"
    )
    (tmp_path / "below.py").write_text(
        "def below(x: int) -> int: return sum(these(x))\ndef these(n: int) -> Iterator[int]: yield from range(n)"
    )
    for _ in range(2):  # as dbt does when it opens a connection again
        configured(con, functions=str(tmp_path))
        assert con.execute("SELECT multiplied(list(n + 1)), below(4) FROM numbers(5) t(n)").fetchall() == [(120, 6)]


def test_quotas_of_host_functions_are_mappings(con):
    limits = {"host_batch": {"calls": 7, "bytes": 1000, "seconds": 2.5}, "instances": 3}
    plugin = configured(con, limits=limits)
    assert plugin.sandbox.limits.host_batch == wasi_udf.HostQuota(calls=7, bytes=1000, seconds=2.5)
    assert plugin.sandbox.limits.instances == 3


def test_host_functions_are_imported(con):
    configured(con, host_functions=["tests.frames.rates:rate"])
    code = "import host\nasync def f(c): return await host.rate(c)"
    assert con.execute("SELECT py_udf_double($1, 'FR')", [code]).fetchall() == [(0.2,)]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"function": "udfs"}, "no setting 'function'; there are: functions, packages"),
        ({"functions": "no/such/folder"}, "functions is a folder of .py files"),
        ({"limits": {"timeout": 5}}, "limits: there is no limit 'timeout'; did you mean timeout_seconds"),
        ({"data_limits": {"x": 5}}, "data_limits: there is no limit 'x'; there are: result_bytes"),
        ({"limits": {"host_batch": {"call": 5}}}, "there is no limit 'call'; did you mean calls"),
        ({"limits": 5}, "limits are names and numbers, .* got 5"),
        ({"limits": {"timeout_seconds": -1}}, "timeout_seconds must be a positive number"),
        ({"host_functions": ["nowhere:f"]}, "'nowhere:f' is no host function"),
    ],
)
def test_wrong_settings_are_refused(con, config, message):
    with pytest.raises(wasi_udf.SignatureError, match=message):
        configured(con, **config)


def test_a_mistake_names_its_file_in_few_lines(con, tmp_path):
    (tmp_path / "broken.py").write_text("def broken(x: int) -> int\n    return x")
    with pytest.raises(wasi_udf.SignatureError, match="broken.py: .*SyntaxError") as caught:
        configured(con, functions=str(tmp_path))
    assert len(str(caught.value).splitlines()) < 8
    (tmp_path / "broken.py").rename(tmp_path / "sum.py")
    (tmp_path / "sum.py").write_text("def sum(x: int) -> int:\n    return x")
    with pytest.raises(wasi_udf.SignatureError, match=r"sum.py: .*sum is an aggregate function of DuckDB's own"):
        configured(con, functions=str(tmp_path))


def test_the_macro_of_the_example_is_the_one_of_the_package(tmp_path):
    command = [sys.executable, "-m", "duckdb_wasi_udf.dbt"]
    subprocess.run([*command, tmp_path], check=True, capture_output=True, timeout=60)
    assert (tmp_path / "wasi_udf.sql").read_text() == (EXAMPLE / "macros" / "wasi_udf.sql").read_text()
    failed = subprocess.run(
        [*command, tmp_path / "gone"], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "is no folder; run this in the dbt project" in failed.stderr
