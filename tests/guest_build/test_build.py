"""The guest's build, on steps of our own; the real one runs before every test."""

import errno
import hashlib
import json
import platform
import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from wasm.build import config, native, pipeline, sections, snapshot, steps
from wasm.build.reactor import Module

ROOT = Path(__file__).parents[2]


@given(st.integers(0, 2**64))
def test_unsigned_integers_survive_their_encoding(value):
    reader = sections.Reader(sections.unsigned(value) + b"\xff")
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
    assert sections.signed(value).hex() == encoded


def test_a_module_is_split_and_joined_without_change():
    module = pipeline.ARTIFACT.joinpath("guest.wasm").read_bytes()
    assert sections.join(sections.split(module)) == module
    with pytest.raises(ValueError, match="not a WebAssembly"):
        sections.split(b"\x7fELF")


def test_a_build_with_nothing_changed_does_nothing():
    manifest = pipeline.ARTIFACT / "MANIFEST.json"
    before = manifest.stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-m", "wasm", "build"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert manifest.stat().st_mtime_ns == before
    assert pipeline.requirements() == []


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="the guest's bytes were compared on Linux x86-64",
)
def test_the_guest_has_the_bytes_that_the_documents_name():
    """After a change of the guest: put the sha256 that this shows into docs/explanation/security.md."""
    module = pipeline.ARTIFACT / "guest.wasm"
    page = (ROOT / "docs" / "explanation" / "security.md").read_text()
    (named,) = re.findall(r"^    ([0-9a-f]{64})$", page, re.MULTILINE)
    assert hashlib.sha256(module.read_bytes()).hexdigest() == named


def test_a_damaged_artifact_in_the_package_is_put_right(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "ARTIFACT", tmp_path / "_artifact")
    pipeline.build()
    whole = (tmp_path / "_artifact" / "guest.wasm").read_bytes()
    (tmp_path / "_artifact" / "MANIFEST.json").unlink()
    (tmp_path / "_artifact" / "guest.wasm").write_bytes(b"half a copy")
    pipeline.build()
    assert (tmp_path / "_artifact" / "guest.wasm").read_bytes() == whole
    assert hashlib.sha256(whole).hexdigest() in (tmp_path / "_artifact" / "MANIFEST.json").read_text()


@pytest.fixture
def step(tmp_path):
    """Run a step in the same directory each time."""

    def run(action, name="try"):
        return steps.step(name, tmp_path / "try-1", action, tmp_path / "logs", steps.Progress([name]))

    return run


def test_a_damaged_artifact_in_the_cache_is_made_again(tmp_path, monkeypatch):
    made = tmp_path / "guest" / "artifact-1"

    class Build:
        def __init__(self, workspace, *, debug=False, numpy=False):
            pass

        def artifact(self):
            if not made.exists():
                made.mkdir()
                (made / "guest.wasm").write_bytes(b"whole")
                (made / "MANIFEST.json").write_text(json.dumps({"guest_sha256": hashlib.sha256(b"whole").hexdigest()}))
            return made

    monkeypatch.setattr(config, "workspace", lambda: tmp_path / "guest")
    monkeypatch.setattr(pipeline, "ARTIFACT", tmp_path / "_artifact")
    monkeypatch.setattr(pipeline, "_Build", Build)
    (tmp_path / "guest").mkdir()
    Build(None).artifact().joinpath("guest.wasm").write_bytes(b"who")
    assert (pipeline.build() / "guest.wasm").read_bytes() == b"whole"


def test_a_second_build_waits_for_the_first_and_says_so(tmp_path, capsys):
    order = []

    def second():
        with pipeline._alone(tmp_path):
            order.append("second")

    with pipeline._alone(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        while "another build works in" not in (printed := capsys.readouterr().err):
            thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert str(tmp_path) in printed


def test_a_step_runs_once(step, tmp_path):
    ran = []
    for _ in range(2):
        assert step(lambda to, log: ran.append(to)) == tmp_path / "try-1"
    assert ran == [tmp_path / "try-1"]


def test_an_interrupted_step_starts_clean(step):
    def interrupted(to, log):
        (to / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step(interrupted)

    def whole(to, log):
        assert list(to.iterdir()) == []
        (to / "whole").touch()

    assert (step(whole) / "whole").exists()


def test_each_step_says_how_long_it_took_and_what_is_left(step, tmp_path, capsys):
    progress = steps.Progress(["first", "then"])
    for name in ("first", "then"):
        steps.step(name, tmp_path / name, lambda to, log: None, tmp_path / "logs", progress)
    first, first_done, then, then_done = capsys.readouterr().err.splitlines()
    assert first == f"guest: first ... (log: {tmp_path / 'logs' / 'first.log'})"
    assert first_done == "guest: first took 0 s, 0 s in all; to do: then"
    assert then.startswith("guest: then ...")
    assert then_done.endswith("; done")


def test_a_full_disk_is_named_with_what_to_do(step, tmp_path):
    def fill(to, log):
        raise OSError(errno.ENOSPC, "no room", str(to / "file"))

    with pytest.raises(steps.StepError, match=f"disk that holds {tmp_path} is full; .* DUCKDB_WASI_UDF_CACHE"):
        step(fill)


def test_a_command_that_fails_on_a_full_disk_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(steps.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(steps.StepError, match="is full"):
        steps.Log(tmp_path / "step.log").run(sys.executable, "-c", "raise SystemExit(1)", cwd=tmp_path)


def test_a_program_that_is_missing_is_named(tmp_path):
    with pytest.raises(steps.StepError, match="needs the program 'no-such-program', which isn't on PATH"):
        steps.Log(tmp_path / "step.log").run("no-such-program", cwd=tmp_path)


def test_a_command_that_fails_shows_the_end_of_its_log(tmp_path):
    log = steps.Log(tmp_path / "step.log")
    with pytest.raises(steps.StepError, match=r"failed with status 3; the end of .*step.log:\n(.*\n)*the reason"):
        log.run(sys.executable, "-c", "import sys; print('the reason'); sys.exit(3)", cwd=tmp_path)


def test_a_build_does_not_see_the_callers_flags(tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-mine")
    log = steps.Log(tmp_path / "step.log")
    log.run(sys.executable, "-c", "import os; print(os.environ.get('CFLAGS'))", cwd=tmp_path)
    assert log.path.read_text().splitlines()[-1] == "None"


def test_a_key_changes_with_every_input(tmp_path):
    file = tmp_path / "file"
    file.write_text("a")
    first = steps.key(["x"], file)
    assert steps.key(["x"], file) == first
    assert steps.key(["y"], file) != first
    file.write_text("b")
    assert steps.key(["x"], file) != first


def test_the_pins_agree():
    assert f"ziglang=={config.load().ziglang}" in (ROOT / "pyproject.toml").read_text()


# ---- debugging the guest -------------------------------------------------------------------------------------------


def run_in_guest(tmp_path, source, *arguments):
    file = tmp_path / "tried.py"
    file.write_text(source)
    command = [sys.executable, "-m", "wasm", "run", *arguments[:-1], file, arguments[-1]]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_a_function_runs_without_duckdb(tmp_path):
    done = run_in_guest(tmp_path, "def f(x):\n    print('seen')\n    return {'x': x}", "[1, null]")
    assert (done.returncode, done.stdout) == (0, "{'x': [1, None]}\n")
    assert "seen" in done.stderr


def test_rows_of_a_table_function_are_printed(tmp_path):
    done = run_in_guest(tmp_path, "def f(s):\n    yield from s", "--table", "ab")
    assert (done.returncode, done.stdout) == (0, "'a'\n'b'\n")


def test_a_trap_shows_the_stack_of_the_guest(tmp_path):
    done = run_in_guest(tmp_path, "import os\ndef f(x):\n    os.abort()", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the guest crashed" in done.stderr
    assert len(re.findall(r"^ +\d+: +0x[0-9a-f]+ - ", done.stderr, re.MULTILINE)) > 2


@pytest.mark.parametrize("debug", [False, True])
def test_only_a_debug_snapshot_keeps_the_names_of_functions(debug):
    linked = wasmtime.wat2wasm("""
        (module
          (table 1 1 funcref)
          (memory (export "memory") 1)
          (global (export "__stack_pointer") (mut i32) (i32.const 1024))
          (data (i32.const 2048) "data")
          (func $first (export "_initialize"))
          (func $freeze (export "udf_frozen_module") (param i32 i32 i32) (result i32) (i32.const 0))
          (func $start (export "udf_prepare") (param i32 i32) (result i32) (i32.const 0)))
    """)
    taken = snapshot.take(Module(bytes(linked)), b"zip", {"importer": b"code"}, debug=debug)
    assert any(section.id == sections.SectionId.CUSTOM for section in sections.split(taken)) is debug
    assert (b"freeze" in taken) is debug
    wasmtime.Module(wasmtime.Engine(), taken)  # it is valid


def test_the_compiler_runs_without_the_interpreters_packages(tmp_path):
    """As where pip builds a wheel: its packages are on the path of this interpreter alone."""
    command = native.zig()
    assert command is not None, "ziglang isn't installed: make sets that up"
    (tmp_path / "a.c").write_text("int main(void) { return 0; }")
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": "", "PATH": ""}
    subprocess.run(
        [*command, "-c", "a.c", "-o", "a.o"], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60
    )
    assert sys.executable not in command
