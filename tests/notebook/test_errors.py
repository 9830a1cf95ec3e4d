"""What a notebook shows when something goes wrong."""

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from tests.support.markup import text_of

FAILING = """
%%py_udf
def f(x: int) -> int:
    y = x + 1
    return 1 // (y - 1)
"""
QUERY = "con.sql('SELECT f(i) FROM range(3) t(i)')"


def test_an_error_is_shown_once_with_line_and_arguments(kernel):
    kernel.run(FAILING, "None")
    for cell in (QUERY, f"{QUERY}.fetchall()"):
        outputs = kernel.run(cell)
        assert outputs.displayed == 1
        text = text_of(outputs.data("text/html"))
        assert "GuestError: f: ZeroDivisionError: " in text
        assert "line 3, in f" in text
        assert ">1 // (y - 1)</span>" in outputs.data("text/html")
        assert "<code>0</code>" in outputs.data("text/html")
        assert 'File "<f>", line 3, in f' in outputs.data("text/plain")
        assert "GuestError: f: ZeroDivisionError: " in outputs.error
        assert "duckdb_wasi_udf/" not in outputs.error.replace("\\", "/")
        assert len(outputs.error.splitlines()) <= 6
    assert "----> 1 con.sql" in outputs.error
    assert kernel.value("type(__import__('sys').last_value).__name__") == "'InvalidInputException'"
    assert kernel.value("con.sql('SELECT f(5)').fetchall()") == "[(0,)]"


def test_errors_that_are_not_ours_stay_as_they_are(kernel):
    kernel.run("wasi_udf.install(con)", "None")
    assert "ZeroDivisionError" in kernel.run("1 / 0").error
    outputs = kernel.run("con.sql('SELECT gone')")
    assert "BinderException" in outputs.error
    assert outputs.displayed == 0
    outputs = kernel.run("con.sql(\"SELECT ('a' || i)::DATE FROM range(3) t(i)\")")
    assert "ConversionException" in outputs.error
    assert outputs.displayed == 0


def test_short_errors_can_be_switched_off(kernel):
    kernel.run(FAILING, "%config WasiUdfMagics.short_errors = False")
    outputs = kernel.run(QUERY)
    kernel.run("%config WasiUdfMagics.short_errors = True")
    assert "InvalidInputException" in outputs.error
    assert outputs.displayed == 0


def test_a_relation_is_run_once_to_be_shown(kernel):
    kernel.run(
        "@wasi_udf.host_function\ndef count(x: int) -> int:\n    calls.append(x)\n    return x",
        "calls = []\nbox = wasi_udf.Sandbox(host_functions=[count]).install(con)",
        "%%py_udf --isolated\nimport host\ndef f(x: int) -> int: return host.count(x)",
        "None",
    )
    outputs = kernel.run("con.sql('SELECT f(i) FROM range(3) t(i)')")
    assert "<table" in outputs.data("text/html")
    assert "int64" in outputs.data("text/plain")
    assert kernel.value("calls") == "[0, 1, 2]"


ATTACKS = {
    "message": "def f(x): raise ValueError({0!r})",
    "class": "def f(x): raise type({0!r}, (Exception,), {{}})",
    "argument": "def f(x): return 1 // 0",
    "printed": "def f(x):\n    print({0!r})\n    return 1 // 0",
    "source": "def f(x): return 1 // 0  # {0}",
    "note": "def f(x):\n    e = ValueError('x')\n    e.add_note({0!r})\n    raise e",
    "group": "def f(x): raise ExceptionGroup({0!r}, [ValueError({0!r})])",
    "frame": "exec(compile('def g(x):\\n    return 1 // 0', {0!r}, 'exec'))\ndef f(x): return g(x)",
    "value": "def f(x): return {{'a': {0!r}, 'b': object()}}",
}
HTML = "</pre></div><img src=x onerror=alert(1)><script>alert(2)</script><!--\x1b]8;;http://x\x07\x1b[2J\u202e"


@pytest.mark.parametrize("name", ATTACKS)
def test_a_guest_can_not_write_html_or_to_a_terminal(name, con, sandbox):
    code = ATTACKS[name].format(HTML)
    with pytest.raises(duckdb.InvalidInputException) as raised:
        con.execute("SELECT py_udf($1, $2)", [code, HTML]).fetchall()
    error = wasi_udf.error_of(raised.value)
    made = [error._repr_html_(), sandbox._repr_html_()]
    for html in made:
        assert "<script" not in html
        assert "<img" not in html
        text_of(html)
    for text in (*made, str(error), repr(sandbox), str(sandbox)):
        assert not any(char in text for char in "\x1b\x07\u202e")


def test_what_a_notebook_shows_of_an_attack_is_text(kernel):
    cell = f"con.execute('SELECT py_udf($1, 1)', [{ATTACKS['printed'].format(HTML)!r}]).fetchall()"
    kernel.run("wasi_udf.install(con)", "None")
    outputs = kernel.run(cell)
    text_of(outputs.data("text/html"))
    assert "\\x1b]8" in outputs.printed
    for text in (outputs.data("text/html"), outputs.data("text/plain"), outputs.printed, outputs.error):
        assert not any(char in text for char in "\x1b\x07\u202e")
        assert "<img" not in outputs.data("text/html")
