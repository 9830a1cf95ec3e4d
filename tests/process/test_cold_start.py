"""The first start on a machine: one process compiles, the others wait; the cache may be read-only."""

import hashlib
import logging
import os
import stat
import subprocess
import sys
import threading
import time

import pytest
import wasmtime

from duckdb_wasi_udf import _doctor
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import Engine, load_engine
from duckdb_wasi_udf._process import cache_files

SMALL_MODULE = wasmtime.wat2wasm('(module (memory (export "memory") 1))')
PROCESSES = 4

# Compiles when all processes have come so far that they want the module.
COMPILING = """
import hashlib, sys, threading
from pathlib import Path
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import Engine
from duckdb_wasi_udf._process import cache_files

folder, number = Path(sys.argv[1]), sys.argv[2]
if sys.argv[4] == "no locks":  # as on a file system that has none
    cache_files._locked = lambda descriptor: True
module = folder / "guest.wasm"
guest = artifact.Guest(module_path=module, sha256=hashlib.sha256(module.read_bytes()).hexdigest(), manifest={})
compile_module = Engine._compile

def compile_late(self, *arguments):
    while len(list(folder.glob("here-*"))) < int(sys.argv[3]):
        threading.Event().wait(0.02)
    return compile_module(self, *arguments)

Engine._compile = compile_late
(folder / f"here-{number}").touch()
print(Engine(guest, folder / "cache", timeout_seconds=10).compiled_now)
"""


@pytest.fixture
def small_guest(tmp_path):
    path = tmp_path / "guest.wasm"
    path.write_bytes(SMALL_MODULE)
    return artifact.Guest(module_path=path, sha256=hashlib.sha256(SMALL_MODULE).hexdigest(), manifest={})


@pytest.fixture
def unusable(monkeypatch, tmp_path):
    """A cache directory that can't be made, and an empty directory for temporary files."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("DUCKDB_WASI_UDF_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    cache_files.stand_in.cache_clear()
    yield tmp_path / "tmp"
    cache_files.stand_in.cache_clear()


# ---- many processes ------------------------------------------------------------------------------------------------


def compile_at_once(folder, processes, locks):
    """Return what processes print that want the module at once."""
    command = [sys.executable, "-c", COMPILING, str(folder)]
    running = [
        subprocess.Popen([*command, str(number), str(processes), locks], stdout=subprocess.PIPE, text=True)
        for number in range(processes)
    ]
    printed = [process.communicate(timeout=60)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0] * processes
    return sorted(printed)


def test_one_of_many_processes_compiles(small_guest, tmp_path):
    assert compile_at_once(tmp_path, PROCESSES, "locks") == ["False"] * (PROCESSES - 1) + ["True"]


def test_processes_that_all_compile_leave_one_whole_file(small_guest, tmp_path):
    assert compile_at_once(tmp_path, 2, "no locks") == ["True"] * 2
    assert not Engine(small_guest, tmp_path / "cache", timeout_seconds=10).compiled_now
    assert sorted(path.suffix for path in (tmp_path / "cache").iterdir()) == [".cwasm", ".json", ".lock"]


def test_a_lock_is_waited_for(tmp_path):
    order = []

    def second():
        with cache_files.exclusive(tmp_path / "lock", wait_seconds=60):
            order.append("second")

    thread = threading.Thread(target=second)
    with cache_files.exclusive(tmp_path / "lock"):
        thread.start()
        thread.join(timeout=0.3)
        order.append("first")
    thread.join(timeout=60)
    assert order == ["first", "second"]


def test_a_lock_is_waited_for_no_longer_than_allowed(tmp_path):
    with cache_files.exclusive(tmp_path / "lock"):
        started = time.monotonic()
        with cache_files.exclusive(tmp_path / "lock", wait_seconds=0.2):
            assert 0.2 <= time.monotonic() - started < 30


def test_a_process_that_was_killed_holds_no_lock(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom duckdb_wasi_udf._process import cache_files\n"
        "with cache_files.exclusive(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], **pipes) as process:
        assert process.stdout.readline().strip() == b"held"
        process.kill()
        process.wait(timeout=60)
    started = time.monotonic()
    with cache_files.exclusive(tmp_path / "lock", wait_seconds=60):
        assert time.monotonic() - started < 30


def test_the_lock_of_a_directory_that_is_gone_is_an_error(tmp_path):
    with (
        pytest.raises(cache_files.UnusableCacheError, match="set DUCKDB_WASI_UDF_CACHE"),
        cache_files.exclusive(tmp_path / "gone" / "lock"),
    ):
        pass


# ---- directories that can't be written -----------------------------------------------------------------------------


def test_a_temporary_directory_stands_in_with_one_warning(small_guest, unusable, caplog):
    with caplog.at_level(logging.WARNING):
        compiled = [load_engine(small_guest, timeout_seconds=10).compiled_now for _ in range(3)]
    assert compiled == [True, False, False]
    (message,) = caplog.messages
    assert "can't be written" in message
    assert "set DUCKDB_WASI_UDF_CACHE to a directory of yours; until then" in message
    (directory,) = unusable.iterdir()
    assert str(directory) in message
    if sys.platform != "win32":
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert cache_files.usable_directory("modules") == directory / "modules"
    cache_files.stand_in.cache_clear()  # as in another process
    assert not load_engine(small_guest, timeout_seconds=10).compiled_now


@pytest.mark.skipif(sys.platform == "win32", reason="Windows gives each user temporary files of their own")
@pytest.mark.parametrize("trap", ["link", "file", "stranger"])
def test_a_trap_among_the_temporary_files_is_not_used(small_guest, unusable, tmp_path, trap):
    name = unusable / f"duckdb-wasi-udf-{os.getuid()}"
    if trap == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o755)
        name.symlink_to(tmp_path / "elsewhere")
    elif trap == "file":
        name.write_text("")
    elif os.getuid() != 0:
        pytest.skip("only root can give a directory away")
    else:
        name.mkdir()
        os.chown(name, 12345, 12345)
    assert load_engine(small_guest, timeout_seconds=10).compiled_now
    (used,) = [path for path in unusable.iterdir() if path != name]
    assert list(used.glob("*.cwasm"))
    if trap == "link":
        assert list((tmp_path / "elsewhere").iterdir()) == []
        assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o755


# ---- compile -------------------------------------------------------------------------------------------------------


@pytest.fixture
def image(monkeypatch, tmp_path, small_guest, capsys):
    """The cache of a container's image, filled by the command."""
    monkeypatch.setenv("DUCKDB_WASI_UDF_CACHE", str(tmp_path / "image"))
    monkeypatch.setattr(artifact, "find", lambda: small_guest)
    assert _doctor.compile_guest(fuel=False) == 0
    assert "compiled in" in capsys.readouterr().out
    return tmp_path / "image" / "compiled"


def test_what_is_compiled_for_an_image_is_there_for_all_users(image, small_guest, capsys):
    assert not load_engine(small_guest, timeout_seconds=10).compiled_now
    assert load_engine(small_guest, timeout_seconds=10, counts_fuel=True).compiled_now
    assert _doctor.compile_guest(fuel=True) == 0
    assert "with fuel, was there already" in capsys.readouterr().out
    if sys.platform != "win32":
        assert stat.S_IMODE(image.stat().st_mode) == 0o755
        assert {stat.S_IMODE(path.stat().st_mode) for path in image.iterdir()} == {0o644}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no owner permissions of this kind")
def test_a_read_only_cache_is_used_if_nobody_else_can_write_it(image, small_guest, monkeypatch):
    def refuse(directory):
        raise cache_files.UnusableCacheError(str(directory))

    monkeypatch.setattr(cache_files, "make_private", refuse)  # as on a read-only file system, which root can't make
    assert not Engine(small_guest, image, timeout_seconds=10).compiled_now
    with pytest.raises(cache_files.UnusableCacheError):
        Engine(small_guest, image, timeout_seconds=10, counts_fuel=True)
    image.chmod(0o777)
    with pytest.raises(cache_files.UnusableCacheError):
        Engine(small_guest, image, timeout_seconds=10)


def test_compiling_needs_a_directory_that_can_be_written(unusable, capsys):
    assert _doctor.compile_guest(fuel=False) == 1
    assert "FAILED: the cache directory" in capsys.readouterr().out
