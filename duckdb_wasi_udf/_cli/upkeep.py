"""`doctor`, `compile`, `cache` and `guest`: what is installed, and what is kept."""

from __future__ import annotations

import json as json_module
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from duckdb_wasi_udf import _doctor
from duckdb_wasi_udf._cli import options
from duckdb_wasi_udf._cli.failures import file_error
from duckdb_wasi_udf._cli.reporting import reported
from duckdb_wasi_udf._cli.terminal import print_json, print_line
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._process import cache_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDERS = ("functions", "modules")

# Files of the cache: hashes, and what they hold.
_OURS = re.compile(r"[0-9a-f]{32,64}\.(?:cwasm|json|lock|code)")


def doctor(*, json: options.Json = False) -> None:
    """Print versions and times, and check that everything works."""
    raise typer.Exit(_doctor.run(as_json=json))


def compile_guest(
    *,
    fuel: Annotated[bool, typer.Option("--fuel", help="For sandboxes with ResourceLimits(fuel=...) as well.")] = False,
    numpy: Annotated[bool, typer.Option("--numpy", help="The guest that has numpy as well.")] = False,
    json: options.Json = False,
) -> None:
    """Compile the guest into the cache ($DUCKDB_WASI_UDF_CACHE), as when a container image is built."""
    raise typer.Exit(_doctor.compile_guest(fuel=fuel, numpy=numpy, as_json=json))


def cache_info(*, json: options.Json = False) -> None:
    """Print where compiled code is kept, and how much of it."""
    with reported(as_json=json):
        directory = cache_files.directory()
        kinds: dict[str, dict[str, int]] = {name: {"files": 0, "bytes": 0} for name in ("guest", *_FOLDERS)}
        for file in _files(directory):
            counted = kinds[_kind(directory, file)]
            counted["files"] += 1
            counted["bytes"] += file.stat().st_size
        if json:
            print_json({"directory": str(directory), **kinds})
            return
        print_line(f"directory: {directory}{'' if directory.exists() else ' (not there yet)'}")
        meanings = {"guest": "the guest", "functions": "compiled functions", "modules": "modules of packages"}
        for name, counted in kinds.items():
            print_line(f"{meanings[name]}: {counted['files']} file(s), {counted['bytes'] / 2**20:.1f} MiB")


def cache_clear(*, json: options.Json = False) -> None:
    """Delete the compiled code. The next sandbox compiles the guest again, which takes some seconds."""
    with reported(as_json=json):
        directory = cache_files.directory()
        if directory.exists() and not cache_files.is_trusted(directory):
            msg = f"the cache directory {directory} isn't yours alone; nothing is deleted"
            raise file_error(msg)
        deleted = size = 0
        for file in list(_files(directory)):
            length = file.stat().st_size
            try:
                file.unlink()
            except OSError as error:
                msg = f"{file} can't be deleted: {error.strerror}"
                raise file_error(msg) from error
            deleted, size = deleted + 1, size + length
        if json:
            print_json({"directory": str(directory), "files": deleted, "bytes": size})
        else:
            print_line(f"{directory}: deleted {deleted} file(s), {size / 2**20:.1f} MiB")


def guest_info(
    *,
    sbom: Annotated[bool, typer.Option("--sbom", help="Print the list of components, as CycloneDX JSON.")] = False,
    numpy: Annotated[bool, typer.Option("--numpy", help="The guest that has numpy as well.")] = False,
    json: options.Json = False,
) -> None:
    """Print the versions in the guest, and the hashes of what it was built from."""
    with reported(as_json=json):
        found = artifact.find_numpy() if numpy else artifact.find()
        components = _components(found.module_path.with_name("guest.cdx.json"))
        if sbom:
            print_json(components)
        elif json:
            print_json({"path": str(found.module_path), **found.manifest})
        else:
            versions: dict[str, Any] = found.manifest["versions"]
            print_line(f"{found.module_path}")
            print_line(f"sha256 {found.sha256}, ABI {found.manifest['abi_version']}")
            for name, version in versions.items():
                source = found.manifest.get("sources", {}).get(name)
                print_line(f"{name} {version}{f' (source sha256 {source})' if source else ''}")
            print_line(f"{len(components.get('components', []))} components: --sbom")


def _components(path: Path) -> dict[str, Any]:
    try:
        components: dict[str, Any] = json_module.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"the list of the guest's components {path} can't be read: {error}"
        raise file_error(msg) from error
    return components


def _files(directory: Path) -> Iterator[Path]:
    """Return the files of the cache, and none that somebody else put there."""
    for folder in (directory, *(directory / name for name in _FOLDERS)):
        if folder.is_dir() and not folder.is_symlink():
            yield from (file for file in folder.iterdir() if _OURS.fullmatch(file.name) and file.is_file())


def _kind(directory: Path, file: Path) -> str:
    first = file.relative_to(directory).parts[0]
    return first if first in _FOLDERS else "guest"
