"""Gets a source distribution from PyPI, or from the index that pip is set up to use."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import TYPE_CHECKING

from wasm.build import download
from wasm.build.places import UnavailableError, run_tool

if TYPE_CHECKING:
    from pathlib import Path

# pip asks a source distribution's build backend for its metadata before it hands the archive over. The real ones would
# need a compiler or packages for that, and run code of the archive; so pip is given this one in their place.
_BACKEND = """\
import pathlib
import sys

def prepare_metadata_for_build_wheel(directory, config_settings=None):
    folder = pathlib.Path(directory, "{name}-{version}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return folder.name

{attribute} = sys.modules[__name__]
"""

_OPTIONS = (
    "--quiet",
    "--no-input",
    "--disable-pip-version-check",
    "--no-deps",
    "--no-binary=:all:",
    "--no-build-isolation",
    "--require-hashes",
    # What the source runs on is the guest's Python.
    "--ignore-requires-python",
)
_SILENCE_SECONDS = 15
# While no other host has answered either.
_IMPATIENT_SILENCE_SECONDS = 1


def fetch(requirement: str, sha256: str, backend: str, directory: Path) -> Path:
    """Let pip download a source distribution.

    Args:
        requirement: its name and version, `name==version`.
        sha256: the archive's hash, which pip checks too.
        backend: what the archive's pyproject.toml names as its build backend, `module` or `module:attribute`.
        directory: an empty directory to work in.

    Returns:
        The archive.

    Raises:
        UnavailableError: pip is missing or didn't get it.
    """
    if importlib.util.find_spec("pip") is None:
        msg = f"{sys.executable} has no pip; install it, for instance with: {sys.executable} -m ensurepip"
        raise UnavailableError(msg)
    if download.network.index_failure:
        raise UnavailableError(download.network.index_failure)
    _write_backend(requirement, backend, directory / "backend")
    requirements = directory / "requirements.txt"
    requirements.write_text(f"{requirement} --hash=sha256:{sha256}\n")
    (directory / "found").mkdir()
    silence = _IMPATIENT_SILENCE_SECONDS if download.network.seems_absent else _SILENCE_SECONDS
    run_tool(
        sys.executable,
        *("-m", "pip", "download", *_OPTIONS, "--retries=1", f"--timeout={silence}"),
        *("--dest", str(directory / "found"), "--requirement", str(requirements)),
        cwd=directory,
        # Some resolvers wait for half a minute where there is no network.
        env={"PYTHONPATH": str(directory / "backend"), "RES_OPTIONS": f"timeout:{min(silence, 5)} attempts:1"},
        explain=_explain,
    )
    return next((directory / "found").iterdir())


def _write_backend(requirement: str, backend: str, directory: Path) -> None:
    name, _, version = requirement.partition("==")
    module, _, attribute = backend.partition(":")
    *packages, last = module.split(".")
    for package in packages:
        directory /= package
        directory.mkdir(parents=True)
        (directory / "__init__.py").touch()
    directory.mkdir(parents=True, exist_ok=True)
    text = _BACKEND.format(name=name, version=version, attribute=attribute or "backend")
    (directory / f"{last}.py").write_text(text)


def _explain(text: str) -> str:
    hint = "`pip config list` shows which index and proxy it uses"
    if lost := re.search(r"connection broken by '(.*)': /", text):
        failure = f"pip can't reach its index: {re.sub('<[^<>]*>[:,]? ?', '', lost[1])}; {hint}"
        download.network.index_failure = failure
        return failure
    lines = text.splitlines() or ["no reason given"]
    # A line of its own stands above a traceback, whose last line has the reason.
    errors = [line for line in lines if line.startswith("ERROR:") and line != "ERROR: Exception:"]
    last = (errors or lines)[-1]
    return f"pip: {last.removeprefix('ERROR:').strip()}; {hint}"
