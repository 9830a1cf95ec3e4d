"""The build's pins and where it keeps things."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "duckdb_wasi_udf"


@dataclass(frozen=True, slots=True)
class Source:
    """A source archive.

    Attributes:
        name: its key in config.toml.
        version: upstream's version.
        licence: the member of the archive that holds the licence.
        places: where to get it, in order: see config.toml.
    """

    name: str
    version: str
    licence: str
    places: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Config:
    """wasm/config.toml.

    Attributes:
        ziglang: the toolchain's version.
        sources: the source archives by name.
        flags: compiler flags.
        configure: what CPython's configure is told.
        library: what the guest's standard library leaves out.
    """

    ziglang: str
    sources: dict[str, Source]
    flags: dict[str, Any]
    configure: dict[str, list[str]]
    library: dict[str, list[str]]


def load() -> Config:
    """Read wasm/config.toml."""
    data = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
    sources = {name: Source(name, **fields) for name, fields in data.pop("sources").items()}
    return Config(sources=sources, **data)


def workspace() -> Path:
    """Where builds are kept: `$DUCKDB_WASI_UDF_CACHE/guest`, or in the user's cache directory."""
    chosen = os.environ.get("DUCKDB_WASI_UDF_CACHE")
    root = Path(chosen) if chosen else platformdirs.user_cache_path("duckdb-wasi-udf", appauthor=False)
    return root / "guest"
