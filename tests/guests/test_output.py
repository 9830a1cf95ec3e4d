"""Where what functions print goes: also an IPython session."""

import io
import logging
import subprocess
import sys

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

CHATTY = "def chatty(x):\n    print('got', x)\n    return x"


def run(output, code=CHATTY, rows=2):
    with duckdb.connect(config={"threads": 1}) as con, wasi_udf.Sandbox(output=output).install(con):
        con.execute("SELECT py_udf_bigint($1, i) FROM range($2) t(i)", [code, rows]).fetchall()


def test_a_callable_gets_what_a_batch_prints(caplog):
    texts = []
    with caplog.at_level(logging.INFO):
        run(texts.append)
    assert texts == ["got 0\ngot 1"]
    assert caplog.records == []


def test_a_file_gets_the_lines():
    file = io.StringIO()
    run(file)
    assert file.getvalue() == "got 0\ngot 1\n"


def test_print_and_stdout_show_it(capsys):
    run(print)
    run(sys.stdout)
    assert capsys.readouterr().out == "got 0\ngot 1\n" * 2


def test_control_characters_are_escaped_wherever_it_goes():
    texts = []
    run(texts.append, "def f(x):\n    print('\\x1b[31mred\\r')\n    return x", rows=1)
    assert texts == ["\\x1b[31mred\\r"]


def test_an_output_that_raises_fails_no_query(caplog):
    def full(text):
        raise OSError("the disk is full")

    run(full)
    assert "the disk is full" in caplog.text


@pytest.mark.parametrize("output", [1, "stdout"])
def test_output_is_a_callable_or_a_file(output):
    with pytest.raises(TypeError, match=r"output is a callable such as print, a text file such as sys\.stdout"):
        wasi_udf.Sandbox(output=output)


def test_an_error_has_the_last_lines(failing):
    error = failing("SELECT py_udf($1, 0)", ["def f(x):\n    print('x is', x)\n    return 1 // x"])
    assert error.output == "x is 0\n"
    error = failing("SELECT py_udf($1, 0)", ["def f(x):\n    print('ä\\x1b' * 100_000, 'end')\n    return 1 // x"])
    assert len(error.output) == 8000
    assert error.output.endswith(" end\n")
    assert "\x1b" not in error.output


def test_a_crash_and_a_timeout_have_them_too(con):
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.1)
    with wasi_udf.Sandbox(limits=limits).install(con):
        for end in ("while True: pass", "import os; os.abort()"):
            with pytest.raises(duckdb.InvalidInputException) as raised:
                con.execute("SELECT py_udf($1, 0)", [f"def f(x):\n    print('now')\n    {end}"])
            assert wasi_udf.error_of(raised.value).output == "now\n"


IPYTHON = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell('''
import duckdb, duckdb_wasi_udf as wasi_udf
con = duckdb.connect()
sandbox = wasi_udf.install(con)
rows = con.execute("SELECT py_udf_bigint('def f(x): print(7 * x); return x', 6)").fetchall()
''', silent=True).raise_error()
"""


def test_in_ipython_it_shows_by_default():
    pytest.importorskip("IPython", reason="IPython is not installed")
    done = subprocess.run([sys.executable, "-c", IPYTHON], check=True, capture_output=True, text=True)
    assert "42\n" in done.stdout
