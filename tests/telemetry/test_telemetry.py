"""Metrics and spans of OpenTelemetry agree with `usage()` and `py_functions()`."""

import subprocess
import sys

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf

REASON = "OpenTelemetry's SDK is not installed: pip install opentelemetry-sdk"
metrics = pytest.importorskip("opentelemetry.sdk.metrics", reason=REASON)
export = pytest.importorskip("opentelemetry.sdk.metrics.export", reason=REASON)
tracing = pytest.importorskip("opentelemetry.sdk.trace", reason=REASON)
span_export = pytest.importorskip("opentelemetry.sdk.trace.export", reason=REASON)
in_memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter", reason=REASON)
metrics_api = pytest.importorskip("opentelemetry.metrics", reason=REASON)
trace = pytest.importorskip("opentelemetry.trace", reason=REASON)


@pytest.fixture(scope="module")
def exported():
    """Providers that keep what is reported; they can be set once a process."""
    reader, spans, provider = export.InMemoryMetricReader(), in_memory.InMemorySpanExporter(), tracing.TracerProvider()
    metrics_api.set_meter_provider(metrics.MeterProvider([reader]))
    provider.add_span_processor(span_export.SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    return reader, spans


def collected(reader, sandbox):
    """{(metric, the other attributes): value} of one sandbox."""
    found = {}
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    attributes = dict(point.attributes)
                    if attributes.pop("sandbox") == sandbox:
                        key = (metric.name.removeprefix("duckdb_wasi_udf."), *attributes.values())
                        assert key not in found
                        found[key] = point.value
    return found


def total(found, name):
    return sum(value for key, value in found.items() if key[0] == name)


def test_metrics_agree_with_usage_and_py_functions(exported, monkeypatch):
    monkeypatch.delenv("DUCKDB_WASI_UDF_COMPILED", raising=False)  # the list has the current definition's rows only
    reader, _ = exported
    limits = wasi_udf.ResourceLimits(timeout_seconds=0.5)
    with duckdb.connect() as con, wasi_udf.Sandbox(name="tenant-7", limits=limits).install(con) as sandbox:
        for rate in (1, 2):  # the counters of a function go on when it is replaced
            sandbox.create_function(con, "named", f"def named(x: int) -> int: return x * {rate}", replace=True)
            con.execute("SELECT named(i) FROM range(2049) t(i)").fetchall()
        sandbox.create_aggregate_function(con, "total", "def total(xs: list[int]) -> int: return sum(xs)")
        con.execute("SELECT total(list(i)) FROM range(10) t(i)").fetchall()
        con.execute("FROM py_table('def rows() -> Iterator[int]: yield from range(5)')").fetchall()
        for code in ("lambda x: 1 / x", "def f(x):\n    while True: pass"):
            with pytest.raises(duckdb.InvalidInputException):
                con.execute("SELECT py_udf($1, i - 1) FROM range(1, 3) t(i)", [code]).fetchall()
        found, usage = collected(reader, "tenant-7"), sandbox.usage()
        listed = con.execute("SELECT name, calls, rows, compiled_rows FROM py_functions()").fetchall()
    assert found["rows", "named", "scalar"] == 2 * 2049
    assert found["rows", "total", "aggregate"] == 1
    assert found["rows", "(inline)", "table"] == 5
    assert found["errors", "(inline)", "scalar"] == 2
    assert found["limits_hit", "timeout_seconds"] == usage.limits_hit["timeout_seconds"] == 1
    for name in ("calls", "rows", "errors"):
        assert total(found, name) == getattr(usage, name)
    assert total(found, "guest.time") == pytest.approx(usage.guest_seconds)
    assert total(found, "host.time") == pytest.approx(usage.host_seconds)
    assert found[("instances",)] == usage.instances
    assert found[("memory",)] == usage.memory_bytes
    assert found[("waiting_calls",)] == 0
    assert found["compiled.rows", "named"] == next(row[3] for row in listed if row[0] == "named")
    assert ("bailed.rows", "named") in found


def test_names_that_queries_choose_are_bounded(exported, monkeypatch):
    monkeypatch.setattr("duckdb_wasi_udf._telemetry.metrics._MOST_FUNCTIONS", 3)
    reader, _ = exported
    with duckdb.connect() as con, wasi_udf.Sandbox(name="many").install(con):
        for number in range(5):
            con.execute(f"SELECT py_create_function('f{number}', 'def f(x: int) -> int: return x')").fetchall()
            con.execute(f"SELECT f{number}(1)").fetchall()
        found = {key: value for key, value in collected(reader, "many").items() if key[0] == "rows"}
    assert len(found) == 4
    assert found["rows", "(others)", "scalar"] == 2
    assert sum(found.values()) == 5


def test_a_sandbox_without_a_name_has_a_number(exported):
    reader, _ = exported
    with wasi_udf.Sandbox() as first, wasi_udf.Sandbox() as second:
        names = {first._domain.name, second._domain.name}
        assert len(names) == 2
        assert all(collected(reader, name)[("instances",)] == 0 for name in names)
    with pytest.raises(TypeError, match="name is text, got 7"):
        wasi_udf.Sandbox(name=7)


def test_a_query_is_a_span_with_numbers_and_no_text(exported):
    _, spans = exported
    with duckdb.connect() as con, wasi_udf.Sandbox(name="traced").install(con) as sandbox:
        spans.clear()
        with trace.get_tracer("test").start_as_current_span("request"), sandbox.query(con):
            con.execute("SELECT py_udf_bigint('lambda x: x', i) FROM range(2049) t(i)").fetchall()
        query, request = spans.get_finished_spans()
        assert (query.name, query.parent.span_id) == ("duckdb_wasi_udf.query", request.context.span_id)
        assert query.attributes["duckdb_wasi_udf.rows"] == 2049
        assert query.attributes["duckdb_wasi_udf.errors"] == 0
        assert query.attributes["duckdb_wasi_udf.sandbox"] == "traced"
        assert query.status.is_unset
        spans.clear()
        with pytest.raises(duckdb.InvalidInputException), sandbox.query(con):
            con.execute("SELECT py_udf('def f(x): raise KeyError(x)', i || 'secret') FROM range(3) t(i)").fetchall()
        (query,) = spans.get_finished_spans()
        assert not query.status.is_ok
        assert query.attributes["error.type"] == "GuestError"
        assert query.attributes["duckdb_wasi_udf.exception"] == "KeyError"
        assert "secret" not in query.to_json()
        spans.clear()
        con.execute("SELECT py_udf_bigint('lambda x: x', 1)").fetchall()
        assert spans.get_finished_spans() == ()


@pytest.mark.parametrize("timeout_seconds", [None, 30.0])
def test_calls_of_host_functions_are_spans_below_the_query(exported, timeout_seconds):
    """As the audit has them; what the function reports itself is below its call, on whichever thread it runs."""
    _, spans = exported

    @wasi_udf.host_function(timeout_seconds=timeout_seconds)
    def rate(code: list[str]) -> list[float]:
        with trace.get_tracer("test").start_as_current_span("request"):
            if "secret" in code:
                raise LookupError(code)
            return [2.0 for _ in code]

    source = "import host\nasync def f(x: str) -> float: return await host.rate(x)"
    with duckdb.connect() as con, wasi_udf.Sandbox(host_functions=[rate]).install(con) as sandbox:
        spans.clear()
        with sandbox.query(con):
            con.execute("SELECT py_udf_double($1, i::VARCHAR) FROM range(2049) t(i)", [source]).fetchall()
        *inner, query = spans.get_finished_spans()
        calls = [span for span in inner if span.name == "duckdb_wasi_udf.host_call"]
        requests = [span for span in inner if span.name == "request"]
        assert query.name == "duckdb_wasi_udf.query"
        assert [span.parent.span_id for span in calls] == [query.context.span_id] * len(calls)
        assert [span.parent.span_id for span in requests] == [span.context.span_id for span in calls]
        reported = [dict(span.attributes) for span in calls]
        assert reported == [
            {
                "duckdb_wasi_udf.host_function": "rate",
                "duckdb_wasi_udf.rows": record.rows,
                "duckdb_wasi_udf.seconds": record.seconds,
                "duckdb_wasi_udf.outcome": "ok",
            }
            for record in sandbox.audit()
        ]
        assert sum(attributes["duckdb_wasi_udf.rows"] for attributes in reported) == 2049
        assert query.attributes["duckdb_wasi_udf.host_calls"] == len(calls)
        spans.clear()
        with pytest.raises(duckdb.InvalidInputException), sandbox.query(con):
            con.execute("SELECT py_udf_double($1, x) FROM (VALUES ('secret')) t(x)", [source]).fetchall()
        failed = [span for span in spans.get_finished_spans() if span.name == "duckdb_wasi_udf.host_call"]
        assert {span.attributes["error.type"] for span in failed} == {"LookupError"}
        assert not any(span.status.is_ok for span in failed)
        assert not any("secret" in span.to_json() for span in failed)


def test_a_query_has_a_bounded_number_of_spans(exported, monkeypatch):
    monkeypatch.setattr("duckdb_wasi_udf._telemetry.spans._MOST_HOST_CALLS", 3)
    _, spans = exported

    @wasi_udf.host_function
    def one(x: int) -> int:
        return x

    source = "import host\nlambda x: host.one(x)"
    with duckdb.connect() as con, wasi_udf.Sandbox(host_functions=[one]).install(con) as sandbox:
        spans.clear()
        with sandbox.query(con):
            con.execute("SELECT py_udf_bigint($1, i) FROM range(10) t(i)", [source]).fetchall()
        *calls, query = spans.get_finished_spans()
        assert len(calls) == 3
        assert query.attributes["duckdb_wasi_udf.host_calls"] == 10
        spans.clear()
        con.execute("SELECT py_udf_bigint($1, i) FROM range(10) t(i)", [source]).fetchall()  # in no block
        assert spans.get_finished_spans() == ()


WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
import duckdb, duckdb_wasi_udf as wasi_udf
con = duckdb.connect()
@wasi_udf.host_function
def one(x: int) -> int:
    return x
sandbox = wasi_udf.Sandbox(host_functions=[one]).install(con)
with sandbox.query(con):
    print(con.execute("SELECT py_udf_bigint('import host\\nlambda x: host.one(x)', 42)").fetchall())
"""


def test_without_opentelemetry_everything_runs():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "[(42,)]\n", done.stderr
