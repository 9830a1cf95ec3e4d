"""The reference pages on limits, logging and environment variables say what is in the code."""

import ast
import dataclasses
import re
import tomllib

import pytest

from duckdb_wasi_udf import DataLimits, GroupLimits, HostQuota, ResourceLimits
from tests.support.repository import ROOT, code_spans, files, tables

MIB = 2**20


def page(name):
    return (ROOT / "docs" / "reference" / name).read_text()


def cells(text, column):
    """The code spans of a column, of all tables that have it."""
    return [span for table in tables(text) if column in table[0] for row in table for span in code_spans(row[column])]


# ---- limits ------------------------------------------------------------------------------------------------------


def written(value):
    """A default as the page has it."""
    if isinstance(value, HostQuota):
        return f"{value.calls:,} calls, {value.bytes // MIB:,} MiB, {value.seconds:g} s"
    if isinstance(value, int) and value >= MIB:
        return f"{value // MIB} MiB"
    return "None" if value is None else f"{value:,g}"


@pytest.mark.parametrize("kind", [ResourceLimits, DataLimits, GroupLimits, HostQuota])
def test_limits_are_listed_with_their_defaults(kind):
    section = page("limits.md").partition(f"\n## {kind.__name__}\n")[2].partition("\n## ")[0]
    (rows,) = tables(section)
    listed = {code_spans(row["field"])[0]: row["default"].content if "default" in row else None for row in rows}
    fields = {field.name: field.default for field in dataclasses.fields(kind)}
    assert listed.keys() == fields.keys()
    for name, default in fields.items():
        assert listed[name] == (None if default is dataclasses.MISSING else written(default)), name


# ---- logging -----------------------------------------------------------------------------------------------------


def test_every_logger_is_listed():
    named = {
        node.args[0].value
        for name in files(".py")
        if name.startswith(("duckdb_wasi_udf/", "hostfuncs/", "wasm/"))
        for node in ast.walk(ast.parse((ROOT / name).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"logging.getLogger", "getLogger"}
    }
    assert named == set(cells(page("logging.md"), "logger"))


# ---- environment variables ---------------------------------------------------------------------------------------

# Where the name of a variable is no literal: what it is there.
COMPUTED = {
    "wasm/build/fetch.py": {
        f"DUCKDB_WASI_UDF_{name.upper()}_SOURCE"
        for name in tomllib.loads((ROOT / "wasm" / "config.toml").read_text())["sources"]
    },
    "wasm/build/steps.py": set(),  # those it passes on; the page has them in its text
}


def variables(name):
    """The environment variables that a Python file reads; None for one whose name isn't a literal."""
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func)
            reads = function in {"os.getenv", "getenv"} or re.fullmatch(r"(os\.)?environ(ment)?\.(get|pop)", function)
            key = node.args[0]
        elif isinstance(node, ast.Subscript):
            reads = ast.unparse(node.value) in {"os.environ", "environ"} and isinstance(node.ctx, ast.Load)
            key = node.slice
        else:
            continue
        if reads:
            yield key.value if isinstance(key, ast.Constant) else None


def variables_read():
    folders = ("duckdb_wasi_udf/", "hostfuncs/", "wasm/", "benchmarks/", "sql/", "tests/tools/", "tests/support/")
    for name in files(".py"):
        if name.startswith(folders):
            for variable in variables(name):
                if variable is None:
                    assert name in COMPUTED, f"{name} reads a variable whose name isn't a literal"
                    yield from COMPUTED[name]
                else:
                    yield variable
    for name in files(".c", ".h"):
        yield from re.findall(r'\bgetenv\("(\w+)"', (ROOT / name).read_text())
    makefile = (ROOT / "Makefile").read_text()
    yield from set(re.findall(r"\$\((?:filter \w+,\$\()?(\w+)\)", makefile)) - set(
        re.findall(r"^ *(\w+) :=", makefile, re.MULTILINE)
    )


# Read by Python's standard library for the build: proxies by urllib.request.getproxies, certificates by ssl.
BY_THE_LIBRARY = {"http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE"}


def test_every_environment_variable_that_is_read_is_listed():
    assert set(variables_read()) | BY_THE_LIBRARY == set(cells(page("environment-variables.md"), "variable"))


def test_what_the_library_reads_is_read():
    sources = "".join((ROOT / name).read_text() for name in files(".py") if name.startswith("wasm/"))
    assert "getproxies" in sources
    assert "ssl" in sources


def test_a_build_passes_on_what_the_page_says():
    (kept,) = (
        ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "wasm" / "build" / "steps.py").read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_KEPT_VARIABLES"
    )
    text = " ".join(page("environment-variables.md").split())
    assert f"{', '.join(f'`{name}`' for name in kept[:-1])} and `{kept[-1]}`" in text
