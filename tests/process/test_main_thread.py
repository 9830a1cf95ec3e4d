"""Following the main thread from another one."""

import subprocess
import sys

LOOKING_WHILE_THREADS_END = """
import gc, threading, time
from duckdb_wasi_udf._process.main_thread import MainThread

done = threading.Event()

def start_and_end():
    while not done.is_set():
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

def look():
    main = MainThread()
    for _ in range(100):
        main.look()
        main.stay()
    done.set()

looking = threading.Thread(target=look, daemon=True)

def let_go_of_the_gil(phase, info):
    if threading.current_thread() is looking:
        time.sleep(0)

gc.callbacks.append(let_go_of_the_gil)  # as any finalizer may
gc.set_threshold(1)
for _ in range(3):
    threading.Thread(target=start_and_end, daemon=True).start()
looking.start()
done.wait()
print(gc.isenabled())
"""


def test_looking_while_garbage_is_collected_and_threads_end():
    done = subprocess.run(
        [sys.executable, "-c", LOOKING_WHILE_THREADS_END], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "True\n", done.stderr


FORGOTTEN = """
import threading
from duckdb_wasi_udf._process.main_thread import MainThread

def look_and_forget():
    for _ in range(20):
        MainThread().look()

def fill(found):
    for _ in range(2000):
        found.append({1, 2, 3})

for _ in range(50):
    looking = threading.Thread(target=look_and_forget)
    looking.start()
    looking.join()
    sets = []
    fill(sets)
    assert sets.count({1, 2, 3}) == 2000
print("done")
"""


def test_who_has_looked_may_be_forgotten():
    done = subprocess.run([sys.executable, "-c", FORGOTTEN], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "done\n", done.stderr
