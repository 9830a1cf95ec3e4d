"""The list of components beside the guest."""

import hashlib
import json

import pytest
from cyclonedx.model.bom import Bom

from wasm.build import config, pipeline, sbom


def document(artifact=pipeline.ARTIFACT):
    return json.loads((artifact / pipeline.COMPONENTS).read_text())


@pytest.mark.parametrize("artifact", [pipeline.ARTIFACT, pipeline.NUMPY_ARTIFACT], ids=["plain", "numpy"])
def test_every_component_has_version_licence_and_hash(artifact):
    bom = Bom.from_json(document(artifact))
    found = {component.name: component for component in bom.components}
    components = config.load().components
    of_numpy = {"numpy", *components["toolchain_of_numpy"]}
    assert set(found) == set(components["licences"]) - (set() if "numpy" in artifact.name else of_numpy)
    assert set(found) > {"python", "zlib", "nanoarrow", "expat", "mpdecimal", "musl", "wasi-libc"}
    for component in found.values():
        assert component.version
        assert [licence.value for licence in component.licenses]
        assert [len(value.content) for value in component.hashes] == [64]


def test_the_document_describes_the_guest_beside_it():
    (value,) = Bom.from_json(document()).metadata.component.hashes
    assert value.content == hashlib.sha256((pipeline.ARTIFACT / pipeline.MODULE).read_bytes()).hexdigest()


def test_the_document_has_nothing_of_its_time():
    assert "serialNumber" not in document()
    assert "timestamp" not in document()["metadata"]


def test_a_tree_is_hashed_by_names_and_contents(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.c").write_bytes(b"int x;")
    (tmp_path / "c.h").write_bytes(b"")
    # sha256sum a/b.c c.h | sha256sum
    lines = [f"{hashlib.sha256(b'int x;').hexdigest()}  a/b.c\n", f"{hashlib.sha256(b'').hexdigest()}  c.h\n"]
    assert sbom._tree_sha256(tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()
