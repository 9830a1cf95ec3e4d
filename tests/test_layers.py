"""The layers of CONTRIBUTING.md: imports point down only."""

import ast
from pathlib import Path

import pytest

import duckdb_wasi_udf

PACKAGE = Path(__file__).parent.parent / "duckdb_wasi_udf"

LAYERS = [
    {"__main__"},
    {"_doctor"},
    {"__init__"},
    {"_install"},
    {"_catalog", "_table_map_sql"},
    {"_stored", "_aggregate", "_table_sql", "_table_map"},
    {"_table_schema", "_given"},
    {"_scalar", "_table"},
    {"_source", "_signature", "_row_groups"},
    {"_sandbox", "_pool"},
    {"_modules", "_roster"},
    {"_instance"},
    {"_host_calls"},
    {"_host_grants"},
    {"_host_values"},
    {"_host", "_host_audit", "_host_quota", "_host_threads"},
    {"_arrow_reader"},
    {"_arrow_memory", "_value_checks"},
    {"_arrow_types"},
    {"_engine"},
    {"_deadline"},
    {"_ticker"},
    {"_guest"},
    {"_packages"},
    {"_distributions"},
    {"_binding", "_budget", "_cache", "_coarse_clock", "_interrupts", "_output", "_recent", "_stack"},
    {"_thread_state"},
    {"_annotations", "_limits"},
    {"_text"},
    {"_abi", "_column", "_columns", "_errors", "_interval"},
]
LEVELS = {module: level for level, layer in enumerate(LAYERS) for module in layer}


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("duckdb_wasi_udf"):
            if node.module == "duckdb_wasi_udf":
                yield from (alias.name for alias in node.names)
            else:
                yield node.module.removeprefix("duckdb_wasi_udf.")


def test_every_module_has_a_layer():
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(LEVELS)


@pytest.mark.parametrize("module", sorted(LEVELS))
def test_imports_point_down(module):
    for imported in imported_modules(PACKAGE / f"{module}.py"):
        assert LEVELS[imported] > LEVELS[module], f"{module} imports {imported}"


@pytest.mark.parametrize("module", sorted(set(LEVELS) - {"_binding"}))
def test_only_the_binding_module_touches_wasmtimes_private_bindings(module):
    text = (PACKAGE / f"{module}.py").read_text()
    assert "_bindings" not in text
    assert "_ffi" not in text


SQL_SURFACE = {"_install", "_catalog", "_stored", "_table_sql", "_table_map_sql", "_given"}


@pytest.mark.parametrize("module", sorted(set(LEVELS) - {"__main__", "_doctor", "__init__"} - SQL_SURFACE))
def test_only_the_sql_surface_knows_duckdb(module):
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert "duckdb" not in imported


def test_modules_stay_readable():
    for path in PACKAGE.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 500, path


READY_MADE = sorted((PACKAGE.parent / "hostfuncs").glob("*.py"))


@pytest.mark.parametrize("path", READY_MADE, ids=lambda path: path.stem)
def test_the_ready_made_host_functions_import_the_public_api_only(path):
    assert set(imported_modules(path)) <= set(duckdb_wasi_udf.__all__)
    assert "import duckdb_wasi_udf" not in path.read_text()
    assert len(path.read_text().splitlines()) <= 500


def test_nothing_in_the_package_imports_the_ready_made_host_functions():
    assert not any("hostfuncs" in path.read_text() for path in PACKAGE.glob("*.py"))
