"""What functions find around them: streams, names, builtins, the frame that calls them."""

import inspect
import json

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def sandbox(con):
    """One for all tests of this module, which leave nothing behind."""
    limits = wasi_udf.ResourceLimits(timeout_seconds=30.0)
    with wasi_udf.Sandbox(limits=limits).install(con) as installed:
        yield installed


@pytest.fixture
def evaluate(con, sandbox):
    """The result of a function of one argument, as text."""
    return lambda code: con.execute("SELECT py_udf_varchar($1, 1)", [code]).fetchall()[0][0]


def test_standard_streams_are_no_terminals(evaluate):
    code = "import sys, _colorize\nlambda x: repr([each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr)] + "
    assert evaluate(code + "[sys.__stdout__.isatty(), _colorize.can_colorize()])") == repr([False] * 5)


def test_colours_do_not_reach_the_log(evaluate, caplog):
    caplog.set_level("INFO", "duckdb_wasi_udf.guest")
    code = "import sys\ndef f(x):\n    try: 1 / 0\n    except Exception: sys.excepthook(*sys.exc_info())\n"
    code += "    return 'done'"
    assert evaluate(code) == "done"
    assert "ZeroDivisionError" in caplog.text
    assert "x1b" not in caplog.text


def test_output_appears_though_the_streams_are_no_terminals(evaluate, caplog):
    caplog.set_level("INFO", "duckdb_wasi_udf.guest")
    assert evaluate("import sys\nlambda x: str(print('seen', end='') or sys.stderr.write('too'))") == "3"
    assert "seentoo" in caplog.text


@pytest.mark.parametrize("name", ["exit", "quit", "copyright", "credits", "license", "help"])
def test_builtins_of_site_are_there(evaluate, name):
    assert evaluate(f"import builtins\nlambda x: str(callable({name}) and builtins.{name} is {name})") == "True"
    assert evaluate(f"lambda x: repr({name})")


def test_the_copyright_can_be_printed(evaluate):
    assert "Python Software Foundation" in evaluate("import io, contextlib\ndef f(x):\n    out = io.StringIO()\n"
        "    with contextlib.redirect_stdout(out): copyright()\n    return out.getvalue()")  # fmt: skip


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("lambda x: exit()", "SystemExit: None"),
        ("lambda x: quit(3)", "SystemExit: 3"),
        ("import sys\nlambda x: sys.exit('bye')", "SystemExit: bye"),
        ("def f(x): raise SystemExit", "SystemExit"),
        ("import sys\nsys.exit(1)\nlambda x: x", "SystemExit: 1"),
        ("class E(SystemExit): pass\ndef f(x): raise E(2)", "E: 2"),
    ],
)
def test_leaving_is_an_error_of_the_function(failing, code, message):
    error = failing("SELECT py_udf($1, 1)", [code], error=wasi_udf.GuestError)
    assert message in str(error)
    assert "can't end the process: return a value" in error.guest_traceback


def test_standard_input_survives_a_caught_exit(evaluate):
    code = "import sys\ndef f(x):\n    try: exit()\n    except SystemExit: return repr(sys.stdin.read())"
    assert evaluate(code) == "''"


def test_sys_path_names_the_folders_of_modules(evaluate):
    assert json.loads(evaluate("import json, sys\nlambda x: json.dumps(sys.path)"))[0] == "/stdlib"
    code = "import sys\ndef f(x):\n    sys.path.insert(0, '/none')\n    import wave\n    return wave.__name__"
    assert evaluate(code) == "wave"


CALLERS = {
    "rows": ("SELECT py_udf_varchar($1, x) FROM range(3) t(x)", "def f(x): return {}"),
    "no arguments": ("SELECT py_udf_varchar($1)", "def f(): return {}"),
    "columns": ("SELECT py_udf_varchar($1, 1)", "from duckdb_wasi_udf import Column\ndef f(x: Column): return [{}]"),
    "annotated": ("SELECT py_udf_varchar($1, 1)", "import decimal\ndef f(x: 'decimal.Decimal'): return {}"),
    "aggregate": ("SELECT py_agg($1, list(x))::VARCHAR FROM range(3) t(x)", "def f(x): return {}"),
    "table": ("FROM py_table($1, schema := {'a': 'VARCHAR'})", "def f(): return [({},)]"),
    "table by rows": ("FROM py_table($1, schema := {'a': 'VARCHAR'})", "def f():\n    for i in range(3): yield ({},)"),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_the_calling_frame_has_the_name_of_a_module(con, sandbox, caller):
    query, code = CALLERS[caller]
    name = "sys._getframe(1).f_globals['__name__'] in sys.modules and 'named'"
    rows = con.execute(query, ["import sys\n" + code.format(name)]).fetchall()
    assert set(rows) == {("named",)}


@pytest.mark.parametrize(
    "code",
    [
        "import collections\ndef f(x): return collections.namedtuple('P', 'a')(1).__class__.__module__",
        "import enum\ndef f(x): return enum.Enum('E', 'A').__module__",
        "import dataclasses\ndef f(x): return dataclasses.make_dataclass('D', ['a']).__module__",
        "import typing\ndef f(x): return typing.NamedTuple('N', [('a', int)]).__module__",
        "def f(x): return __name__",
    ],
)
def test_classes_made_in_a_function_have_its_module(evaluate, code):
    assert evaluate(code) == "__udf__"


def test_a_warning_is_attributed_to_who_caused_it(evaluate):
    code = """
import sys, warnings
def f(x):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sys.modules.pop("sre_compile", None)
        import sre_compile  # line 7
        warnings.warn("own")  # line 8
    return repr([(each.filename, each.lineno) for each in caught])
"""
    assert evaluate(code) == "[('<py_udf_varchar>', 6), ('<py_udf_varchar>', 7)]"


def test_a_warning_about_the_caller_does_not_fail(evaluate):
    code = "import warnings\ndef f(x):\n    with warnings.catch_warnings(record=True) as caught:\n"
    code += (
        "        warnings.simplefilter('always')\n        warnings.warn('x', stacklevel=2)\n    return str(len(caught))"
    )
    assert evaluate(code) == "1"


def test_open_is_no_method_where_it_is_an_attribute(evaluate):
    code = "import io, json, os\nclass Files:\n    opener = open\n    size = os.stat\n"
    code += "def f(x): return repr((Files().opener(json.__file__).read(4), Files().size(json.__file__).st_size > 9))"
    assert evaluate(code) == '(\'r"""\', True)'


def test_open_looks_like_the_original(evaluate):
    code = "import copy, inspect, io, pickle\nlambda x: repr((open, open.__name__, io.open is open, "
    code += "pickle.loads(pickle.dumps(open)) is open, copy.deepcopy([open])[0] is open, str(inspect.signature(open))))"
    signature = str(inspect.signature(open))
    assert evaluate(code) == f"(<built-in function open>, 'open', True, True, True, {signature!r})"


# ---- the library's own files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("inspect.getsource(json.dumps).splitlines()[0]", inspect.getsource(json.dumps).splitlines()[0]),
        ("inspect.getsource(collections.Counter).splitlines()[0]", "class Counter(dict):"),
        ("linecache.getline(json.__file__, 1)[:4]", 'r"""'),
        ("tokenize.open(json.__file__).readline()[:4]", 'r"""'),
        ("str([m.name for m in pkgutil.iter_modules(json.__path__)])", "['decoder', 'encoder', 'scanner', 'tool']"),
        ("str(sorted(m.name for m in pkgutil.walk_packages(json.__path__, 'json.'))[0])", "json.decoder"),
        ("str({'json', 'asyncio'} <= {m.name for m in pkgutil.iter_modules() if m.ispkg})", "True"),
        ("str([p.name for p in importlib.resources.files('json').glob('s*.py')])", "['scanner.py']"),
        ("importlib.resources.files('json').joinpath('tool.py').read_text()[:2]", 'r"'),
        ("str(os.path.isdir(os.path.dirname(json.__file__)))", "True"),
        ("str(pkgutil.get_data('json', '../json/./tool.py')[:2])", "b'r\"'"),
        ("importlib.util.find_spec('json').loader.get_filename('json')", "/stdlib/json/__init__.py"),
        ("str([name for name in os.listdir(json.__path__[0]) if 'pyc' in name])", "[]"),
    ],
)  # fmt: skip
def test_the_librarys_files_are_there(evaluate, expression, expected):
    imports = "collections, importlib.resources, importlib.util, inspect, json, linecache, os, pkgutil, tokenize"
    assert evaluate(f"import {imports}\nlambda x: {expression}") == expected


def test_tracebacks_show_the_librarys_lines(failing):
    error = failing("SELECT py_udf($1, 1)", ["import json\nlambda x: json.loads('{bad')"])
    assert "    obj, end = self.scan_once(s, idx)\n" in error.guest_traceback
