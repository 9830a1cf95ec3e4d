"""What errors say of what the sandbox doesn't have, and how short they are."""

import threading
import traceback

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf

LACKS = {
    "import scipy": "the standard library and no packages; scipy is native code, which can't run in it",
    "from pandas import DataFrame": "pandas is native code",
    "import requests": "it has no network either, so that requests is of no use",
    "import slugify": "pure Python can be granted, with Sandbox(packages=['slugify'])",
    "import yaml.nodes": "Sandbox(packages=['yaml'])",
    "import ssl": "the sandbox's standard library is without it",
    "import sqlite3": "the sandbox's standard library is without it",
    "open('/etc/passwd')": "the sandbox has no files",
    "open('out.txt', 'w')": "the sandbox has no files",
    "import os; os.listdir('.')": "the sandbox has no files",
    "import pathlib; pathlib.Path('a').read_text()": "the sandbox has no files",
    "import tempfile; tempfile.TemporaryFile()": "the sandbox has no files",
    "import urllib.request; urllib.request.urlopen('http://example.org')": "the sandbox has no network",
    "import http.client; http.client.HTTPConnection('example.org').request('GET', '/')": "the sandbox has no network",
    "import socket; socket.create_connection(('127.0.0.1', 80))": "the sandbox has no network",
    "import subprocess; subprocess.run(['ls'])": "the sandbox has no processes",
    "import os; os.system('ls')": "the sandbox has no processes",
    "import multiprocessing as m; m.Process(target=print).start()": "the sandbox has no processes",
    "input()": "the sandbox has no input",
    "import os; os.environ['HOME']": "the sandbox has no environment variables",
    "import urllib.request; urllib.request.urlopen('https://example.org')": "the sandbox has no network",
    "import http.client; http.client.HTTPSConnection('example.org')": "the sandbox has no network",
    "import asyncio; asyncio.get_running_loop()": "asyncio.run in a plain def",
    "import pydantic": "pydantic is native code, which can't run in it: use dataclasses",
    "import threading; threading.Thread(target=print).start()": "the sandbox has no threads",
    "import concurrent.futures as c; c.ThreadPoolExecutor().submit(print)": "the sandbox has no threads",
}


@pytest.fixture(scope="module")
def opened():
    with duckdb.connect() as con, wasi_udf.Sandbox().install(con) as sandbox:
        yield con, sandbox


def failure(con, code, query="SELECT py_udf($1, 1)"):
    with pytest.raises(duckdb.InvalidInputException) as raised:
        con.execute(query, [code]).fetchall()
    return wasi_udf.error_of(raised.value)


@pytest.mark.parametrize("statement", LACKS)
def test_an_error_says_what_the_sandbox_lacks_and_little_else(opened, statement):
    error = failure(opened[0], f"def f(x):\n    {statement}")
    first, *rest = str(error).splitlines()
    assert LACKS[statement] in first
    assert len(rest) <= 6
    assert "/stdlib/" not in str(error)
    assert statement in error.guest_traceback


def test_caught_errors_are_pythons_own(opened):
    con, _ = opened
    code = "def f(x):\n    try:\n        import pandas\n    except ImportError as e:\n        return str(e)"
    assert con.execute("SELECT py_udf_varchar($1, 1)", [code]).fetchall() == [("No module named 'pandas'",)]


def test_errors_of_the_codes_own_stay_as_they_are(opened):
    for raised, text in (
        ("FileNotFoundError('no such invoice')", "FileNotFoundError: no such invoice"),
        ("ModuleNotFoundError('x')", "ModuleNotFoundError: x"),
        ("OSError(28, 'full')", "OSError: [Errno 28] full"),
        ("RuntimeError('threads')", "RuntimeError: threads"),
        ("KeyError('HOME')", "KeyError: 'HOME'"),
        ("EOFError('end')", "EOFError: end"),
    ):
        first = str(failure(opened[0], f"def f(x):\n    raise {raised}")).splitlines()[0]
        assert first.endswith(text)


def test_an_error_raised_twice_is_told_once(opened):
    code = "try:\n    import pandas\nexcept ImportError as e:\n    kept = e\ndef f(x):\n    raise kept"
    for _ in range(2):
        assert str(failure(opened[0], code)).splitlines()[0].count("the sandbox has") == 1


def test_granted_packages_are_named(con, tmp_path):
    (tmp_path / "rules.py").write_text("x = 1")
    with wasi_udf.Sandbox(packages=[tmp_path / "rules.py"]).install(con):
        assert "the standard library and the packages rules;" in str(failure(con, "import polars\nlambda x: x"))
        assert "the sandbox has" not in str(failure(con, "import rules.other\nlambda x: x"))


STEPS = "class A:\n    def step(self, x): 1 / 0\n    def finish(self): pass"
QUERIES = {
    "SELECT py_agg($1, list(x)) FROM range(2) t(x)": "def f(xs):\n    return 1 / 0",
    "SELECT py_agg($1, list(x)) FROM range(1) t(x)": STEPS,
    "FROM py_map_batches($1, 'SELECT 1, 2')": "def f(a, b):\n    yield 1 / 0",
    "FROM py_map_batches($1, 'SELECT 3')": "class M:\n    def process(self, a):\n        return [1 / 0]",
    "FROM py_table($1)": "def f():\n    yield 1 / 0",
}


@pytest.mark.parametrize("query", QUERIES)
def test_no_frame_or_argument_is_ours(opened, query):
    error = failure(opened[0], QUERIES[query], query)
    assert error.guest_traceback.count('File "') == 1
    assert "_udf_" not in error.guest_traceback
    assert "None" not in error.arguments
    passed = {"FROM py_map_batches($1, 'SELECT 1, 2')": ("1", "2"), "FROM py_map_batches($1, 'SELECT 3')": ("3",)}
    assert error.arguments == passed.get(query, error.arguments)


def test_mistakes_in_wrapped_classes_show_no_wrapper(opened):
    error = failure(opened[0], "class A:\n    def step(self, x): pass", "SELECT py_agg($1, list(x)) FROM range(2) t(x)")
    assert "has step, but no finish" in str(error)
    assert 'File "' not in str(error)


class Unshippable:
    lock = threading.Lock()

    def __call__(self, x):
        return self.lock


REGISTRATIONS = {
    "create_function": [
        "def f(x)\n    return x",
        "import pandas\ndef f(x): return x",
        Unshippable(),
        "def f(x: Wrong): return x",
    ],
    "create_aggregate_function": ["def f(x:\n    return x", "class A:\n    def step(self, x): pass", Unshippable()],
    "create_table_function": ["def f(n: Wrong): yield 1", Unshippable()],
}


@pytest.mark.parametrize("create", REGISTRATIONS)
def test_a_failed_registration_shows_the_callers_line_alone(opened, create):
    con, sandbox = opened
    for function in REGISTRATIONS[create]:
        with pytest.raises(wasi_udf.WasiUdfError) as raised:
            getattr(sandbox, create)(con, "f", function)
        frames = traceback.extract_tb(raised.value.__traceback__)
        assert [frame.filename for frame in frames] == [__file__]
        text = "".join(traceback.format_exception(raised.value))
        assert len(text.splitlines()) <= 12
        assert "During handling" not in text
        assert "direct cause" not in text


def test_a_failed_map_shows_the_callers_line_alone(opened):
    con, sandbox = opened
    con.execute("CREATE OR REPLACE TEMP TABLE hidden AS SELECT 1 AS x")
    for function, relation in (("def f(x)", con.sql("SELECT 1")), ("lambda x: [x]", con.sql("FROM hidden"))):
        with pytest.raises(wasi_udf.WasiUdfError) as raised:
            sandbox.map_batches(relation, function)
        assert [frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)] == [__file__]
        assert len("".join(traceback.format_exception(raised.value)).splitlines()) <= 12


def test_a_name_that_is_taken_is_short_as_well(opened):
    con, sandbox = opened
    sandbox.create_function(con, "taken", "lambda x: x")
    with pytest.raises(duckdb.Error) as raised:
        sandbox.create_function(con, "taken", "lambda x: x")
    assert len(traceback.extract_tb(raised.value.__traceback__)) == 1


def test_a_shipped_functions_import_shows_no_loader(con, sandbox):
    def name(x: float) -> str:
        return pa.array([x]).type.id

    with pytest.raises(wasi_udf.SignatureError, match="the variable 'pa' is the module pyarrow") as raised:
        sandbox.create_function(con, "name", name)
    assert "pkgutil" not in str(raised.value)
