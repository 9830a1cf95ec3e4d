"""Unpacks the pinned files of a source archive, and nothing else of it."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import tarfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from wasm.build.places import MismatchError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from wasm.build.config import Place, Source

# Archives of one version have different dates, and make looks at them: all files get this one, 1 January 2000.
_TIME = 946_684_800


def unpack(archive: Path, source: Source, place: Place, directory: Path) -> None:
    """Write the files that the build uses into a directory.

    What is written depends on nothing but their names and bytes: dates are all the same, and a file may be executed
    if it starts with `#!`.

    Args:
        archive: a tar file, compressed or not.
        source: names the files, and has the hash over them.
        place: says where in the archive they are.
        directory: where they go; it is made.

    Raises:
        MismatchError: they are not the pinned ones.
        UnavailableError: the archive is damaged, or a member of it leads out of it.
        OSError: the directory can't be written.
    """
    hashes = {}
    directory.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = _name(member.name, source, place)
                content = tar.extractfile(member) if name is not None and member.isreg() else None
                if name is None or content is None:
                    continue
                data = content.read()
                hashes[name] = hashlib.sha256(data).hexdigest()
                _write(directory / name, data)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        msg = f"the archive is damaged, or no tar file: {' '.join(str(error).split())}"
        raise UnavailableError(msg) from error
    found = files_sha256(hashes)
    if found != source.files_sha256:
        missing = [name for name in source.files if not any(_is_below(each, name) for each in hashes)]
        lack = f" and lacks {', '.join(missing)}" if missing else ""
        msg = f"the archive has other files{lack}: files_sha256 is {found}, pinned is {source.files_sha256}"
        raise MismatchError(msg)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_sha256(hashes: dict[str, str]) -> str:
    """Hash the names and contents of files.

    Args:
        hashes: the sha256 of each file by its name.

    Returns:
        The sha256 of what `sha256sum` prints for the files in the order of their names.
    """
    lines = (f"{hashes[name]}  {name}\n" for name in sorted(hashes, key=str.encode))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _name(member: str, source: Source, place: Place) -> str | None:
    """Return the name of a member in the source, or nothing if the build doesn't use it."""
    path = PurePosixPath(member)
    if path.is_absolute() or ".." in path.parts:
        msg = f"the archive isn't used: its member {member!r} leads out of it"
        raise UnavailableError(msg)
    below = PurePosixPath(*path.parts[1:])
    if moved := place.moved.get(str(below)):
        return moved
    if not below.is_relative_to(place.root):
        return None
    name = str(below.relative_to(place.root))
    wanted = any(_is_below(name, each) for each in source.files)
    return name if wanted and not any(_is_below(name, each) for each in source.without) else None


def _is_below(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}/")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755 if data.startswith(b"#!") else 0o644)
    os.utime(path, (_TIME, _TIME))
