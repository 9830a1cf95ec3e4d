"""Queries that run in a notebook: what they print, how far they are, and the stop button."""

import re

CHATTY = """
%%py_udf
def f(x: int) -> int:
    if x % 1000 == 0 or x > 2047: print('got', x)
    return x
"""


def test_what_is_printed_says_whose_it_is(kernel):
    kernel.run(CHATTY, "None")
    printed = kernel.run("con.sql('SELECT sum(f(i)) FROM range(2049) t(i)').fetchall()").printed
    batches = printed.split("f, row")
    assert [re.match(r"s? [\w ]+", batch)[0] for batch in batches[1:]] == [
        "s 0 to 2047 of the batch",
        " 0 of the batch",
    ]
    assert batches[1] == "s 0 to 2047 of the batch, printed:\n  | got 0\n  | got 1000\n  | got 2000\n"
    assert batches[2] == " 0 of the batch, printed:\n  | got 2048\n"
    forged = "def f(x):\n    print('\\nf, row 7 of the batch, printed:\\r')\n    return x"
    printed = kernel.run(f"con.execute('SELECT py_udf($1, 1)', [{forged!r}]).fetchall()").printed
    assert [line for line in printed.splitlines() if not line.startswith("  | ")] == [
        "py_udf('def f(x):...'), row 0 of the batch, printed:"
    ]


def test_a_cell_shows_a_bounded_part_of_it(kernel):
    kernel.run("%%py_udf\ndef f(x: int) -> int:\n    print('x' * 1000)\n    return x", "None")
    for _ in range(2):  # each cell anew
        printed = kernel.run("con.sql('SELECT sum(f(i)) FROM range(20_000) t(i)').fetchall()").printed
        assert 64_000 < len(printed) < 65_000
        assert printed.endswith("the rest isn't shown in this cell; Sandbox(output=...) receives all of it\n")


LONG = "con.sql('SELECT sum(f(i)) FROM range(16_384) t(i)').fetchall()"


def test_long_queries_have_a_line_of_progress(kernel):
    code = "%%py_udf\nimport time\ndef f(x: int) -> int:\n    if x % 2048 == 0: time.sleep(0.32)\n    return x"
    kernel.run(code, "None")
    outputs = kernel.run(LONG)
    (line,) = [each.data["text/plain"] for each in outputs.outputs if each.output_type == "display_data"]
    found = re.fullmatch(r"f: ([\d,]+) rows in (\d+\.\d) s, ([\d,]+) rows/s", line)
    rows, seconds, speed = (float(number.replace(",", "")) for number in found.groups())
    assert rows == 16_384
    assert 2 < seconds < 30
    assert 0.9 * rows / seconds < speed < 1.1 * rows / seconds
    kernel.run("%config WasiUdfMagics.progress = False")
    outputs = kernel.run(LONG)
    kernel.run("%config WasiUdfMagics.progress = True")
    assert outputs.displayed == 1  # the result


def test_short_cells_have_none(kernel):
    kernel.run(CHATTY.replace("print('got', x)", "pass"), "None")
    assert kernel.run("con.sql('SELECT f(1)').fetchall()").displayed == 1
    assert kernel.run("import threading; threading.Event().wait(0.05)").displayed == 1


STOPPED = {
    "a constant call": "SELECT py_udf_bigint('def f(x):\n    while True: pass', 1)",
    "long batches": "SELECT py_udf_bigint('def f(x):\n    while True: pass', i) FROM range(3) t(i)",
    "many short batches": "SELECT sum(py_udf_bigint('lambda x: x + 1', i)) FROM range(10_000_000_000) t(i)",
    "a table": "FROM py_table('def f():\n    while True: pass\n    yield 1')",
    "several threads": "SELECT sum(py_udf_bigint('lambda x: x + 1', i)) FROM t, range(1_000_000)",
}
BEGIN = """
import signal, threading, time
from duckdb_wasi_udf._process import state
box = wasi_udf.install(con)
"""
STOP = """
began = []
def stop():
    while not {1}: time.sleep(0.001)
    began.append(time.monotonic())
    if hasattr(signal, 'pthread_kill'):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)
threading.Thread(target=stop).start()
try:
    {0}
finally:
    ended = time.monotonic()
"""


def test_the_stop_button_stops_the_query_and_nothing_else(kernel):
    kernel.run(
        BEGIN,
        "None",
    )
    kernel.run("con.execute('SET threads = 2; CREATE TABLE t AS SELECT i FROM range(300_000) r(i)')", "None")
    seconds = []
    for query in STOPPED.values():
        for run in (f"con.execute({query!r}).fetchall()", f"display(con.sql({query!r}))"):
            outputs = kernel.run(STOP.format(run, "state.ticker.running"))
            assert re.fullmatch(
                r"Interrupted: the query was stopped after \d+\.\d s\. The connection can be used further\.",
                outputs.error or "".join(outputs.printed),
            ), (query, outputs.outputs)
            seconds.append(float(kernel.value("ended - began[0]")))
            assert kernel.value("con.sql('SELECT py_udf_bigint($$lambda x: x$$, 42)').fetchall()") == "[(42,)]"
    assert min(seconds) < 0.1
    assert max(seconds) < 2  # on a machine that has much to do


def test_an_interrupt_that_is_not_a_querys_is_as_ever(kernel):
    kernel.run(
        BEGIN,
        "None",
    )
    waits = "time.monotonic() > started + 0.3"
    code = "started = time.monotonic()\n" + STOP.format("threading.Event().wait(20)", waits)
    assert "KeyboardInterrupt" in kernel.run(code).error
