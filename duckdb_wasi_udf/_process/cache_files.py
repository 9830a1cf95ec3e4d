"""What is compiled once and kept in the user's cache directory, where nobody else may write."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import logging
import os
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from duckdb_wasi_udf._errors import ArtifactError
from duckdb_wasi_udf._process.steady_clock import SteadyClock

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("duckdb_wasi_udf.cache")

_DIGEST_BYTES = hashlib.sha256().digest_size

# How long a process waits for another one to do the same work. Compiling the guest takes 5 to 10 seconds, and far more
# on a machine with other things to do.
LOCK_SECONDS = 120.0
_LOCK_POLL_SECONDS = 0.05

# The most that a directory of compiled functions, or of compiled modules of packages, grows to. A function takes 14 KB,
# a module 10 KB.
MOST_BYTES = 256 * 2**20
_PRUNING_NAMES = "00"
_USED_SECONDS = 86_400.0  # by so much the time that a file was last used at may be wrong

# The file that says that a directory's files are for all users to read.
_SHARED = "shared"


class UnusableCacheError(ArtifactError):
    """A cache directory can't be written, or isn't safe to use."""


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
    """Make a directory that only its owner can write: what is in it is run as it is found.

    Raises:
        UnusableCacheError: it can't be made or written, or belongs to another user.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if sys.platform != "win32":
            status = directory.stat()
            if status.st_uid != os.getuid():
                msg = f"the cache directory {directory} belongs to another user; set DUCKDB_WASI_UDF_CACHE to your own"
                raise UnusableCacheError(msg)
            mode = 0o755 if (directory / _SHARED).exists() else 0o700
            if stat.S_IMODE(status.st_mode) != mode:
                directory.chmod(mode)
        if not os.access(directory, os.W_OK):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))  # noqa: TRY301 - the same as one that can't be made
    except OSError as error:
        raise _unwritable(directory, error) from error


def is_trusted(directory: Path) -> bool:
    """Return whether what is in a directory was put there by this user or the administrator, who alone can write it."""
    try:
        status = directory.stat()
    except OSError:
        return False
    return sys.platform == "win32" or (status.st_uid in (0, os.getuid()) and not stat.S_IMODE(status.st_mode) & 0o022)


def share(directory: Path) -> None:
    """Let all users read what is in a directory, now and later; only its owner can write it.

    Raises:
        UnusableCacheError: it isn't this user's.
    """
    try:
        (directory / _SHARED).touch()
        for path in directory.iterdir():
            if path.is_file():
                path.chmod(0o644)
    except OSError as error:
        raise _unwritable(directory, error) from error
    make_private(directory)


def usable_directory(name: str) -> Path:
    """Return a directory of this user's below the cache directory, or below the temporary one that stands in for it.

    Args:
        name: its name.

    Raises:
        ArtifactError: there is none to be had.
    """
    chosen = directory() / name
    try:
        make_private(chosen)
    except UnusableCacheError as error:
        chosen = stand_in(str(error)) / name
        make_private(chosen)
    return chosen


@functools.cache
def stand_in(reason: str) -> Path:
    """Return a temporary directory of this user's in place of a cache directory that can't be used, and log why.

    Processes of the user share it if they can. Otherwise it is this process's.

    Args:
        reason: why the cache directory can't be used.

    Raises:
        ArtifactError: there is none to be had.
    """
    user = "" if sys.platform == "win32" else f"-{os.getuid()}"
    chosen = Path(tempfile.gettempdir()) / f"duckdb-wasi-udf{user}"
    try:
        if chosen.is_symlink():  # of somebody else's making
            chosen = Path(tempfile.mkdtemp(prefix=f"{chosen.name}-"))
        try:
            make_private(chosen)
        except UnusableCacheError:  # likewise
            chosen = Path(tempfile.mkdtemp(prefix=f"{chosen.name}-"))
    except OSError as error:
        raise _unwritable(chosen, error) from error
    logger.warning("%s; until then compiled code is kept in %s", reason, chosen)
    return chosen


@contextlib.contextmanager
def exclusive(path: Path, wait_seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold a lock that other processes wait for, so that one of them does the work and the others find it done.

    After `wait_seconds`, or where the file system has no locks, it is as if nobody held it: files are replaced whole,
    so to do the work twice is a waste and nothing worse.

    Args:
        path: the file that is locked. It stays.
        wait_seconds: the longest wait.

    Raises:
        UnusableCacheError: the file can't be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    try:
        give_up = SteadyClock.now() + wait_seconds
        while not _locked(descriptor) and SteadyClock.now() < give_up:
            SteadyClock.sleep(_LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)  # and with it the lock


def _locked(descriptor: int) -> bool:
    """Try to lock a file; return whether there is nothing more to wait for."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


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
            if (path.parent / _SHARED).exists():
                Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path.parent, error) from error


def write_checked(path: Path, data: bytes) -> None:
    """Write a file for `read_checked`: a hash of its name and the data, then the data.

    One time in 256, by the file's name, which is a hash, the directory is pruned.

    Raises:
        ArtifactError: it can't be written.
    """
    replace(path, _digest(path, data) + data)
    if path.name.startswith(_PRUNING_NAMES):
        prune(path.parent)


def read_checked(path: Path) -> bytes | None:
    """Return what `write_checked` wrote; None when there is no such file, or not as it was written."""
    try:
        contents = path.read_bytes()
    except OSError:
        return None
    with contextlib.suppress(OSError):  # a cache of another user, say
        if time.time() - path.stat().st_mtime > _USED_SECONDS:
            os.utime(path)
    data = contents[_DIGEST_BYTES:]
    return data if _digest(path, data) == contents[:_DIGEST_BYTES] else None


def prune(directory: Path, most_bytes: int = MOST_BYTES) -> None:
    """Delete the files of a directory that were used longest ago, until the others take no more than a size.

    Whoever wants one of them makes it again.

    Args:
        directory: it has files of `write_checked` only.
        most_bytes: the size.
    """
    found = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # another process has deleted it
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and entry.name != _SHARED:
                    found.append((status.st_mtime, status.st_size, entry.path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most_bytes:
            break
        with contextlib.suppress(OSError):  # Windows keeps what is open
            Path(path).unlink()
            total -= size


def _digest(path: Path, data: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + data).digest()


def _unwritable(directory: Path, error: OSError) -> UnusableCacheError:
    return UnusableCacheError(
        f"the cache directory {directory} can't be written ({error.strerror}); set DUCKDB_WASI_UDF_CACHE to a "
        "directory of yours"
    )
