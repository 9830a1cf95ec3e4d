"""The folders of CONTRIBUTING.md: imports point down only."""

import ast
import functools
import importlib
import threading
import weakref
from collections import deque
from pathlib import Path

import duckdb_wasi_udf
from tests.support.repository import assert_none, bodies

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "duckdb_wasi_udf"

# A module imports from its own folder and from those after it. What is no folder is a module beside the folders.
ORDER = [
    "__main__",
    "_cli",
    "_doctor",
    "__init__",
    "dbt",
    "engines",
    "_frames",
    "_notebook",
    "_sql",
    "_functions",
    "_guests",
    "_host_functions",
    "_engine",
    "_packages",
    "_arrow",
    "_telemetry",
    "_process",
    "_native",
    "_shared",
    "_limits",
    "_abi",
    "_errors",
    "_display",
    "_text",
    "_version",
]
MODULES = {
    str(path.relative_to(PACKAGE).with_suffix("")).replace("\\", "/"): path for path in sorted(PACKAGE.rglob("*.py"))
}
READY_MADE = sorted((ROOT / "hostfuncs").rglob("*.py"))
MOST_LINES = 400


def folder(module):
    return module.partition("/")[0]


@functools.cache
def imports(path):
    """The import statements of a file, those inside functions included."""
    statements = [node for body in bodies(ast.parse(path.read_text())) for node in body]
    return [node for node in statements if isinstance(node, (ast.Import, ast.ImportFrom))]


def imported_modules(path):
    """The modules of the package that a file imports, as paths below it."""
    for node in imports(path):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "duckdb_wasi_udf":
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("duckdb_wasi_udf.").replace(".", "/")
                yield name if name in MODULES else name.rpartition("/")[0] or name


def test_every_module_has_a_place():
    assert {folder(module) for module in MODULES} == set(ORDER)


def test_imports_point_down():
    upwards = [
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        for imported in imported_modules(path)
        if ORDER.index(folder(imported)) < ORDER.index(folder(module))
    ]
    assert_none(upwards)


def test_no_modules_import_each_other_in_a_circle():
    below = {module: set(imported_modules(path)) & set(MODULES) - {module} for module, path in MODULES.items()}
    while below:
        leaves = {module for module, imported in below.items() if not imported & set(below)}
        assert leaves, f"a circle among {sorted(below)}"
        below = {module: imported for module, imported in below.items() if module not in leaves}


def test_only_one_module_touches_wasmtimes_private_bindings():
    others = {module: path.read_text() for module, path in MODULES.items() if module != "_engine/raw_instance"}
    assert_none(module for module, text in others.items() if "_bindings" in text or "_ffi" in text)


def test_only_the_sql_folder_knows_duckdb():
    below = [module for module in MODULES if folder(module) in ORDER[ORDER.index("_sql") + 1 :]]
    names = {
        module: [
            str(name)
            for node in imports(MODULES[module])
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
        ]
        for module in below
    }
    assert_none(module for module in below if any(name.partition(".")[0] == "duckdb" for name in names[module]))


# Of what is mutable: what a module has of it lives as long as the process.
MUTABLE = (list, dict, set, bytearray, deque, weakref.WeakSet, weakref.WeakValueDictionary, weakref.WeakKeyDictionary)
MUTABLE += (type(threading.Lock()), type(threading.RLock()), threading.local, threading.Event, threading.Condition)


def long_lived(module, path):
    """What a module has that is mutable and lives as long as the process."""
    text = path.read_text()
    assigned = {
        target.id
        for node in ast.parse(text).body
        for target in (node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)])
        if isinstance(target, ast.Name) and not target.id.isupper() and not target.id.startswith("__")
    }
    name = f"duckdb_wasi_udf/{module}".removesuffix("/__init__").replace("/", ".")
    imported = importlib.import_module(name)
    yield from (name for name in assigned if isinstance(vars(imported).get(name), MUTABLE))
    if "register_at_fork" in text:
        yield "register_at_fork"


def test_what_lives_as_long_as_the_process_is_in_one_module():
    """Names in capitals are constants, and `functools.cache` remembers what a function returns anyway."""
    others = {module: path for module, path in MODULES.items() if module not in {"_process/state", "__main__"}}
    assert_none((module, name) for module, path in others.items() for name in long_lived(module, path))
    assert set(long_lived("_process/state", MODULES["_process/state"])) > {"register_at_fork"}


def test_a_folder_says_what_it_holds_and_nothing_else():
    for path in PACKAGE.glob("*/__init__.py"):
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        assert len(tree.body) == 1, path


def test_the_map_of_the_code_has_every_folder():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    mapped = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `_") and "/`" in line]
    assert [name.rstrip("/") for name in mapped] == [name for name in ORDER if (PACKAGE / name).is_dir()]


def test_modules_stay_readable():
    for path in [*MODULES.values(), *READY_MADE]:
        assert len(path.read_text().splitlines()) <= MOST_LINES, path


def test_hostfuncs_import_only_the_public_api():
    for path in READY_MADE:
        assert set(imported_modules(path)) <= set(duckdb_wasi_udf.__all__), path
        assert "import duckdb_wasi_udf" not in path.read_text(), path


def test_the_package_does_not_import_hostfuncs():
    assert not any("hostfuncs" in path.read_text() for path in MODULES.values())
