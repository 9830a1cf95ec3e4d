import re
from pathlib import Path

import pytest

import duckdb_wasi_udf
import duckdb_wasi_udf.engines

API = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


def test_public_names_are_sorted_and_exist():
    assert sorted(duckdb_wasi_udf.__all__) == duckdb_wasi_udf.__all__
    assert all(hasattr(duckdb_wasi_udf, name) for name in duckdb_wasi_udf.__all__)


def test_the_api_page_documents_every_public_name_and_no_other():
    documented = [line.split("`")[1] for line in API.read_text().splitlines() if line.startswith("### `")]
    assert sorted(documented) == duckdb_wasi_udf.__all__


def test_public_names_have_docstrings():
    for name in duckdb_wasi_udf.__all__:
        assert getattr(duckdb_wasi_udf, name).__doc__, name


def test_the_python_reference_has_every_public_name():
    page = (API.parent / "python.md").read_text()
    made = set(re.findall(r"^::: duckdb_wasi_udf\.(\w+)$", page, re.MULTILINE))
    assert made == set(duckdb_wasi_udf.__all__) - {"__version__"}
    engines = set(re.findall(r"^::: duckdb_wasi_udf\.engines\.(\w+)$", page, re.MULTILINE))
    assert engines == set(duckdb_wasi_udf.engines.__all__)


# Those of a tuple and of timedelta.
INHERITING = {"HostCallRecord", "Interval"}


@pytest.mark.parametrize("name", sorted(set(duckdb_wasi_udf.__all__) - INHERITING))
def test_a_class_has_no_public_member_that_the_page_leaves_out(name):
    """What calls of ours use isn't for users, and belongs into another class."""
    kind = getattr(duckdb_wasi_udf, name)
    if isinstance(kind, type):
        members = {member for member in dir(kind) if not member.startswith("_")} - set(dir(Exception))
        described = API.read_text() + (API.parent / "limits.md").read_text() + (API.parent / "errors.md").read_text()
        assert {member for member in members if not re.search(rf"\b{member}\b", described)} == set()
