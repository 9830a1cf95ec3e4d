"""Files of compiled code; tests/engine/test_engine.py has what the directory has to be."""

import os
import subprocess
import sys
import time

import pytest

from duckdb_wasi_udf import ArtifactError
from duckdb_wasi_udf._process import cache_files


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 100])
def test_what_was_kept_is_what_is_found(tmp_path, data):
    cache_files.write_checked(tmp_path / "a", data)
    assert cache_files.read_checked(tmp_path / "a") == data
    cache_files.write_checked(tmp_path / "a", data + b"new")
    assert cache_files.read_checked(tmp_path / "a") == data + b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:10], lambda b: b"", lambda b: b[:-1] + b"\xff"])
def test_a_file_that_was_changed_is_not_found(tmp_path, change):
    path = tmp_path / "a"
    cache_files.write_checked(path, b"compiled code")
    path.write_bytes(change(path.read_bytes()))
    assert cache_files.read_checked(path) is None


def test_a_file_under_another_name_is_not_found(tmp_path):
    cache_files.write_checked(tmp_path / "a", b"compiled code")
    (tmp_path / "a").rename(tmp_path / "b")
    assert cache_files.read_checked(tmp_path / "b") is None
    assert cache_files.read_checked(tmp_path / "a") is None


def test_a_directory_that_is_gone_is_a_clear_error(tmp_path):
    with pytest.raises(ArtifactError, match="can't be written.*set DUCKDB_WASI_UDF_CACHE"):
        cache_files.write_checked(tmp_path / "gone" / "a", b"")


WRITING = """
import sys
from pathlib import Path
from duckdb_wasi_udf._process import cache_files

while not Path(sys.argv[2]).exists():
    cache_files.write_checked(Path(sys.argv[1]), b"2" * 200_000)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows doesn't replace a file that is being read")
def test_what_two_processes_write_at_once_is_read_whole(tmp_path):
    path, stop, mine = tmp_path / "a", tmp_path / "stop", b"1" * 100_000
    cache_files.write_checked(path, mine)
    seen = []
    with subprocess.Popen([sys.executable, "-c", WRITING, str(path), str(stop)]) as process:
        try:
            while seen.count(mine) < 20 or seen.count(b"2" * 200_000) < 20:
                if len(seen) % 3 == 0:
                    cache_files.write_checked(path, mine)
                seen.append(cache_files.read_checked(path))
                assert process.poll() is None
        finally:
            stop.touch()
    assert process.returncode == 0
    assert set(seen) == {mine, b"2" * 200_000}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "stop"]


def fill(directory, names, age_days):
    for number, name in enumerate(names):
        cache_files.write_checked(directory / name, bytes(1000))
        used = time.time() - 86_400 * (age_days - number)
        os.utime(directory / name, (used, used))


def test_what_was_used_longest_ago_is_pruned(tmp_path):
    fill(tmp_path, ["a", "b", "c", "d"], age_days=9)
    assert cache_files.read_checked(tmp_path / "a") is not None  # which is a use
    (tmp_path / "directory").mkdir()
    cache_files.prune(tmp_path, most_bytes=2_500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "d", "directory"]
    assert cache_files.read_checked(tmp_path / "b") is None
    cache_files.prune(tmp_path / "gone", most_bytes=0)


def test_writing_prunes_now_and_then(tmp_path, monkeypatch):
    pruned = []
    monkeypatch.setattr(cache_files, "prune", pruned.append)
    names = [f"{number:02x}.code" for number in range(256)]
    fill(tmp_path, names, age_days=0)
    assert pruned == [tmp_path]
