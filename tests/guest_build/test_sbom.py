"""The list of components beside the guest."""

import hashlib
import json

from cyclonedx.model.bom import Bom

from wasm.build import config, pipeline, sbom


def document():
    return json.loads((pipeline.ARTIFACT / pipeline.COMPONENTS).read_text())


def test_every_component_has_version_licence_and_hash():
    bom = Bom.from_json(document())
    found = {component.name: component for component in bom.components}
    components = config.load().components
    assert set(found) == set(components["licences"])
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
