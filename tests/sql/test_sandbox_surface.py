"""What `Sandbox` shows of itself."""

import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import DataLimits, ResourceLimits, Sandbox

API = Path(__file__).parents[2] / "docs" / "reference" / "api.md"

# An ignored line is an error under --strict when there is nothing to ignore.
TYPED = """
from typing import assert_type
import duckdb_wasi_udf as wasi_udf

@wasi_udf.host_function
def rate(currency: list[str]) -> list[float]:
    return [1.0 for _ in currency]

@wasi_udf.host_function(name="other")
def named(currency: str) -> float:
    return 1.0

assert_type(rate(["EUR"]), list[float])
assert_type(named("EUR"), float)
rate(1)  # type: ignore[arg-type]
wasi_udf.Sandbox(host_functions=[rate, named])
wasi_udf.Sandbox(memory_bytes=1)  # type: ignore[call-arg]
"""


# Of the rest the package imports, nothing is asked: mypy would read all of IPython, pyarrow and others, for 10 seconds.
SETTINGS = """
[mypy]
strict = true
follow_imports = skip
[mypy-duckdb_wasi_udf.*]
follow_imports = silent
"""


def public_names():
    return {name for name in dir(Sandbox()) if not name.startswith("_")}


def test_nothing_is_public_that_the_api_page_does_not_have():
    page = API.read_text()
    section = page[page.index("### `Sandbox`") : page.index("## Host functions")]
    documented = set(re.findall(r"`(\w+)[`(]", section))
    keywords = set(inspect.signature(Sandbox).parameters)
    assert public_names() - keywords <= documented
    assert keywords & public_names() == {"limits", "data_limits"}


def test_every_keyword_is_spelled_out_with_a_type():
    for method in (Sandbox.__init__, *(getattr(Sandbox, name) for name in public_names())):
        if not callable(method):
            continue
        for name, parameter in inspect.signature(method).parameters.items():
            assert parameter.kind is not parameter.VAR_KEYWORD, method
            assert name == "self" or parameter.annotation is not parameter.empty, (method, name)


def test_help_shows_keywords_and_public_names_have_docstrings():
    text = pydoc.render_doc(Sandbox, renderer=pydoc.plaintext)
    for name in ("limits", "host_functions", "packages", "isolation", "allow_create"):
        assert f"{name}: " in text
    for name in public_names():
        assert inspect.getdoc(getattr(Sandbox, name)), name


def test_an_unknown_keyword_is_an_error_of_the_sandbox():
    with pytest.raises(TypeError, match=r"Sandbox\.__init__\(\) got an unexpected keyword argument 'memory_bytes'"):
        Sandbox(memory_bytes=1)


def test_repr_says_state_limits_functions_and_instances(con):
    with Sandbox() as plain:
        assert repr(plain) == "<Sandbox: open, 0 named function(s), 0 live instance(s)>"
    limits = ResourceLimits(timeout_seconds=2.0, instances=8)
    with Sandbox(limits=limits, data_limits=DataLimits(result_bytes=1024)) as sandbox:
        sandbox.create_function(con, "f", "lambda x: x + 1", ["BIGINT"], "BIGINT")
        changed = "timeout_seconds=2.0, instances=8, result_bytes=1024"
        assert repr(sandbox) == f"<Sandbox: open, {changed}, 1 named function(s), 1 live instance(s)>"
    assert repr(sandbox) == f"<Sandbox: closed, {changed}, 1 named function(s), 0 live instance(s)>"


def test_a_decorated_def_stays_a_host_function():
    @wasi_udf.host_function
    def rate(currency: list[str]) -> list[float]:
        return [len(code) / 2 for code in currency]

    assert isinstance(rate, wasi_udf.HostFunction)
    assert rate(["EUR"]) == rate(currency=["EUR"]) == [1.5]


def test_type_checkers_see_types_and_keywords(tmp_path):
    script = tmp_path / "typed.py"
    script.write_text(TYPED)
    settings = tmp_path / "mypy.ini"
    settings.write_text(SETTINGS)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(settings),
        "--no-error-summary",
        "--cache-dir",
        str(tmp_path),
        str(script),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=API.parents[1])
    assert done.returncode == 0, done.stdout
