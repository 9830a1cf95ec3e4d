"""Which function of a source text is meant."""

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

GROSS = "def gross(x): return round(x * 1.19, 2)\n"
MEANT = {
    "a helper after it": "def gross(x): return round(rate(x), 2)\ndef rate(x): return x * 1.19",
    "a helper before it": "def rate(x): return x * 1.19\ndef gross(x): return round(rate(x), 2)",
    "a config class after it": (
        "from dataclasses import dataclass\n"
        "def gross(x): return round(x * Config().rate, 2)\n"
        "@dataclass\nclass Config:\n    rate: float = 1.19"
    ),
    "a class in its annotation": (
        "from typing import NamedTuple\ndef gross(x, y: 'Price' = None): return round(x * 1.19, 2)\n"
        "class Price(NamedTuple):\n    x: float"
    ),
    "a class beside it": f"{GROSS}class TaxError(Exception): pass",
    "a decorator": (
        "import functools\ndef rounded(f):\n    @functools.wraps(f)\n    def g(x): return round(f(x), 2)\n"
        "    return g\n@rounded\ndef gross(x): return x * 1.19"
    ),
    "a decorator whose parameter has its name": (
        "import functools\ndef rounded(gross):\n    @functools.wraps(gross)\n    def g(x): return round(gross(x), 2)\n"
        "    return g\n@rounded\ndef gross(x): return x * 1.19"
    ),
    "a helper whose variable has its name": (
        "def rate(x):\n    for gross in [x * 1.19]: return gross\ndef gross(x): return round(rate(x), 2)"
    ),
    "a helper whose lambda has its name": (
        "def rate(x): return (lambda gross: gross * 1.19)(x)\ndef gross(x): return round(rate(x), 2)"
    ),
    "a table of helpers": (
        "def de(x): return x * 1.19\ndef fr(x): return x * 1.2\nRATES = {'DE': de, 'FR': fr}\n"
        "def gross(x): return round(RATES['DE'](x), 2)"
    ),
    "a helper of two variables": (
        "def make(): return 1.19, 2\nrate, digits = make()\ndef gross(x): return round(x * rate, digits)"
    ),
    "recursion": "def gross(x, n=1): return round(x * 1.19, 2) if n == 0 else gross(x, n - 1)",
    "a printed example": f"{GROSS}print(gross(10))",
    "an example without print": f"{GROSS}gross(10)",
    "several examples": f"{GROSS}print(gross(1))\nresult = gross(2)\nassert gross(10) == 11.9\n'done'",
    "examples in a loop": f"{GROSS}for x in [1, 2]:\n    print(gross(x))",
    "a main block": f"{GROSS}if __name__ == '__main__':\n    import numpy\n    print(gross(10))",
    "a main function": f"{GROSS}def main():\n    print(gross(10))\nif __name__ == '__main__':\n    main()",
    "a test": f"{GROSS}def test_gross():\n    assert gross(10) == 11.9\n",
    "its name in the last line": f"{GROSS}def other(x): return x\ngross",
    "a lambda in the last line": "def other(x): return x\nlambda x: round(x * 1.19, 2)",
    "a partial in the last line": (
        "import functools\ndef times(y, x): return round(x * y, 2)\nfunctools.partial(times, 1.19)"
    ),
    "an assigned lambda": "gross = lambda x: round(x * 1.19, 2)",
    "a definition in a branch": (
        "try:\n    import pandas\n    def gross(x): return pandas.round(x)\n"
        "except ImportError:\n    def gross(x): return round(x * 1.19, 2)"
    ),
    "defined twice": f"def gross(x): return x\n{GROSS}",
    "indented in SQL": (
        "\n        def gross(x):\n            return rate(x)\n        def rate(x):\n"
        "            return round(x * 1.19, 2)\n    "
    ),
}


@pytest.fixture(scope="module")
def opened():
    with duckdb.connect() as con, wasi_udf.Sandbox().install(con) as sandbox:
        yield con, sandbox


@pytest.mark.parametrize("code", MEANT.values(), ids=MEANT)
def test_the_main_function_is_meant_inline_and_named(opened, code):
    con, sandbox = opened
    assert con.execute("SELECT py_udf_double($1, 10.0::DOUBLE)", [code]).fetchall() == [(11.9,)]
    sandbox.create_function(con, "anything", code, return_type="DOUBLE")
    assert con.execute("SELECT anything(10.0::DOUBLE)").fetchall() == [(11.9,)]
    con.remove_function("anything")


TWO = "def gross(x): return 1\ndef net(x): return 2\n"


def test_the_sql_name_or_entry_decides(con, sandbox):
    for name, expected in (("gross", 1), ("NET", 2)):
        sandbox.create_function(con, name, TWO, return_type="BIGINT")
        assert con.execute(f"SELECT {name}(0)").fetchall() == [(expected,)]
    sandbox.create_function(con, "a", TWO + "print(gross(1))", return_type="BIGINT", entry="net")
    con.execute("SELECT py_create_function('b', $1, {'return_type': 'BIGINT', 'entry': 'net', 'persist': true})", [TWO])
    assert con.execute("SELECT a(0), b(0)").fetchall() == [(2, 2)]
    with wasi_udf.Sandbox() as other:
        con.remove_function("a")
        other.create_function(con, "a", TWO, return_type="BIGINT", entry="gross")
        assert con.execute("SELECT a(0)").fetchall() == [(1,)]


def test_the_sql_name_means_a_partial_and_an_import(con, sandbox):
    code = "import functools\ndef times(y, x): return x * y\ndouble = functools.partial(times, 2)"
    sandbox.create_function(con, "double", code, return_type="BIGINT")
    sandbox.create_function(con, "isqrt", "from math import isqrt", ["BIGINT"], "BIGINT")
    sandbox.create_aggregate_function(
        con, "fmean", "from statistics import fmean\ndef f(xs): return -fmean(xs)", ["BIGINT"], "DOUBLE"
    )
    sandbox.create_function(con, "rate", "rate = 2\ndef f(x): return x * rate", return_type="BIGINT")
    query = "SELECT double(3), isqrt(37), fmean(list(x)), rate(4) FROM range(3) t(x)"
    assert con.execute(query).fetchall() == [(6, 6, -1.0, 8)]


def test_aggregates_and_tables_choose_as_well(con, sandbox):
    code = "class Sum:\n    def __init__(self): self.n = State()\n    def step(self, x): self.n.add(x)\n"
    code += "    def finish(self): return self.n.n\n"
    code += "class State:\n    n = 0\n    def add(self, x): self.n += x\nclass Unused: pass"
    assert con.execute("SELECT py_agg($1, list(x)) FROM range(5) t(x)", [code]).fetchall() == [(10,)]
    sandbox.create_aggregate_function(con, "total", code + "\ndef other(xs): return 0", entry="Sum")
    assert con.execute("SELECT total(list(x)) FROM range(5) t(x)").fetchall() == [(10,)]
    code = "def rows(n: int):\n    for i in range(n): yield one(i)\ndef one(i): return {'i': i}\n"
    code += "def schema(n): return {'i': 'BIGINT'}"
    assert con.execute("FROM py_table($1, args := {'n': 2})", [code]).fetchall() == [(0,), (1,)]
    sandbox.create_table_function(con, "two", code + "\ndef zero(): yield 0", entry="rows")
    assert con.execute("FROM two(2)").fetchall() == [(0,), (1,)]
    code = "class Twice:\n    def process(self, x): yield twice(x)\ndef twice(x): return {'y': 2 * x}\nprint(twice(2))"
    assert con.execute("FROM py_map_batches($1, 'SELECT 4')", [code]).fetchall() == [(8,)]


def test_an_example_runs_in_the_first_instance_only(con):
    printed = []
    with wasi_udf.Sandbox(output=printed.append, isolation="batch").install(con):
        code = "def f(x): return x\nprint(f('example'))"
        for _ in range(3):
            con.execute("SELECT py_udf($1, i) FROM range(3) t(i)", [code]).fetchall()
    assert printed == ["example"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            TWO,
            "several functions that don't use each other: gross, net; write the name of the one",
        ),
        (TWO + "print(gross(1))", "several functions that don't use each other: gross, net"),
        ("def a(x): return b(x)\ndef b(x): return a(x)", "several functions that don't use each other: a, b"),
        ("x = 1", "the code defines no function"),
        ("print('hello')", "the code is None, not a function"),
        ("if False:\n    def f(x): return x", "the code defines no 'f'"),
        ("", "the code defines no function"),
    ],
)
def test_what_stays_unclear_is_an_error_with_the_candidates(failing, code, message):
    assert message in str(failing("SELECT py_udf($1, 1)", [code], error=wasi_udf.GuestError))


def test_entry_has_to_be_there_and_needs_source_text(con, sandbox):
    with pytest.raises(wasi_udf.GuestError, match="the code defines no 'tax'; it defines: gross, net"):
        sandbox.create_function(con, "f", TWO, entry="tax")
    with pytest.raises(wasi_udf.SignatureError, match="entry='tax' names a function in source text"):
        sandbox.create_function(con, "f", lambda x: x, entry="tax")
    assert con.execute("SELECT py_udf('lambda x: x', 1)").fetchall() == [(1,)]


FUNCTION = "def f(x):\n    return x"
PASTED = {
    f"```python\n{FUNCTION}\n```": "Markdown fences (line 1: '```python')",
    f"~~~\n{FUNCTION}\n~~~": "Markdown fences (line 1: '~~~')",
    f"Sure! Here it is:\n\n```\n{FUNCTION}\n```\nEnjoy!": "Markdown fences (line 3: '```')",
    "`lambda x: x`": "Markdown fences (`...`)",
    f"Here is the function you asked for:\n\n{FUNCTION}": "line 1 is no Python: 'Here is the function you asked for:'",
    f"{FUNCTION}\n\nThis function returns its argument.": "line 4 is no Python: 'This function returns its argument.'",
    f"Der Übersicht halber:\n{FUNCTION}\nViel Spaß damit!": "line 1 is no Python: 'Der Übersicht halber:'",
}


@pytest.mark.parametrize("code", PASTED)
def test_pasted_text_is_named(failing, code):
    error = failing("SELECT py_udf($1, 1)", [code], error=wasi_udf.GuestError)
    assert error.type_name == "SyntaxError"
    assert PASTED[code] in str(error)


@pytest.mark.parametrize(
    "code",
    [
        "def f(x) return x",
        "def f(x):\n  return (x",
        "def f(x):\nreturn x",
        "import x y\ndef f(x): pass",
        "R = = 1\ndef f(x): pass",
    ],
)
def test_other_mistakes_of_syntax_are_pythons_own(failing, code):
    with pytest.raises(SyntaxError) as expected:
        compile(code, "<py_udf>", "exec")
    error = failing("SELECT py_udf($1, 1)", [code], error=wasi_udf.GuestError)
    assert f"line {expected.value.lineno}" in str(error)
    assert "is no Python" not in str(error)


def test_fences_in_a_docstring_are_code(con, sandbox):
    code = 'def f(x):\n    """Return x.\n\n    ```\n    f(1)\n    ```\n    """\n    return x'
    assert con.execute("SELECT py_udf($1, 1)", [code]).fetchall() == [(1,)]


def test_stored_entries_come_back(tmp_path):
    path = str(tmp_path / "stored.duckdb")
    for _ in range(2):
        with duckdb.connect(path) as con, wasi_udf.Sandbox().install(con):
            options = "{'return_type': 'BIGINT', 'entry': 'net', 'persist': true, 'replace': true}"
            if not _:
                con.execute(f"SELECT py_create_function('b', $1, {options})", [TWO])
            assert con.execute("SELECT b(0)").fetchall() == [(2,)]
