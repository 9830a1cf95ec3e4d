"""The list of what is linked into the guest, as a CycloneDX document.

Format: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/). Licences are SPDX expressions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wasm.build.archive import file_sha256, files_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from wasm.build.config import Config, Source

# Where CPython lists the libraries that it carries (SPDX 2.3, https://spdx.github.io/spdx-spec/v2.3/).
_CARRIED = "Misc/sbom.spdx.json"


def sbom(config: Config, sources: dict[str, Source], python: Path, zig: Path, module_sha256: str) -> str:
    """List the components of the guest.

    Args:
        config: The build's pins.
        sources: Those of the guest.
        python: CPython's source.
        zig: The toolchain's lib directory, which has the sources of the C library.
        module_sha256: Hash of the guest, which the document describes.

    Returns:
        The document. It has no time and no serial number, so that the same inputs give the same bytes.
    """
    # Imported here: a build that finds everything done needs no library.
    from cyclonedx.model import HashAlgorithm, HashType  # noqa: PLC0415
    from cyclonedx.model.bom import Bom, BomMetaData  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415
    from cyclonedx.model.license import LicenseExpression  # noqa: PLC0415
    from cyclonedx.output.json import JsonV1Dot6  # noqa: PLC0415

    def component(name: str, version: str, licence: str, sha256: str) -> Component:
        return Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=name,
            licenses=[LicenseExpression(licence)],
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        )

    licences = config.components["licences"]
    components = [
        component(name, source.version, licences[name], source.files_sha256) for name, source in sources.items()
    ]
    versions = {
        package["name"]: package["versionInfo"]
        for package in json.loads((python / _CARRIED).read_text(encoding="utf-8"))["packages"]
    }
    for name, path in config.components["carried"].items():
        components.append(component(name, versions[name], licences[name], _tree_sha256(python / path)))
    toolchain = config.components["toolchain"]
    if "numpy" in sources:
        toolchain = toolchain | config.components["toolchain_of_numpy"]
    for name, path in toolchain.items():
        components.append(component(name, f"zig {config.ziglang}", licences[name], _tree_sha256(zig / path)))
    guest = Component(
        name="guest.wasm",
        type=ComponentType.APPLICATION,
        bom_ref="guest.wasm",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=module_sha256)],
    )
    bom = Bom(components=components, metadata=BomMetaData(component=guest))
    bom.register_dependency(guest, components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _tree_sha256(directory: Path) -> str:
    files = (path for path in directory.rglob("*") if path.is_file())
    return files_sha256({path.relative_to(directory).as_posix(): file_sha256(path) for path in files})
