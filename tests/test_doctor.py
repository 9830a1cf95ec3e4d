import subprocess
import sys

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import ArtifactError, _doctor
from duckdb_wasi_udf._engine import artifact


def test_the_doctor_reports_versions_times_and_checks(capsys):
    assert _doctor.run() == 0
    report = capsys.readouterr().out
    for part in (
        f"duckdb-wasi-udf {wasi_udf.__version__}\n",
        "duckdb 2.",
        "wasmtime 50.",
        "pyarrow ",
        "sha256 ",
        "fresh instance: ",
        "compiling took ",
    ):
        assert part in report
    assert "FAILED" not in report
    assert report.endswith("everything works\n")


def test_a_failing_check_fails_the_doctor(capsys, monkeypatch):
    monkeypatch.setitem(_doctor._CHECKS, "two is three", lambda: _doctor._query("lambda x: 2") == "3")
    assert _doctor.run() == 1
    assert "two is three: FAILED" in capsys.readouterr().out


def test_a_missing_guest_is_reported(capsys, monkeypatch):
    def missing():
        raise ArtifactError("no guest; run `make guest`")

    monkeypatch.setattr(artifact, "find", missing)
    assert _doctor.run() == 1
    assert "FAILED: no guest; run `make guest`" in capsys.readouterr().out


def test_the_command_line_explains_itself():
    done = subprocess.run(
        [sys.executable, "-m", "duckdb_wasi_udf"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "doctor" in done.stderr
