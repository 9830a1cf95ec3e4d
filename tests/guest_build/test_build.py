"""The guest's build, on steps and sources of our own; the real one runs before every test."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wasm import _build, _config, _fetch, _module, _steps

ROOT = Path(__file__).parents[2]


@given(st.integers(0, 2**64))
def test_unsigned_integers_survive_their_encoding(value):
    reader = _module.Reader(_module.unsigned(value) + b"\xff")
    assert reader.unsigned() == value
    assert reader.byte() == 0xFF


@pytest.mark.parametrize(
    ("value", "encoded"),
    # https://en.wikipedia.org/wiki/LEB128 and the WebAssembly specification, 5.2.2
    [
        (0, "00"),
        (2, "02"),
        (-2, "7e"),
        (127, "ff00"),
        (-127, "817f"),
        (128, "8001"),
        (-128, "807f"),
        (-123456, "c0bb78"),
    ],
)
def test_signed_integers_are_encoded_as_specified(value, encoded):
    assert _module.signed(value).hex() == encoded


def test_a_module_is_split_and_joined_without_change():
    module = _build.ARTIFACT.joinpath("guest.wasm").read_bytes()
    assert _module.join(_module.split(module)) == module
    with pytest.raises(ValueError, match="not a WebAssembly"):
        _module.split(b"\x7fELF")


def test_a_build_with_nothing_changed_does_nothing():
    manifest = _build.ARTIFACT / "MANIFEST.json"
    before = manifest.stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-m", "wasm", "build"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert manifest.stat().st_mtime_ns == before
    assert _build.requirements() == []


def test_a_damaged_artifact_in_the_package_is_put_right(tmp_path, monkeypatch):
    monkeypatch.setattr(_build, "ARTIFACT", tmp_path / "_artifact")
    _build.build()
    whole = (tmp_path / "_artifact" / "guest.wasm").read_bytes()
    (tmp_path / "_artifact" / "MANIFEST.json").unlink()
    (tmp_path / "_artifact" / "guest.wasm").write_bytes(b"half a copy")
    _build.build()
    assert (tmp_path / "_artifact" / "guest.wasm").read_bytes() == whole
    assert hashlib.sha256(whole).hexdigest() in (tmp_path / "_artifact" / "MANIFEST.json").read_text()


def test_a_step_runs_once(tmp_path):
    ran = []
    for _ in range(2):
        made = _steps.step("try", tmp_path / "try-1", lambda to, log: ran.append(to), tmp_path / "logs")
        assert made == tmp_path / "try-1"
    assert ran == [tmp_path / "try-1"]


def test_an_interrupted_step_starts_clean(tmp_path):
    def interrupted(to, log):
        (to / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _steps.step("try", tmp_path / "try-1", interrupted, tmp_path / "logs")

    def whole(to, log):
        assert list(to.iterdir()) == []
        (to / "whole").touch()

    _steps.step("try", tmp_path / "try-1", whole, tmp_path / "logs")
    assert (tmp_path / "try-1" / "whole").exists()


def test_a_step_that_continues_keeps_what_is_there(tmp_path):
    _steps.step("first", tmp_path / "try", lambda to, log: (to / "kept").touch(), tmp_path / "logs")
    found = []
    _steps.step(
        "then", tmp_path / "try", lambda to, log: found.append((to / "kept").exists()), tmp_path, continues=True
    )
    assert found == [True]


def test_a_command_that_fails_shows_the_end_of_its_log(tmp_path):
    log = _steps.Log(tmp_path / "step.log")
    with pytest.raises(_steps.StepError, match=r"failed with status 3; the end of .*step.log:\n(.*\n)*the reason"):
        log.run(sys.executable, "-c", "import sys; print('the reason'); sys.exit(3)", cwd=tmp_path)


def test_a_build_does_not_see_the_callers_flags(tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-mine")
    log = _steps.Log(tmp_path / "step.log")
    log.run(sys.executable, "-c", "import os; print(os.environ.get('CFLAGS'))", cwd=tmp_path)
    assert log.path.read_text().splitlines()[-1] == "None"


def test_a_key_changes_with_every_input(tmp_path):
    file = tmp_path / "file"
    file.write_text("a")
    first = _steps.key(["x"], file)
    assert _steps.key(["x"], file) == first
    assert _steps.key(["y"], file) != first
    file.write_text("b")
    assert _steps.key(["x"], file) != first


@pytest.fixture
def source():
    data = b"a source archive"
    sha256 = hashlib.sha256(data).hexdigest()
    places = [{"url": "http://127.0.0.1:9/nothing-listens-here", "sha256": sha256}]
    return data, _config.Source(name="thing", version="1", licence="LICENCE", places=places)


def test_a_local_file_named_by_the_environment_comes_first(source, tmp_path, monkeypatch):
    data, thing = source
    (tmp_path / "local").write_bytes(data)
    monkeypatch.setenv("DUCKDB_WASI_UDF_THING_SOURCE", str(tmp_path / "local"))
    assert _fetch.fetch(thing, tmp_path / "sources").read_bytes() == data
    monkeypatch.delenv("DUCKDB_WASI_UDF_THING_SOURCE")
    assert _fetch.fetch(thing, tmp_path / "sources").read_bytes() == data  # kept


def test_a_file_that_is_not_the_pinned_one_is_refused(source, tmp_path, monkeypatch):
    (tmp_path / "local").write_bytes(b"another")
    monkeypatch.setenv("DUCKDB_WASI_UDF_THING_SOURCE", str(tmp_path / "local"))
    with pytest.raises(_steps.StepError, match="has the sha256 .* pins"):
        _fetch.fetch(source[1], tmp_path / "sources")


def test_a_source_nobody_has_says_what_was_tried_and_what_to_do(source, tmp_path):
    with pytest.raises(_steps.StepError, match=r"DUCKDB_WASI_UDF_THING_SOURCE. Tried:\n  http://127.0.0.1:9/nothing"):
        _fetch.fetch(source[1], tmp_path)


def test_the_pins_agree():
    assert f"ziglang=={_config.load().ziglang}" in (ROOT / "pyproject.toml").read_text()
