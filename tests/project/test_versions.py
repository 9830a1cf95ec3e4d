"""docs/reference/versions.md says what is in the code, in pyproject.toml and in the lock."""

import re
import tomllib
from pathlib import Path

import duckdb
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import _abi

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "versions.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def table(first):
    """The rows of the table whose header begins with a cell, as lists of cells."""
    rows = PAGE.partition(f"\n| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in rows]


def test_supported_versions_are_those_of_project_and_lock():
    allowed = {}
    for requirement in map(Requirement, PROJECT["dependencies"]):
        allowed[requirement.name] = requirement.specifier
    rows = {name: cells for name, *cells in table("package")}
    assert rows.keys() == {"Python", *allowed}
    assert rows.pop("Python") == [PROJECT["requires-python"], "3.11", "3.13"]
    lock = (ROOT / "constraints.txt").read_text()
    for name, (ranges, oldest, newest) in rows.items():
        assert SpecifierSet(ranges) == allowed[name]
        assert {oldest, newest} <= set(allowed[name].filter([oldest, newest]))
        assert Version(oldest).release[: len(floor(allowed[name]))] == floor(allowed[name])
        assert newest == max(re.findall(rf"^{name}==([\d.]+)", lock, re.MULTILINE), key=Version)


def floor(specifiers):
    (lowest,) = (specifier.version for specifier in specifiers if specifier.operator == ">=")
    return Version(lowest).release


def test_the_readme_has_the_tested_versions():
    rows = {name: cells for name, *cells in table("package")}
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"Python {rows['Python'][1]} to {rows['Python'][2]}" in readme
    assert f"DuckDB {rows['duckdb'][1]} to {rows['duckdb'][2]}" in readme
    assert f"wasmtime {Version(rows['wasmtime'][2]).major}," in readme
    oldest, newest = (Version(version).major for version in rows["pyarrow"][1:])
    assert f"pyarrow {oldest} to {newest}" in readme if oldest < newest else f"pyarrow {newest} (" in readme


def test_the_abi_version_is_the_one_in_force():
    assert re.search(r"of its own version, now (\d+)", PAGE)[1] == str(_abi.ABI_VERSION)


def test_stored_functions_have_the_columns_that_are_promised(con):
    with wasi_udf.Sandbox().install(con):
        con.execute("SELECT py_create_function('f', 'lambda x: x', {'persist': true, 'return_type': 'DOUBLE'})")
    described = con.execute("DESCRIBE wasi_udf.functions").fetchall()
    assert [name for name, *_ in described] == [name for name, _ in table("column")]
    assert {kind for _, kind, *_ in described} == {"VARCHAR"}


def test_functions_stored_by_a_later_version_are_restored(tmp_path):
    path = tmp_path / "file.db"
    for _ in range(2):
        with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
            con.execute("SELECT py_create_function('f', 'lambda x: x + 1', {'persist': true, 'replace': true})")
            con.execute("ALTER TABLE wasi_udf.functions ADD COLUMN IF NOT EXISTS later INTEGER DEFAULT 1")
    with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
        assert con.execute("SELECT f(1)").fetchall() == [(2,)]
        assert con.execute("SELECT later FROM wasi_udf.functions").fetchall() == [(1,)]


def test_sql_functions_are_those_that_are_promised(con):
    before = {name for (name,) in con.execute("SELECT function_name FROM duckdb_functions()").fetchall()}
    with wasi_udf.Sandbox().install(con):
        after = {name for (name,) in con.execute("SELECT function_name FROM duckdb_functions()").fetchall()}
    promised = set(re.findall(r"`(py_\w+)`", PAGE))
    typed = {name for name in after - before if name.startswith("py_udf_")}
    internal = {name for name in after if name.startswith("wasi_udf_groups_")}  # see wasm/native/epochs.c
    assert after - before - typed - internal == promised
