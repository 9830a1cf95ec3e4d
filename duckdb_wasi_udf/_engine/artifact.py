"""Finds the guest artifact: `guest.wasm` with the `MANIFEST.json` that describes it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._errors import ArtifactError

# In a wheel the artifact is part of the package; in a source tree `make guest` puts it in the same place.
DIRECTORY = Path(__file__).parents[1] / "_artifact"

# The guest that has numpy as well.
NUMPY_DIRECTORY = DIRECTORY.with_name("_artifact_numpy")

_REBUILD = "reinstall duckdb-wasi-udf, or run `make guest` in a source tree"


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest artifact whose manifest was read; the module itself is read when it has to be compiled.

    Attributes:
        module_path: the WebAssembly module.
        sha256: its hash, from the manifest, in hexadecimal.
        manifest: the whole manifest: versions, flags, sizes.
    """

    module_path: Path
    sha256: str
    manifest: dict[str, Any]

    def read(self) -> bytes:
        """Return the module's bytes, checked against the manifest.

        Raises:
            ArtifactError: the file is missing or not the one the manifest describes.
        """
        try:
            module = self.module_path.read_bytes()
            if self.module_path.suffix == ".xz":
                module = _unpacked(module)
        except (OSError, ImportError) as error:
            msg = f"the guest {self.module_path} can't be read ({error}); {_REBUILD}"
            raise ArtifactError(msg) from error
        if hashlib.sha256(module).hexdigest() != self.sha256:
            msg = f"the guest {self.module_path} is damaged: its sha256 is not the manifest's; {_REBUILD}"
            raise ArtifactError(msg)
        return module


def _unpacked(module: bytes) -> bytes:
    """Return a module without its compression; nothing if it is damaged."""
    import lzma  # noqa: PLC0415 - a Python may have been built without it

    try:
        return lzma.decompress(module)
    except lzma.LZMAError:
        return b""


def find(directory: Path = DIRECTORY) -> Guest:
    """Read the manifest of the artifact in `directory`.

    Args:
        directory: where `guest.wasm` and `MANIFEST.json` are.

    Returns:
        The guest they describe.

    Raises:
        ArtifactError: there is none, its manifest can't be read, or it speaks another ABI version.
    """
    path = directory / "MANIFEST.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        abi_version, sha256 = manifest["abi_version"], str(manifest["guest_sha256"])
    except OSError as error:
        msg = f"no guest in {directory} ({error.strerror}); {_REBUILD}"
        raise ArtifactError(msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path} is no guest manifest ({error!r}); {_REBUILD}"
        raise ArtifactError(msg) from error
    if abi_version != _abi.ABI_VERSION:
        msg = f"the guest in {directory} speaks ABI version {abi_version}, this package {_abi.ABI_VERSION}; {_REBUILD}"
        raise ArtifactError(msg)
    packed = directory / "guest.wasm.xz"
    return Guest(module_path=packed if packed.exists() else directory / "guest.wasm", sha256=sha256, manifest=manifest)


def find_numpy() -> Guest:
    """Read the manifest of the guest that has numpy.

    Raises:
        ArtifactError: there is none, as in a source tree where it hasn't been built, or as for `find`.
    """
    if not NUMPY_DIRECTORY.exists():
        msg = (
            f"the function uses numpy, and there is no guest with numpy in {NUMPY_DIRECTORY}; reinstall "
            "duckdb-wasi-udf, or run `make guest-numpy` in a source tree"
        )
        raise ArtifactError(msg)
    return find(NUMPY_DIRECTORY)
