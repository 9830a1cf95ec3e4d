"""Many threads, connections, functions and cancellations at once: nothing mixes, hangs or crashes."""

import random
import threading
import time

import duckdb

import duckdb_wasi_udf as wasi_udf

SECONDS = 6.0
LIMITS = wasi_udf.ResourceLimits(timeout_seconds=20, instances=6)
EXPECTED = ("Cancelled", "Interrupted", "mine is")


class Traffic:
    """What users do, each step on its own; `problems` has every error that isn't meant."""

    def __init__(self):
        self.con = duckdb.connect()
        self.con.execute("SET threads = 16")
        self.sandbox = wasi_udf.Sandbox(limits=LIMITS).install(self.con)
        self.isolated = wasi_udf.Sandbox(limits=LIMITS, isolation="batch")
        self.end = time.monotonic() + SECONDS
        self.problems = []
        self.outcomes = []

    def loop(self, step, seed):
        choose = random.Random(seed)
        while time.monotonic() < self.end and not self.problems:
            try:
                step(choose)
                self.outcomes.append("right")
            except BaseException as error:
                text = f"{type(error).__name__} {error}"
                if any(expected in text for expected in EXPECTED):
                    self.outcomes.append("failed as it should")
                else:
                    self.problems.append(error)

    def query(self, choose):
        n, rows = choose.randrange(8), choose.randrange(1, 60_000)
        with self.con.cursor() as cursor:
            text = f"SELECT sum(py_udf_bigint('lambda x: x * {n}', i)) FROM range({rows}) r(i)"
            assert cursor.execute(text).fetchall() == [(n * rows * (rows - 1) // 2,)]

    def fail(self, choose):
        code = f"def f(x): raise ValueError('mine is {choose.randrange(100)}')"
        with self.con.cursor() as cursor:
            cursor.execute("SELECT py_udf($1, i) FROM range(9) r(i)", [code]).fetchall()
            raise AssertionError

    def create_and_drop(self, choose):
        """Half of them stay, while the cursor that registered them goes."""
        name = f"f{choose.randrange(10**12)}"
        owner = choose.choice((self.sandbox, self.isolated))
        with self.con.cursor() as cursor:
            owner.create_function(cursor, name, "def f(x: int) -> int: return x")
            assert cursor.execute(f"SELECT sum({name}(i)) FROM range(5000) r(i)").fetchall() == [(12497500,)]
            if choose.random() < 0.5:
                cursor.remove_function(name)
                return
        assert self.con.cursor().execute(f"SELECT sum({name}(i)) FROM range(9) r(i)").fetchall() == [(36,)]

    def other_database(self, choose):
        with duckdb.connect() as own:
            own.execute("SET threads = 2")
            self.isolated.create_function(own, "f", "def f(x: int) -> int: return -x")
            assert own.execute("SELECT sum(f(i)) FROM range(5000) r(i)").fetchall() == [(-12497500,)]

    def interrupt_and_close(self, choose):
        cursor = self.con.cursor()
        timer = threading.Timer(choose.random() / 50, cursor.interrupt)
        timer.start()
        try:
            cursor.execute("SELECT sum(py_udf_bigint('lambda x: x', i)) FROM range(200000) r(i)").fetchall()
        finally:
            timer.join()
            cursor.close()

    def cancel(self, choose):
        time.sleep(choose.random() / 5)
        choose.choice((self.sandbox, self.isolated)).cancel()


def test_everything_at_once():
    traffic = Traffic()
    steps = [traffic.query] * 6 + [traffic.fail] * 2 + [traffic.create_and_drop] * 3
    steps += [traffic.other_database, traffic.interrupt_and_close, traffic.cancel]
    threads = [threading.Thread(target=traffic.loop, args=(step, seed), daemon=True) for seed, step in enumerate(steps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not [thread for thread in threads if thread.is_alive()]
    assert not traffic.problems, traffic.problems
    assert min(traffic.outcomes.count(outcome) for outcome in ("right", "failed as it should")) > 20
    assert traffic.con.execute("SELECT py_udf('lambda x: x + 1', 41)").fetchall() == [(42,)]
    for sandbox in (traffic.sandbox, traffic.isolated):
        assert len(sandbox._domain.instances) <= LIMITS.instances
        sandbox.close()
        assert len(sandbox._domain.instances) == 0
    traffic.con.close()
