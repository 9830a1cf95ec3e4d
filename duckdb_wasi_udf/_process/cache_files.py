"""What is compiled once and kept in the user's cache directory, where nobody else may write."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from duckdb_wasi_udf._errors import ArtifactError

_DIGEST_BYTES = hashlib.sha256().digest_size


def directory() -> Path:
    """Return where compiled code is kept: `$DUCKDB_WASI_UDF_CACHE/compiled`, or in the user's cache directory."""
    if chosen := os.environ.get("DUCKDB_WASI_UDF_CACHE"):
        return Path(chosen) / "compiled"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "duckdb-wasi-udf" / "compiled"


def make_private(directory: Path) -> None:
    """Make a directory, and its owner's alone: what is in it is run as it is found.

    Raises:
        ArtifactError: it can't be made, or belongs to another user.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sys.platform != "win32":
            status = directory.stat()
            if status.st_uid != os.getuid():
                msg = f"the cache directory {directory} belongs to another user; set DUCKDB_WASI_UDF_CACHE to your own"
                raise ArtifactError(msg)
            if stat.S_IMODE(status.st_mode) != 0o700:
                directory.chmod(0o700)
    except OSError as error:
        raise _unwritable(directory, error) from error


def replace(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, whoever else writes it.

    Raises:
        ArtifactError: it can't be written.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def write_checked(path: Path, data: bytes) -> None:
    """Write a file for `read_checked`: a hash of its name and the data, then the data.

    Raises:
        ArtifactError: it can't be written.
    """
    replace(path, _digest(path, data) + data)


def read_checked(path: Path) -> bytes | None:
    """Return what `write_checked` wrote; None when there is no such file, or not as it was written."""
    try:
        contents = path.read_bytes()
    except OSError:
        return None
    data = contents[_DIGEST_BYTES:]
    return data if _digest(path, data) == contents[:_DIGEST_BYTES] else None


def _digest(path: Path, data: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + data).digest()


def _unwritable(directory: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"the cache directory {directory} can't be written ({error.strerror}); set DUCKDB_WASI_UDF_CACHE to a "
        "directory of yours"
    )
