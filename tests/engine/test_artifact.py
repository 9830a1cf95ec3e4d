import hashlib
import json

import pytest

from duckdb_wasi_udf import ArtifactError, _abi
from duckdb_wasi_udf._engine.artifact import find


@pytest.fixture
def artifact(tmp_path):
    """An artifact that is whole, though not a guest."""
    module = b"\0asm\1\0\0\0"
    (tmp_path / "guest.wasm").write_bytes(module)
    manifest = {"abi_version": _abi.ABI_VERSION, "guest_sha256": hashlib.sha256(module).hexdigest()}
    (tmp_path / "MANIFEST.json").write_text(json.dumps(manifest))
    return tmp_path


def test_a_whole_artifact_is_read(artifact):
    assert find(artifact).read() == (artifact / "guest.wasm").read_bytes()


def test_the_packaged_guest_is_the_one_its_manifest_describes():
    guest = find()
    assert len(guest.read()) == guest.manifest["guest_bytes"]
    assert guest.manifest["versions"]["python"].startswith("3.13.")


def test_no_artifact_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ArtifactError, match=r"no guest in .*reinstall duckdb-wasi-udf, or run `make guest`"):
        find(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "{}", '{"abi_version": 1}'])
def test_a_manifest_that_is_none_is_an_error(artifact, text):
    (artifact / "MANIFEST.json").write_text(text)
    with pytest.raises(ArtifactError, match="no guest manifest"):
        find(artifact)


def test_another_abi_version_is_an_error_that_names_both(artifact):
    (artifact / "MANIFEST.json").write_text(json.dumps({"abi_version": 99, "guest_sha256": ""}))
    with pytest.raises(ArtifactError, match=f"speaks ABI version 99, this package {_abi.ABI_VERSION}"):
        find(artifact)


def test_a_damaged_module_is_an_error(artifact):
    (artifact / "guest.wasm").write_bytes(b"\0asm\1\0\0\1")
    with pytest.raises(ArtifactError, match="is damaged"):
        find(artifact).read()


def test_a_missing_module_is_an_error(artifact):
    (artifact / "guest.wasm").unlink()
    with pytest.raises(ArtifactError, match="can't be read"):
        find(artifact).read()
