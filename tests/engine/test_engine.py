import hashlib
import json
import os
import stat
import sys

import pytest
import wasmtime

from duckdb_wasi_udf import ArtifactError
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.engine import Engine
from duckdb_wasi_udf._process import cache_files

# A whole WebAssembly module, quick to compile: (module (memory (export "memory") 1))
SMALL_MODULE = wasmtime.wat2wasm('(module (memory (export "memory") 1))')


@pytest.fixture
def small_guest(tmp_path):
    path = tmp_path / "guest.wasm"
    path.write_bytes(SMALL_MODULE)
    return artifact.Guest(module_path=path, sha256=hashlib.sha256(SMALL_MODULE).hexdigest(), manifest={})


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "compiled"


def test_the_guest_is_compiled_once_and_then_loaded(small_guest, cache):
    first = Engine(small_guest, cache, timeout_seconds=10)
    second = Engine(small_guest, cache, timeout_seconds=10)
    assert (first.compiled_now, second.compiled_now) == (True, False)
    assert second.compile_seconds == first.compile_seconds > 0
    second.instantiate(memory_bytes=2**20)


def test_processes_with_and_without_lines_share_a_cache(small_guest, cache, monkeypatch):
    """Of two settings of wasmtime: neither process replaces the other's code, to compile it again and again."""
    assert Engine(small_guest, cache, timeout_seconds=10).compiled_now
    monkeypatch.setenv("WASMTIME_BACKTRACE_DETAILS", "1")
    assert Engine(small_guest, cache, timeout_seconds=10).compiled_now
    monkeypatch.delenv("WASMTIME_BACKTRACE_DETAILS")
    assert not Engine(small_guest, cache, timeout_seconds=10).compiled_now


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no owner permissions of this kind")
def test_the_cache_belongs_to_its_owner_alone(small_guest, cache):
    Engine(small_guest, cache, timeout_seconds=10)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    for file in cache.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cache.chmod(0o755)
    Engine(small_guest, cache, timeout_seconds=10)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", ["truncate", "flip", "notes", "empty notes"])
def test_a_damaged_cache_file_is_never_loaded(small_guest, cache, damage):
    Engine(small_guest, cache, timeout_seconds=10)
    (code,) = cache.glob("*.cwasm")
    whole = code.read_bytes()
    if damage == "truncate":
        code.write_bytes(whole[:-1])
    elif damage == "flip":
        code.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    else:
        (notes,) = cache.glob("*.json")
        notes.write_text("" if damage == "empty notes" else json.dumps({"sha256": "0", "compile_seconds": 1}))
    assert Engine(small_guest, cache, timeout_seconds=10).compiled_now
    assert code.read_bytes() == whole
    assert not Engine(small_guest, cache, timeout_seconds=10).compiled_now


def test_an_impossible_cache_directory_is_a_clear_error(small_guest, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match="can't be written.*set DUCKDB_WASI_UDF_CACHE"):
        Engine(small_guest, tmp_path / "file" / "compiled", timeout_seconds=10)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a directory away")
def test_a_cache_directory_of_another_user_is_refused(small_guest, cache):
    cache.mkdir(parents=True)
    os.chown(cache, 12345, 12345)
    with pytest.raises(ArtifactError, match="belongs to another user"):
        Engine(small_guest, cache, timeout_seconds=10)


def test_a_module_that_does_not_compile_is_an_artifact_error(tmp_path, cache):
    path = tmp_path / "guest.wasm"
    path.write_bytes(b"not wasm")
    guest = artifact.Guest(module_path=path, sha256=hashlib.sha256(b"not wasm").hexdigest(), manifest={})
    with pytest.raises(ArtifactError, match="can't compile the guest"):
        Engine(guest, cache, timeout_seconds=10)


def test_the_cache_directory_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("DUCKDB_WASI_UDF_CACHE", str(tmp_path))
    assert cache_files.directory() == tmp_path / "compiled"
