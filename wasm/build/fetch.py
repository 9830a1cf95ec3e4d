"""Gets the sources: each from the first place that has it, guarded by a hash over the files that the build uses."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from wasm.build import debian, download, pypi
from wasm.build.archive import file_sha256, unpack
from wasm.build.config import DebianPlace, PypiPlace, UrlPlace
from wasm.build.places import MismatchError, UnavailableError
from wasm.build.steps import StepError, say

if TYPE_CHECKING:
    from wasm.build.config import Place, Source


def fetch(source: Source, directory: Path) -> Path:
    """Get a source.

    A local archive that the environment names comes first, then what was fetched before, then the source's places.

    Args:
        source: what to get.
        directory: where sources and archives are kept.

    Returns:
        A directory with the files that `source` names, whose hash is its `files_sha256`. The same bytes, names,
        modes and dates wherever they came from.

    Raises:
        StepError: no place has it, what the environment names is not it, or it can't be kept.
    """
    kept = directory / f"{source.name}-{source.version}-{source.files_sha256[:16]}"
    if kept.is_dir():
        return kept
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f"{source.name}-", suffix=".partial", dir=directory, ignore_cleanup_errors=True
        ) as temporary:
            unpacked, origin = _get(source, directory, Path(temporary))
            try:
                unpacked.rename(kept)
            except OSError:
                # Another process was quicker: what it put there has the same hash.
                if not kept.is_dir():
                    raise
    except OSError as error:
        msg = (
            f"the source of {source.name} can't be kept in {directory}: {error.strerror or error}; make room there, "
            "or name another directory in DUCKDB_WASI_UDF_CACHE"
        )
        raise StepError(msg) from error
    say(f"guest: fetched {source.name} {source.version} from {origin}")
    return kept


def check(source: Source, place: Place) -> str | None:
    """Get a source from one place, check it and keep nothing.

    Returns:
        The reason if that fails.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        try:
            archive = _from_place(place, Path(temporary, "work"))
            unpack(archive, source, place, Path(temporary, "unpacked"))
        except (UnavailableError, OSError) as error:
            return str(error)
    return None


def _get(source: Source, directory: Path, temporary: Path) -> tuple[Path, str]:
    """Return the directory with the unpacked files, and where they are from."""
    variable = f"DUCKDB_WASI_UDF_{source.name.upper()}_SOURCE"
    if local := os.environ.get(variable):
        return _from_local(Path(local), variable, source, temporary), f"{local} ({variable})"
    reasons = []
    # What an earlier build kept comes first; it is unpacked again when the list of files has changed.
    places = sorted(((_kept(place, directory), place) for place in source.places), key=lambda each: each[0] is None)
    for number, (kept, place) in enumerate(places):
        attempt = temporary / str(number)
        try:
            archive = kept or _from_place(place, attempt / "work")
            unpack(archive, source, place, attempt / "unpacked")
        except UnavailableError as error:
            reasons.append(f"  {place.name}: {error}")
            if isinstance(error, MismatchError):
                say(f"guest: not used: {reasons[-1].strip()}")
            continue
        if kept:
            return attempt / "unpacked", str(kept)
        if place.sha256 is not None:
            archive.replace(directory / place.sha256)
        return attempt / "unpacked", place.name
    msg = (
        f"{source.name} {source.version} can't be had from any of its {len(reasons)} places. Put right what is in the "
        f"way, or get one of these archives by other means and name the file in {variable}:\n" + "\n".join(reasons)
    )
    raise StepError(msg)


def _from_place(place: Place, directory: Path) -> Path:
    """Return the archive that a place has, if it is the pinned one."""
    directory.mkdir(parents=True)
    match place:
        case UrlPlace():
            archive = directory / "archive"
            download.download(place.url, archive)
        case PypiPlace():
            archive = pypi.fetch(place.pypi, place.sha256, place.backend, directory)
        case DebianPlace():
            archive = debian.fetch(place.debian, place.file, place.sha256, directory)
    found = file_sha256(archive)
    if place.sha256 not in {None, found}:
        msg = f"another archive is there: its sha256 is {found}, pinned is {place.sha256}"
        raise MismatchError(msg)
    return archive


def _from_local(path: Path, variable: str, source: Source, temporary: Path) -> Path:
    """Unpack an archive that has the files as the archive of any of the places has them."""
    advice = f"name a tar archive of {source.name} {source.version}, or unset {variable} to have it fetched"
    try:
        found = file_sha256(path)
    except OSError as error:
        msg = f"{variable} names {path}, which can't be read: {error.strerror}; {advice}"
        raise StepError(msg) from error
    reasons = []
    # An archive that is made on demand may have any hash; then the hash over its files decides.
    for number, place in enumerate(sorted(source.places, key=lambda place: place.sha256 != found)):
        try:
            unpack(path, source, place, temporary / str(number))
        except UnavailableError as error:
            reasons.append(str(error))
        else:
            return temporary / str(number)
    msg = f"{variable} names {path} (sha256 {found}), which can't be used: {reasons[0]}; {advice}"
    raise StepError(msg)


def _kept(place: Place, directory: Path) -> Path | None:
    """Return a place's archive from an earlier build; remove one that is damaged."""
    if place.sha256 is None:
        return None
    kept = directory / place.sha256
    if not kept.exists():
        return None
    if file_sha256(kept) != place.sha256:
        say(f"guest: {kept} is damaged; it is fetched again")
        kept.unlink(missing_ok=True)
        return None
    return kept
