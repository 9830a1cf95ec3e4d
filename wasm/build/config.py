"""The build's pins and where it keeps things."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

HERE = Path(__file__).parent.parent
PACKAGE = HERE.parent / "duckdb_wasi_udf"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Archive:
    """An archive that contains a source.

    Attributes:
        sha256: the hash of the archive; none where it is made on demand, so that its bytes may change.
        root: the directory of the source in the archive, relative to the archive's single top directory.
        moved: files that are elsewhere in this archive: their path below the top directory, and their name in the
            source.
    """

    sha256: str | None = None
    root: str = "."
    moved: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlPlace(_Archive):
    """A web server.

    Attributes:
        url: the address of the archive.
    """

    url: str

    @property
    def name(self) -> str:
        """Return the name for messages."""
        return self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiPlace(_Archive):
    """A source distribution on PyPI.

    Attributes:
        pypi: its name and version, `name==version`.
        backend: the build backend that its pyproject.toml names, `module` or `module:attribute`.
    """

    pypi: str
    backend: str
    sha256: str

    @property
    def name(self) -> str:
        """Return the name for messages."""
        return f"PyPI, {self.pypi}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPlace(_Archive):
    """A Debian source package.

    Attributes:
        debian: its name.
        file: the archive among its files.
    """

    debian: str
    file: str
    sha256: str

    @property
    def name(self) -> str:
        """Return the name for messages."""
        return f"Debian, {self.file} of the source package {self.debian}"


Place = UrlPlace | PypiPlace | DebianPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source: the files of somebody else's release that the build uses.

    Attributes:
        name: its key in config.toml.
        version: upstream's version.
        licence: the file that holds the licence.
        files: the files and directories that the build uses.
        without: what of them it doesn't use.
        files_sha256: the hash over names and contents of the files; see `wasm.build.archive.files_sha256`.
        places: where to get it, in order.
    """

    name: str
    version: str
    licence: str
    files: tuple[str, ...]
    without: tuple[str, ...] = ()
    files_sha256: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """wasm/config.toml.

    Attributes:
        ziglang: the toolchain's version.
        sources: the source archives by name.
        flags: compiler flags.
        configure: the arguments of CPython's configure.
        library: what the guest's standard library leaves out.
        numpy: the version of Cython, compiler flags and meson's options for numpy.
        components: licences and places of what is linked in, for the list of components.
    """

    ziglang: str
    sources: dict[str, Source]
    flags: dict[str, Any]
    configure: dict[str, list[str]]
    library: dict[str, list[str]]
    numpy: dict[str, Any]
    components: dict[str, dict[str, str]]


def load() -> Config:
    """Read wasm/config.toml."""
    data = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
    sources = {name: _source(name, fields) for name, fields in data.pop("sources").items()}
    return Config(sources=sources, **data)


def _source(name: str, fields: dict[str, Any]) -> Source:
    files, without = (tuple(fields.pop(key, ())) for key in ("files", "without"))
    places = tuple(_place(place) for place in fields.pop("places"))
    return Source(name=name, files=files, without=without, places=places, **fields)


def _place(fields: dict[str, Any]) -> Place:
    if "url" in fields:
        return UrlPlace(**fields)
    return PypiPlace(**fields) if "pypi" in fields else DebianPlace(**fields)


def workspace() -> Path:
    """Return the directory of builds: `$DUCKDB_WASI_UDF_CACHE/guest`, or in the user's cache directory."""
    chosen = os.environ.get("DUCKDB_WASI_UDF_CACHE")
    root = Path(chosen) if chosen else platformdirs.user_cache_path("duckdb-wasi-udf", appauthor=False)
    return root / "guest"
