"""Candidates of language models, tried on a sample: rows as plain Python gives them, or what a repair needs."""

import datetime as dt
import json
import math
import re
import threading
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf._engine.artifact import NUMPY_DIRECTORY

ROWS = [
    (1, "ada lovelace", Decimal("99.90"), dt.date(2024, 2, 29), ["a", "b"]),
    (2, "bob", None, dt.date(2023, 12, 31), []),
    (3, None, Decimal("-0.50"), None, ["c", None]),
    (4, "Zoë 🦆", Decimal("0.00"), dt.date(1999, 1, 1), None),
]


@pytest.fixture(scope="module")
def people():
    with duckdb.connect() as con:
        con.execute("CREATE TABLE people (id INTEGER, name VARCHAR, net DECIMAL(10, 2), born DATE, tags VARCHAR[])")
        con.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", ROWS)
        yield con.table("people")


@pytest.fixture(scope="module")
def sandbox():
    with wasi_udf.Sandbox() as sandbox:
        yield sandbox


def each(function, *columns):
    """What a function gives for each row of the table, as SQL calls it: NULL in, NULL out."""
    positions = [("id", "name", "net", "born", "tags").index(column) for column in columns]
    values = [[row[i] for i in positions] for row in ROWS]
    return [None if None in row else function(*row) for row in values]


GROSS = each(lambda net: float(net) * 1.19, "net")
TITLE = each(str.title, "name")

# What models write, with what it gives.
GOOD = {
    "typed def": ("def gross(net: float) -> float:\n    return net * 1.19", GROSS),
    "one line": ("def gross(net: float) -> float: return net * 1.19", GROSS),
    "lambda": ("lambda name: name.title()", TITLE),
    "assigned lambda": ("title = lambda name: name.title()", TITLE),
    "docstring and comments": (
        'def gross(net: float) -> float:\n    """Gross of net.\n\n    >>> gross(1.0)\n    1.19\n    """\n'
        "    # VAT\n    return net * 1.19",
        GROSS,
    ),
    "fenced": ("```python\ndef gross(net: float) -> float:\n    return net * 1.19\n```", GROSS),
    "fenced without language": ("```\nlambda name: name.title()\n```", TITLE),
    "fenced with tildes": ("~~~py\nlambda name: name.title()\n~~~", TITLE),
    "chat around it": (
        "Sure! Here's the function:\n\n```python\ndef gross(net: float) -> float:\n    return net * 1.19\n```\n\n"
        "It multiplies by 1.19. You can use it like this:\n\n```sql\nSELECT gross(net) FROM people\n```\n",
        GROSS,
    ),
    "example block first": (
        "```sql\nSELECT gross(net)\n```\n```python\ndef gross(net: float) -> float:\n    return net * 1.19\n```",
        GROSS,
    ),
    "indented fence": ("1. Do this:\n   ```python\n   lambda name: name.title()\n   ```\n", TITLE),
    "usage example at the end": (
        "def gross(net: float) -> float:\n    return net * 1.19\n\nprint(gross(10))",
        GROSS,
    ),
    "main guard": (
        'def gross(net: float) -> float:\n    return net * 1.19\n\nif __name__ == "__main__":\n    print(gross(10))',
        GROSS,
    ),
    "main function": (
        "def gross(net: float) -> float:\n    return net * 1.19\n\ndef main():\n    print(gross(10))\n",
        GROSS,
    ),
    "tests beside it": (
        "def gross(net: float) -> float:\n    return net * 1.19\n\ndef test_gross():\n    assert gross(1) == 1.19\n",
        GROSS,
    ),
    "helper after": (
        "def gross(net: float) -> float:\n    return add(net)\n\ndef add(y):\n    return y * 1.19",
        GROSS,
    ),
    "helper before": (
        "def _add(y):\n    return y * 1.19\n\ndef gross(net: float) -> float:\n    return _add(net)",
        GROSS,
    ),
    "config class": (
        "from dataclasses import dataclass\n\ndef gross(net: float) -> float:\n    return net * Config().rate\n\n"
        "@dataclass\nclass Config:\n    rate: float = 1.19",
        GROSS,
    ),
    "constant": ("RATE = 1.19\ndef gross(net: float) -> float:\n    return net * RATE", GROSS),
    "decorator": (
        "import functools\n@functools.lru_cache(maxsize=None)\ndef gross(net: float) -> float:\n    return net * 1.19",
        GROSS,
    ),
    "None is checked": (
        "def gross(net: float | None) -> float | None:\n    if net is None:\n        return 0.0\n    return net * 1.19",
        [value if value is not None else 0.0 for value in GROSS],
    ),
    "Optional": (
        "from typing import Optional\ndef size(name: Optional[str]) -> int:\n    return len(name or '')",
        [len(row[1] or "") for row in ROWS],
    ),
    "returns a dict": (
        "def f(name: str):\n    return {'upper': name.upper(), 'size': len(name)}",
        each(lambda name: {"upper": name.upper(), "size": len(name)}, "name"),
    ),
    "returns a list": ("def f(name: str) -> list[str]:\n    return name.split()", each(str.split, "name")),
    "returns text for a mistake": (
        "def f(net: float) -> str:\n    try:\n        return str(1 / int(net))\n    except ZeroDivisionError as e:\n"
        "        return 'none'",
        each(lambda net: str(1 / int(net)) if int(net) else "none", "net"),
    ),
    "two columns": (
        "def f(name: str, id: int) -> str:\n    return f'{id}: {name}'",
        each(lambda name, number: f"{number}: {name}", "name", "id"),
    ),
    "default parameter": (
        "def gross(net: float, rate: float = 0.19) -> float:\n    return net * (1 + rate)",
        each(lambda net: float(net) * (1 + 0.19), "net"),
    ),
    "date": ("def f(born):\n    return born.isoformat()", each(dt.date.isoformat, "born")),
    "date annotated": (
        "import datetime\ndef f(born: datetime.date) -> int:\n    return born.toordinal()",
        each(dt.date.toordinal, "born"),
    ),
    "list column": ("def f(tags: list) -> int:\n    return len(tags)", each(len, "tags")),
    "batch": (
        "def gross(net: Column[float]) -> list[float]:\n    return [x * 1.19 for x in net]",
        GROSS,
    ),
    "async": ("async def gross(net: float) -> float:\n    return net * 1.19", GROSS),
    "generator": (
        "def words(name: str):\n    for word in name.split():\n        yield word",
        each(str.split, "name"),
    ),
    "optional import": (
        "try:\n    import scipy as sp\nexcept ImportError:\n    sp = None\ndef f(net: float) -> float:\n"
        "    return net * 1.19",
        GROSS,
    ),
    "standard library": (
        "import re, math, json\ndef f(name: str) -> str:\n    return json.dumps(re.findall(r'\\w+', name))",
        each(lambda name: json.dumps(__import__("re").findall(r"\w+", name)), "name"),
    ),
    "class with a method": (
        "class Gross:\n    def __init__(self, rate):\n        self.rate = rate\n\n"
        "    def __call__(self, net: float) -> float:\n        return net * self.rate\n\ngross = Gross(1.19)\ngross",
        GROSS,
    ),
    "other names, as many": (
        "def f(a, b, c, d, e):\n    return b",
        each(lambda *row: row[1], "id", "name", "net", "born", "tags"),
    ),
    "generator that awaits": (
        "async def words(name: str):\n    for word in name.split():\n        yield word",
        each(str.split, "name"),
    ),
    "cut off": ("Here:\n```python\nlambda name: name.title()\n", TITLE),
    "text beside the fences": ("Here: ```python\nlambda name: name.title()\n``` That's it.", TITLE),
    "fences in a docstring": (
        'def gross(net: float) -> float:\n    """Gross of net.\n\n    ```\n    gross(1)\n    ```\n    """\n'
        "    return net * 1.19",
        GROSS,
    ),
    "thoughts": (
        "<think>\nMaybe\n```python\ndef f(net): return 1 / 0\n```\n</think>\n\n"
        "```python\nlambda name: name.title()\n```",
        TITLE,
    ),
    "end of thoughts": ("A lambda will do.\n</think>\nlambda name: name.title()", TITLE),
    "tags in the code": (
        "import re\ndef f(name: str) -> str:\n    return re.sub('<think>.*</think>', '', name).title()",
        TITLE,
    ),
    "byte order mark": ("\ufefflambda name: name.title()", TITLE),
    "all indented": ("    def f(name: str) -> str:\n        return name.title()\n", TITLE),
    "tabs": ("def f(name: str) -> str:\n\tif name:\n\t\treturn name.title()", TITLE),
    "carriage returns": ("def f(name: str) -> str:\r\n    return name.title()\r\n", TITLE),
    "match": (
        "def f(name: str) -> str:\n    match name.split():\n        case [first, _]:\n            return first\n"
        "        case _:\n            return 'other'",
        each(lambda name: name.split()[0] if " " in name else "other", "name"),
    ),
    "walrus": (
        "import re\ndef f(name: str) -> str | None:\n    if (m := re.match(r'(\\w+) (\\w+)', name)):\n        "
        "return m[2]\n    return None",
        each(lambda name: m[2] if (m := re.match(r"(\w+) (\w+)", name)) else None, "name"),
    ),
    "type statement": ("type Name = str\ndef f(name: Name) -> Name:\n    return name.title()", TITLE),
    "type parameters": (
        "def first[T](x: list[T]) -> T:\n    return x[0]\ndef f(name: str) -> str:\n    return first([name.title()])",
        TITLE,
    ),
    "asyncio.run": (
        "import asyncio\nasync def work(name):\n    await asyncio.sleep(0)\n    return name.title()\n"
        "def f(name: str) -> str:\n    return asyncio.run(work(name))",
        TITLE,
    ),
    "eval and __import__": (
        "def f(net: float) -> float:\n    return eval('net * 1.19') * __import__('math').sqrt(1)",
        GROSS,
    ),
    "logging": (
        "import logging\nlogging.basicConfig(level=logging.INFO)\ndef f(name: str) -> str:\n    logging.info(name)\n"
        "    return name.title()",
        TITLE,
    ),
    "nothing but a docstring": ('def f(name: str) -> str:\n    """Return the title."""', [None] * len(ROWS)),
    "JSON that may be none": (
        "import json\ndef f(name: str) -> dict | None:\n    try:\n        return json.loads(name)\n"
        "    except json.JSONDecodeError:\n        return None",
        [None] * len(ROWS),
    ),
    "upper case": ("def f(NAME: str) -> str:\n    return NAME.title()", TITLE),
    "unicode": ("def größe(name: str) -> int:\n    return len(name)", each(len, "name")),
}


@pytest.mark.parametrize("case", GOOD)
def test_a_candidate_that_works_gives_its_rows(sandbox, people, case):
    source, expected = GOOD[case]
    trial = sandbox.try_function(source, people)
    assert trial.error is None, trial.error
    assert trial.columns[:-1] == ("id", "name", "net", "born", "tags")
    assert [row[:-1] for row in trial.rows] == ROWS
    found = [row[-1] for row in trial.rows]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == theirs or math.isclose(ours, theirs)
    assert sandbox.describe(source).error is None


# What models write that doesn't work: what is said of it, its line, and its row.
BAD = {
    "float times DECIMAL": ("def f(net):\n    return net * 1.19", "TypeError: unsupported operand", 2, 0),
    "scipy": ("import scipy as sp\ndef f(net): return sp.sqrt(net)", "No module named 'scipy'", 1, None),
    "scipy inside": ("def f(net):\n    import scipy as sp\n    return sp.sqrt(net)", "No module named 'scipy'", 2, 0),
    "requests": ("import requests\ndef f(name): return requests.get(name)", "No module named 'requests'", 1, None),
    "pandas": (
        "import pandas as pd\n\ndef transform(df: pd.DataFrame) -> pd.DataFrame:\n    return df",
        "No module named 'pandas'",
        1,
        None,
    ),
    "syntax": ("def f(net)\n    return net", "SyntaxError: expected ':'", 1, None),
    "indentation": ("def f(net):\nreturn net", "IndentationError", 2, None),
    "nothing but text": ("I can't do that.", "Error", None, None),
    "no function": ("x = 1", "the code defines no function", None, None),
    "empty": ("", "the code defines no function", None, None),
    "a call for a function": ("print(1)", "the code is None, not a function", None, None),
    "name that isn't": ("def f(net):\n    return nett", "NameError: name 'nett'", 2, 0),
    "zero": ("def f(net: float):\n    return 1 / net", "ZeroDivisionError", 2, 3),
    "index": ("def f(name):\n    return name.split()[1]", "IndexError", 2, 1),
    "endless loop": ("def f(id):\n    while True:\n        pass", "stopped after timeout_seconds", None, 0),
    "endless recursion": ("def f(id):\n    return f(id)", "RecursionError", 2, 0),
    "memory": ("def f(id):\n    return len([0] * 10**9)", "memory", None, None),
    "files": ("def f(id):\n    return open('/etc/passwd').read()", "the sandbox has no files", 2, 0),
    "processes": ("import os\ndef f(id):\n    return os.system('ls')", "the sandbox has no processes", 3, 0),
    "other columns": ("def f(price, rate): return price", "the parameter 'price' has no column", None, None),
    "one column isn't there": ("def f(net, rate): return net", "the parameter 'rate' has no column", None, None),
    "wrong type": ("def f(name: int): return name", "the parameter 'name' expects BIGINT, got VARCHAR", None, None),
    "wrong result": ("def f(name) -> int:\n    return name", "Error", None, 0),
    "two functions": ("def f(net): return 1\ndef g(net): return 2", "several functions", None, None),
    "raises while loaded": ("RATE = {}['x']\ndef f(net): return 1", "KeyError", 1, None),
    "aggregate": (
        "class Total:\n    sum = 0\n    def step(self, net):\n        self.sum += net\n    def finish(self):\n"
        "        return self.sum",
        "Total is a class for an aggregate",
        None,
        None,
    ),
    "a frame": ("def transform(df):\n    return df.dropna()", "the parameter 'df' has no column", None, None),
    "exit": ("def f(net):\n    raise SystemExit(1)", "SystemExit", 2, 0),
    "input": ("def f(name):\n    return input('?')", "the sandbox has no input", 2, 0),
    "environment": (
        "import os\nKEY = os.environ['KEY']\ndef f(name):\n    return KEY",
        "no environment variables",
        2,
        None,
    ),
    "https": (
        "from urllib.request import urlopen\ndef f(name):\n    return urlopen('https://a.example').read()",
        "the sandbox has no network",
        3,
        0,
    ),
    "await of a timer": (
        "import asyncio\nasync def f(name):\n    await asyncio.sleep(1)",
        "async functions await host functions",
        3,
        0,
    ),
    "keywords alone": ("def f(**row):\n    return row['name']", "KeyError: 'name'", 2, 0),
    "code in JSON": ('{"code": "def f(name): return name"}', "not a function", None, None),
    "SQL": ("SELECT upper(name) FROM people", "SyntaxError", 1, None),
    "syntax in the first line": ("RATE = = 1\ndef f(net): return net", "SyntaxError: invalid syntax", 1, None),
    "syntax in the middle": (
        "def f(net):\n    x = (net\n    return x\n\ndef g(x):\n    return x",
        "never closed",
        2,
        None,
    ),
    "many digits": (f"X = {'9' * 5000}\ndef f(net): return X", "4300 digits", 1, None),
    "not done": ("def f(id):\n    raise NotImplementedError", "NotImplementedError", 2, 0),
    "helper raises": (
        "def f(name):\n    return check(name)\n\ndef check(name):\n    raise ValueError('no ' + name)",
        "ValueError: no ada lovelace",
        5,
        0,
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_candidate_that_fails_says_what_a_repair_needs(sandbox, people, case):
    source, what, line, row = BAD[case]
    trial = sandbox.try_function(source, people)
    assert trial.rows == []
    error = trial.error
    assert what in error.what
    if line is not None:
        assert error.line == line
        assert error.source_line == source.splitlines()[line - 1]
    assert error.row == row
    text = error.for_model()
    assert text.startswith(f"Error: {error.what}")
    assert "Columns: id INTEGER, name VARCHAR, net DECIMAL(10,2), born DATE, tags VARCHAR[]" in text
    assert "standard library of Python 3." in text
    assert len(text) < 4000
    described = json.loads(json.dumps(error.as_dict()))
    assert (described["what"], described["line"], described["row"]) == (error.what, error.line, error.row)
    assert described["columns"]["net"] == "DECIMAL(10,2)"
    assert sandbox.try_function("lambda id: id + 1", people).rows[0][-1] == 2


def test_arguments_are_named_as_the_columns(sandbox, people):
    error = sandbox.try_function("def f(net, name): return net + name", people).error
    assert error.arguments == {"net": "Decimal('99.90')", "name": "'ada lovelace'"}
    assert "Row 0 of the sample (counted from 0), called with: net=Decimal('99.90'), name='ada lovelace'" in str(error)
    error = sandbox.try_function("def f(name, id):\n    while id == 2: pass", people).error
    assert error.arguments == {"name": "'bob'", "id": "2"}


def test_usual_mistakes_have_a_hint(sandbox, people):
    assert "a parameter for each column" in sandbox.try_function("def f(df): return df", people).error.for_model()
    assert (
        "annotate the parameter with float" in sandbox.try_function("lambda net: 1.5 * net", people).error.for_model()
    )


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("def f(name) -> set[str]: return {name}", "annotations may be bool"),
        ("class K: pass\ndef f(name) -> K: return K()", "annotations may be bool"),
        ("class Cleaner:\n    def clean(self, name): return name", "write its name in the last line"),
        ("def make(net):\n    return lambda x: x\nf = make(1)", "write its name in the last line"),
        ("def f(**row): return row['name']", "write a parameter for each column"),
        ("```\ndef g(s): return s\n```\nand\n```\ndef f(name): return g(name)\n```", "put all code into one block"),
    ],
)
def test_the_hint_says_how_to_repair(sandbox, people, source, hint):
    error = sandbox.try_function(source, people).error
    assert [known for known in error.hints if hint in known]
    assert f"{hint}" in error.for_model()
    assert error.as_dict()["hints"] == list(error.hints)


def test_a_made_function_is_named_in_the_last_line(sandbox, people):
    source = "def make(rate):\n    return lambda net: float(net) * rate\ngross = make(1.19)\ngross"
    trial = sandbox.try_function(source, people.select("id, net"))
    assert [row[-1] for row in trial.rows] == GROSS


def test_rows_without_an_end_reach_a_limit(sandbox, people):
    error = sandbox.try_function("def f(id):\n    while True:\n        yield id", people).error
    assert error.error.limit in {"timeout_seconds", "memory_bytes"}


def test_a_long_line_is_cut_and_a_limit_before_any_row_has_none(sandbox, people):
    assert len(sandbox.try_function(f"X = {'9' * 5000}\nlambda id: X", people).error.for_model()) < 1500
    error = sandbox.try_function("while True: pass\ndef f(id): return id", people).error
    assert (error.line, error.row) == (1, None)


def test_all_missing_imports_are_named_at_once(sandbox, people):
    source = "import scipy\nimport sqlite3\ndef f(net):\n    import pandas.core, json, os.path\n    return 1"
    error = sandbox.try_function(source, people).error
    assert list(error.missing_imports) == ["scipy", "sqlite3", "pandas.core"]
    text = error.for_model()
    assert text.count("Can't be imported: ") == 3
    described = sandbox.describe(source)
    assert described.imports == ("scipy", "sqlite3", "pandas.core", "json", "os.path")
    assert list(described.missing_imports) == list(error.missing_imports)
    assert (described.name, described.parameters) == ("f", (("net", "ANY", True),))
    assert described.error is not None


@pytest.mark.skipif(not NUMPY_DIRECTORY.exists(), reason="the guest with numpy is not built: make guest-numpy")
@pytest.mark.parametrize(
    "source",
    [
        "import numpy as np\ndef f(net: float) -> float:\n    return float(np.sqrt(abs(net)))",
        "import numpy as np\ndef f(net: np.ndarray) -> np.ndarray:\n    return np.sqrt(np.abs(net.astype(float)))",
    ],
)
def test_code_with_numpy_is_tried_where_numpy_is(sandbox, people, source):
    trial = sandbox.try_function(source, people)
    assert trial.error is None, trial.error
    assert [row[-1] for row in trial.rows] == each(lambda net: math.sqrt(abs(net)), "net")
    assert sandbox.describe(source).missing_imports == {}
    error = sandbox.try_function("import numpy, scipy\ndef f(net): return 1", people).error
    assert list(error.missing_imports) == ["scipy"]
    assert ", numpy; there are no files" in error.for_model()


def test_what_is_printed_is_in_the_trial_and_the_error(sandbox, people):
    trial = sandbox.try_function("def f(id):\n    print('got', id)\n    return id", people, limit=2)
    assert (trial.output, len(trial.rows)) == ("got 1\ngot 2\n", 2)
    trial = sandbox.try_function("def f(id):\n    print('got', id)\n    return 1 / (2 - id)", people)
    assert trial.output == "got 1\ngot 2\n"
    assert "Printed: got 1\ngot 2" in trial.error.for_model()


def test_the_function_that_is_meant_can_be_named(sandbox, people):
    source = "```python\ndef f(id): return 1\n```\nor\n```python\ndef g(id): return 2\n```"
    assert sandbox.try_function(source, people, entry="g").rows[0][-1] == 2
    assert sandbox.try_function(source, people).rows[0][-1] == 1
    error = sandbox.try_function(source, people, entry="h").error
    assert "the code defines no 'h'" in error.what
    assert sandbox.describe(source, entry="g").name == "g"


@pytest.mark.parametrize("rows", [0, 1, 20, 2047, 2048])
def test_as_many_rows_are_tried_as_are_asked_for(sandbox, rows):
    table = pa.table({"x": pa.array(range(rows), pa.int64())})
    trial = sandbox.try_function("lambda x: x * 2", table, limit=2048)
    assert trial.error is None
    assert trial.rows == [(i, 2 * i) for i in range(rows)]
    assert len(sandbox.try_function("lambda x: x * 2", table).rows) == min(rows, 20)


@pytest.mark.parametrize(
    "make",
    [
        pa.table,
        lambda data: pa.RecordBatch.from_pydict(data),
        lambda data: pa.table(data).to_pylist(),
        dict,
        pl.DataFrame,
        pl.LazyFrame,
        lambda data: pl.DataFrame(data, schema_overrides={"y": pl.Categorical}),
        lambda data: pa.table({"x": data["x"], "y": pa.array(data["y"]).dictionary_encode()}),
        lambda data: duckdb.sql("SELECT unnest([1, NULL, 3]) AS x, unnest(['a', 'ü', NULL]) AS y"),
    ],
)
def test_samples_come_from_many_kinds_of_tables(sandbox, make):
    trial = sandbox.try_function(
        "def f(y: str | None, x: int | None): return f'{x}{y}'",
        make({"x": [1, None, 3], "y": ["a", "ü", None]}),
        limit=3,
    )
    assert [row[-1] for row in trial.rows] == ["1a", "Noneü", "3None"]


def test_samples_have_types_of_other_libraries(sandbox):
    moment = dt.datetime(2020, 2, 29, 23, tzinfo=dt.UTC)
    table = pa.table({
        "at": pa.array([moment], pa.timestamp("ns", "Asia/Tokyo")),
        "took": pa.array([[dt.timedelta(days=1, seconds=2)]], pa.list_(pa.duration("ms"))),
        "key": pa.array([b"abcd"], pa.binary(4)),
    })  # fmt: skip
    trial = sandbox.try_function(
        "def f(at, took, key): return [at.isoformat(), took[0].total_seconds(), len(key)]", table
    )
    assert trial.error is None
    assert trial.rows[0][-1] == [moment.isoformat(), 86402.0, 4]


@pytest.mark.parametrize("table", [5, "people", None, [1, 2], {"x": 5}])
def test_what_is_no_table_is_refused(sandbox, table):
    with pytest.raises(wasi_udf.SignatureError, match="the sample"):
        sandbox.try_function("lambda x: x", table)


@pytest.mark.parametrize("limit", [0, -1, 2049, 1.5, True])
def test_limits_of_rows_are_checked(sandbox, people, limit):
    with pytest.raises(ValueError, match="from 1 to 2048"):
        sandbox.try_function("lambda x: x", people, limit=limit)


@pytest.mark.parametrize("source", [None, 5, lambda x: x])
def test_what_is_no_text_is_refused(sandbox, people, source):
    with pytest.raises(wasi_udf.SignatureError, match="the code is source text"):
        sandbox.try_function(source, people)
    with pytest.raises(wasi_udf.SignatureError, match="the code is source text"):
        sandbox.describe(source)


def test_limits_are_tight_and_can_be_changed(people):
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.2)
    with wasi_udf.Sandbox(limits=limits) as sandbox:
        error = sandbox.try_function("def f(id):\n    while True: pass", people).error
        assert (error.error.limit, error.error.allowed) == ("timeout_seconds", 0.2)
        assert "ResourceLimits" not in error.for_model()
    with wasi_udf.Sandbox() as sandbox:
        large = "def f(id): return len(bytearray(110 * 2**20))"
        assert sandbox.try_function(large, people).error is not None
        assert sandbox.try_function(large, people, limits=wasi_udf.ResourceLimits()).error is None


def test_a_trial_leaves_nothing_behind(people):
    with wasi_udf.Sandbox() as sandbox:
        before = sandbox.usage()
        sandbox.try_function("def f(id): return 1 / 0", people)
        sandbox.try_function("lambda id: id", people)
        sandbox.describe("lambda x: x")
        assert sandbox.last_error is None
        assert sandbox.usage() == before
    with pytest.raises(wasi_udf.ClosedError):
        sandbox.try_function("lambda id: id", people)
    with pytest.raises(wasi_udf.ClosedError):
        sandbox.describe("lambda id: id")


def test_packages_and_host_functions_are_those_of_the_sandbox(people, tmp_path):
    (tmp_path / "vat.py").write_text("RATE = 1.19\n")

    @wasi_udf.host_function
    def rate(country: str, scale: float = 1.0) -> float:
        """The rate of a country."""
        return 1.5 * scale

    with wasi_udf.Sandbox(host_functions=[rate], packages=[tmp_path / "vat.py"]) as sandbox:
        source = "import host, vat\nasync def f(id: int) -> float:\n    return id * await host.rate('x') * vat.RATE"
        trial = sandbox.try_function(source, people)
        assert [row[-1] for row in trial.rows] == [row[0] * 1.5 * 1.19 for row in ROWS]
        assert [(call.host_function, call.called_by, call.rows) for call in sandbox.audit()] == [("rate", "code", 1)]
        text = sandbox.try_function("lambda id: nothing", people).error.for_model()
        assert "rate(country: VARCHAR, scale: DOUBLE = 1.0) -> DOUBLE (The rate of a country.)" in text
        assert ", vat; there are no files" in text
        flood = "import host\ndef f(id):\n    for i in range(5000): host.rate(str(i))"
        assert sandbox.try_function(flood, people).error.error.limit == "host_batch.calls"


def test_a_trial_can_be_cancelled(people):
    began = threading.Event()

    @wasi_udf.host_function
    def start() -> int:
        began.set()
        return 1

    with wasi_udf.Sandbox(host_functions=[start]) as sandbox:
        stopper = threading.Thread(target=lambda: began.wait(30) and sandbox.cancel())
        stopper.start()
        source = "import host\ndef f(id):\n    host.start()\n    while True: pass"
        error = sandbox.try_function(source, people, limits=wasi_udf.ResourceLimits(timeout_seconds=10)).error
        stopper.join()
        assert isinstance(error.error, wasi_udf.Cancelled)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "def f(a: int, b: str = 'x') -> float: ...",
            ("f", "row", (("a", "BIGINT", True), ("b", "VARCHAR", False)), "DOUBLE"),
        ),
        ("lambda x, *rest: 1", (None, "row", (("x", "ANY", True), ("rest", "ANY", False)), "VARIANT")),
        ("async def f(a): ...", ("f", "async", (("a", "ANY", True),), "VARIANT")),
        ("def f(a: Column[int]) -> list[int]: ...", ("f", "batch", (("a", "BIGINT", True),), "BIGINT")),
        ("def f(n: int): yield n", ("f", "table", (("n", "BIGINT", True),), None)),
        ("def f(a):\n    def g(): yield 1\n    return g", ("f", "row", (("a", "ANY", True),), "VARIANT")),
        ("def f(a: int", (None, None, (), None)),
        ("import nothing\ndef f(a: int, b) -> str: ...", ("f", "row", (("a", "int", True), ("b", "ANY", True)), "str")),
    ],
)
def test_a_description_says_what_the_function_is(sandbox, source, expected):
    found = sandbox.describe(source)
    assert (found.name, found.kind, found.parameters, found.result) == expected


def test_a_description_runs_no_row_but_loads_the_code(sandbox):
    found = sandbox.describe("print('loaded')\ndef f(x):\n    print('row')\n")
    assert found.error is None
    found = sandbox.describe("while True: pass\ndef f(x): ...")
    assert found.error.error.limit == "timeout_seconds"
    assert found.name == "f"
    found = sandbox.describe("(" * 100_000)
    assert found.error is not None


@pytest.mark.parametrize(
    "source", ["\0", "def f(x):\n" + " " * 100_000, "lambda x: " + "-" * 50_000 + "1", "(" * 100_000, "é" * 100_000]
)
def test_hostile_texts_end_in_errors(sandbox, people, source):
    assert sandbox.try_function(source, people).error is not None
    sandbox.describe(source)


def test_text_that_is_not_unicode_is_refused(sandbox):
    with pytest.raises(wasi_udf.SignatureError, match="no text in Unicode"):
        sandbox.describe("x = '\ud800'")


def test_threads_try_at_once(sandbox):
    failures = []

    def attempt(number):
        trial = sandbox.try_function(f"lambda x: print({number}) or x + {number}", {"x": [1, 2]})
        if trial.rows != [(1, 1 + number), (2, 2 + number)] or trial.output != f"{number}\n{number}\n":
            failures.append(trial)

    threads = [threading.Thread(target=attempt, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
