"""Gates, and the record of calls."""

import datetime as dt

from duckdb_wasi_udf import (
    HostFunction,
)
from duckdb_wasi_udf._host_functions import audit
from tests.host_functions.samples import fails, fx_rate, plus, raising


def test_a_gate_sees_the_call_and_refuses_it_before_it_runs(grant, evaluate):
    calls, seen = [], []

    def gate(call):
        seen.append((call.function, call.rows, call.bytes > 0, call.arguments.to_pydict()))
        if None in call.arguments["key"].to_pylist():
            raise PermissionError("s3cret")
        return call.rows < 3

    def look(key: list[str]) -> list[str]:
        calls.append(key)
        return key

    sandbox = grant(HostFunction(look, gate=gate))
    assert evaluate("host.look.batch(['a', 'b'])") == ["a", "b"]
    assert seen == [("look", 2, True, {"key": ["a", "b"]})] * len(calls)
    calls.clear()
    for argument in ("['a', 'b', 'c']", "[None]"):
        failed = fails(sandbox, lambda argument=argument: evaluate(f"host.look.batch({argument})"))
        assert "HostError: look was refused" in str(failed)
        assert "s3cret" not in str(failed)
    assert isinstance(failed.__cause__.__cause__, PermissionError)
    assert calls == []
    assert {record.outcome for record in sandbox.audit()} == {"ok", "refused"}


def test_every_call_is_recorded_and_can_be_queried(con, grant):
    sandbox = grant(fx_rate, raising(ValueError("x")))
    before = dt.datetime.now(dt.UTC)
    sandbox.create_function(
        con, "rate", "import host\ndef f(ks: Column[str]) -> list[float]: return host.fx_rate.batch(ks)"
    )
    sandbox.create_function(con, "broken", "import host\ndef f(x: int) -> int: return host.fail(x)")
    con.execute("CREATE TABLE t AS SELECT 'EUR' || i AS k FROM range(3000) r(i)")
    con.execute("SELECT sum(rate(k)) FROM t").fetchall()
    fails(sandbox, lambda: con.execute("SELECT broken(1)").fetchall())
    rows = con.execute(
        "SELECT called_by, host_function, outcome, sum(rows), min(bytes_in) > 0, max(detail) FROM py_host_calls() "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    failures = sum(record.outcome == "failed" for record in sandbox.audit())  # DuckDB tries constants more than once
    assert rows == [
        ("broken", "fail", "failed", failures, True, "ValueError: x"),
        ("rate", "fx_rate", "ok", 3000, True, None),
    ]
    records = sandbox.audit()
    assert all(before <= record.called_at <= dt.datetime.now(dt.UTC) for record in records)
    assert all(record.seconds > 0 for record in records)
    assert [record.called_at for record in records] == sorted(record.called_at for record in records)


def test_the_record_is_bounded(con, grant, monkeypatch):
    monkeypatch.setattr(audit, "RECORDS", 100)
    sandbox = grant(plus)
    code = "import host\ndef f(x):\n  for i in range(150): host.plus(i)\n  return 1"
    con.execute("SELECT py_udf($1, 1)", [code]).fetchall()
    assert len(sandbox.audit()) == 100
