"""`%%py_udf` and `%py_functions` in a kernel."""

GROSS = """
%%py_udf
def gross(net: float, country: str) -> float:
    return round(net * (1 + vat(country)), 2)
"""


def test_a_cell_registers_its_function_with_what_it_uses(kernel):
    cells = ["VAT = {'DE': 0.19}", "import math", "def vat(country): return math.fabs(VAT[country])"]
    assert kernel.run(*cells, GROSS).printed == "gross(net DOUBLE, country VARCHAR) -> DOUBLE\n"
    assert kernel.value("con.sql(\"SELECT gross(100, 'DE'), gross(NULL, 'DE')\").fetchall()") == "[(119.0, None)]"
    kernel.run("VAT = {'DE': 1}", GROSS)
    assert kernel.value("con.cursor().execute(\"SELECT gross(100, 'DE')\").fetchall()") == "[(200.0,)]"
    kernel.run(GROSS.replace("def gross", "def GROSS").replace("1 + vat(country)", "0"))
    assert kernel.value("con.sql(\"SELECT gross(100, 'DE')\").fetchall()") == "[(0.0,)]"
    assert kernel.value("len(con.sql('FROM py_functions()').fetchall())") == "1"


CELLS = {
    "a helper and a class of the same cell": (
        (
            "%%py_udf\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: float\n"
            "def made(x: float) -> P: return P(twice(x))\ndef twice(x): return 2 * x"
        ),
        "SELECT made(2)",
        [({"x": 4.0},)],
    ),
    "one of several": ("%%py_udf b\ndef a(x): return 1\ndef b(x: int) -> int: return 2", "SELECT b(0)", [(2,)]),
    "another name": ("%%py_udf plus\ndef f(x: int) -> int: return x + 1", "SELECT plus(1)", [(2,)]),
    "a lambda": ("%%py_udf inc --parameters BIGINT --returns BIGINT\nlambda x: x + 1", "SELECT inc(1)", [(2,)]),
    "an assigned lambda": ("%%py_udf\ninc = lambda x: x + 1", "SELECT inc(1)", [(2,)]),
    "a partial": (
        "%%py_udf double\nimport functools, operator\ndouble = functools.partial(operator.mul, 2)",
        "SELECT double(4)",
        [(8,)],
    ),
    "a callable object": (
        (
            "%%py_udf add5\nclass Adder:\n    def __init__(self, n): self.n = n\n"
            "    def __call__(self, x: int) -> int: return x + self.n\nadd5 = Adder(5)"
        ),
        "SELECT add5(1)",
        [(6,)],
    ),
    "an isolated lambda": ("%%py_udf --isolated inc --returns BIGINT\nlambda x: x + 1", "SELECT inc(1)", [(2,)]),
    "a name in quotes": ("%%py_udf 'my func'\ndef f(x: int) -> int: return x", 'SELECT "my func"(1)', [(1,)]),
    "an indented cell": ("%%py_udf\n    def f(x: int) -> int:\n        return x", "SELECT f(8)", [(8,)]),
    "a table": ("%%py_udf\ndef rows(n: int):\n    yield from range(n)", "FROM rows(2)", [(0,), (1,)]),
    "an annotated table": (
        (
            "%%py_udf\nfrom typing import Iterator\ndef rows(n: int) -> Iterator[tuple[int, str]]:\n"
            "    return ((i, 'ä' * i) for i in range(n))"
        ),
        "FROM rows(2)",
        [(0, ""), (1, "ä")],
    ),
    "a table with a schema": (
        "%%py_udf --kind table --returns 'STRUCT(a DECIMAL(10,2), b VARCHAR)'\ndef rows(): return [(1, 'x')]",
        "SELECT a::VARCHAR, b FROM rows()",
        [("1.00", "x")],
    ),
    "an aggregate": (
        (
            "%%py_udf\nclass total:\n    def __init__(self): self.sum = 0\n    def step(self, x: int): self.sum += x\n"
            "    def finish(self) -> int: return self.sum"
        ),
        "SELECT total(list(i)) FROM range(2049) t(i)",
        [(2048 * 2049 // 2,)],
    ),
    "an aggregate function": (
        "%%py_udf --kind aggregate\ndef total(xs: list[int]) -> int: return sum(xs)",
        "SELECT total(list(i)) FROM range(5) t(i)",
        [(10,)],
    ),
    "columns": (
        (
            "%%py_udf\nfrom typing import Iterator\nfrom duckdb_wasi_udf import Column\n"
            "def twice(xs: Column[int]) -> list[int]: return [2 * x for x in xs]"
        ),
        "SELECT sum(twice(i))::BIGINT FROM range(2049) t(i)",
        [(2048 * 2049,)],
    ),
    "NULLs": (
        "%%py_udf --null-handling special\ndef f(x: int) -> int: return 0 if x is None else x",
        "SELECT f(NULL)",
        [(0,)],
    ),
    "exceptions": (
        "%%py_udf --exception-handling return_null\ndef f(x: int) -> int: return 1 // x",
        "SELECT f(x) FROM (VALUES (0), (1)) t(x)",
        [(None,), (1,)],
    ),
    "a magic inside": (
        "%%py_udf\nfiles = !echo 7\ndef f(x: int) -> int: return x + int(files[0])",
        "SELECT f(1)",
        [(8,)],
    ),
    "async": ("%%py_udf\nasync def f(x: int) -> int: return x", "SELECT f(1)", [(1,)]),
}


def test_cells_of_all_kinds(kernel):
    for name, (cell, query, expected) in CELLS.items():
        kernel.run("con = duckdb.connect()", cell)
        assert kernel.value(f"con.execute({query!r}).fetchall() == {expected!r} or con.sql({query!r})") == "True", name


def test_an_isolated_cell_runs_in_the_sandbox_only(kernel):
    code = "%%py_udf --isolated\nimport sys\nran = sys.platform\ndef place(x: int) -> str: return ran"
    assert kernel.run("RATE = 3", code).printed == "place(x BIGINT) -> VARCHAR\n"
    assert kernel.value("con.sql('SELECT place(1)').fetchall()") == "[('wasi',)]"
    assert kernel.value("'place' in globals() or 'ran' in globals()") == "False"
    kernel.run("%%py_udf --isolated\ndef rate(x: int) -> int: return RATE")
    assert "NameError: name 'RATE' is not defined" in kernel.run("con.sql('SELECT rate(1)').fetchall()").error
    kernel.run("%%py_udf --isolated\ndef rows(n: int): yield from range(n)")
    assert kernel.value("con.sql('FROM rows(1)').fetchall()") == "[(0,)]"


def test_a_line_registers_what_is_defined(kernel):
    assert kernel.run("def f(x: int) -> int: return x + 1", "%py_udf f").printed == "f(x BIGINT) -> BIGINT\n"
    assert kernel.value("con.sql('SELECT f(1)').fetchall()") == "[(2,)]"


DEF = "\ndef f(x: int) -> int: return x"
WRONG = {
    "%%py_udf\nx = 1": "the cell defines no function; write a def, a class or a lambda",
    "%%py_udf\n# nothing": "the cell defines no function",
    "%%py_udf\ndef a(): pass\ndef b(): pass": "a, b; write the name of the one that is meant after %%py_udf",
    "%%py_udf\nlambda x: x": "a lambda has no name; write one after %%py_udf",
    "%%py_udf\nx = 1\ndef f(: pass": "line 3 of the cell: SyntaxError: ",
    "%%py_udf --isolated\n```python\ndef f(x): return x\n```": "the code is inside Markdown fences (line 2",
    f"%%py_udf --nope{DEF}": "--nope",
    f"%%py_udf --kind window{DEF}": "window",
    f"%%py_udf --con gone{DEF}": "--con gone: there is no variable gone; variables with connections: con",
    f"%%py_udf --con duckdb_{DEF}": "there is no variable duckdb_",
    f"%%py_udf --sandbox con{DEF}": "--sandbox con: the variable con is no sandbox; variables with",
    f"%%py_udf --sandbox gone{DEF}": "the variable gone is not defined",
    f"%%py_udf --kind table --side-effects{DEF}": "--side-effects: not for a table function; leave it out",
    f"%%py_udf --kind aggregate --type arrow{DEF}": "--type: not for an aggregate; leave it out",
    "%py_udf": "write the name of a function that is defined, as in %py_udf gross",
    "%py_udf gone": "gone is not defined",
    "%py_udf con": "con is a DuckDBPyConnection, which can't be called",
    "%py_functions --con gone": "there is no variable gone",
    "%py_functions more": "more",
}


def test_bad_input_is_one_sentence_and_harms_nothing(kernel):
    for cell, expected in WRONG.items():
        outputs = kernel.run(cell)
        assert expected in outputs.printed, cell
        assert outputs.printed.count("\n") <= 1 + ("usage" in outputs.printed) * 10, cell
        assert outputs.error is None, cell
    assert kernel.value("con.sql('SELECT 42').fetchall()") == "[(42,)]"


def test_errors_of_registration_have_the_cells_line_only(kernel):
    error = kernel.run("%%py_udf\ndef f(x: complex) -> int: return 1").error
    assert "SignatureError" in error
    assert "complex" in error
    assert len(error.splitlines()) <= 8
    error = kernel.run("import threading\nlock = threading.Lock()", "%%py_udf\ndef f(x: int): return lock").error
    assert "lock" in error
    assert len(error.splitlines()) <= 8
    assert "ZeroDivisionError" in kernel.run("%%py_udf\ndef f(x): pass\n1 / 0").error


def test_the_connection_is_found(kernel):
    register = "%%py_udf\ndef f(x: int) -> int: return x + {}"
    call = "{}.execute('SELECT f(1)').fetchall()"
    kernel.run("first = second = con; del con", register.format(1))
    assert kernel.value(call.format("first")) == "[(2,)]"
    kernel.run("third = duckdb.connect()")
    assert "several connections; pass --con with one of: first, second, third" in kernel.run(register.format(1)).printed
    kernel.run(register.format(2).replace("py_udf", "py_udf --con third"))
    assert kernel.value(call.format("third")) == "[(3,)]"
    kernel.run("conn = duckdb.connect()", register.format(3))
    assert kernel.value(call.format("conn")) == "[(4,)]"
    kernel.run("con = duckdb", register.format(4))  # no connection: `conn` is
    assert kernel.value(call.format("conn")) == "[(5,)]"
    kernel.run("conn.close()")
    assert "the connection conn is closed" in kernel.run(register.format(1)).printed
    kernel.run("del conn, first, second, third, con", register.format(6))
    assert kernel.value(call.format("duckdb")) == "[(7,)]"


def test_the_sandbox_is_found(kernel):
    kernel.run("sandbox = wasi_udf.Sandbox()", "%%py_udf" + DEF)
    assert kernel.value("len(sandbox._registry.functions)") == "1"
    kernel.run("other = wasi_udf.Sandbox()", "%%py_udf g --sandbox other" + DEF)
    assert kernel.value("list(other._registry.functions)") == "['g']"
    kernel.run("installed = wasi_udf.install(con)", "%%py_udf h" + DEF)
    assert kernel.value("list(installed._registry.functions)") == "['h']"
    kernel.run("installed.close(); sandbox.close()", "%%py_udf h" + DEF)
    assert kernel.value("con.sql('SELECT h(1)').fetchall()") == "[(1,)]"


def test_functions_are_listed(kernel):
    assert kernel.run("%py_functions").data("text/plain") == "no functions yet"
    kernel.run("%%py_udf" + DEF, "con.sql('SELECT f(i) FROM range(2049) t(i)').fetchall()")
    kernel.run("con.execute('SELECT py_udf($1, 1)', ['lambda x: \"<b>\"']).fetchall()", "None")
    outputs = kernel.run("%py_functions")
    assert [line.split()[:2] for line in outputs.data("text/plain").splitlines()[1:]] == [
        ["f", "scalar"],
        ["inline:", "py_udf('lambda"],
    ]
    assert "2,049" in outputs.data("text/plain")
    assert "&lt;b&gt;" in outputs.data("text/html")
    assert "<b>" not in outputs.data("text/html")


COMPLETED = {
    "%%py_udf --nu": "--null-handling",
    "%%py_udf --kind ": "table",
    "%%py_udf --con ": "con",
    "%%py_udf --sandbox ": "box",
    "%%py_udf reg": "registered",
    "%py_udf hel": "helper",
    "%py_functions --c": "--con",
}


def test_names_and_options_are_completed(kernel):
    kernel.run("box = wasi_udf.install(con)\ndef helper(x): return x", "%%py_udf registered" + DEF)
    for line, expected in COMPLETED.items():
        found = kernel.value(f"get_ipython().complete(line={line!r}, text={line.split(' ')[-1]!r})[1]")
        assert repr(expected) in found, line


def test_unloading_takes_everything_away(kernel):
    kernel.run("%unload_ext duckdb_wasi_udf")
    assert "UsageError" in kernel.run("%%py_udf" + DEF).printed
    assert kernel.value("get_ipython().custom_exceptions") == "()"
    kernel.run("%load_ext duckdb_wasi_udf", "%reload_ext duckdb_wasi_udf", "%%py_udf" + DEF, "None")
