"""sql/examples/service.py, the FastAPI service."""

import asyncio
import importlib.util
import json
import time

import pytest

from tests.support.repository import ROOT

pytest.importorskip("fastapi", reason="fastapi is not installed: pip install 'duckdb-wasi-udf[dev]'")
httpx = pytest.importorskip("httpx", reason="httpx is not installed: pip install 'duckdb-wasi-udf[dev]'")

ENDLESS = {"sql": "SELECT py_udf_bigint('def f(x):\n    while True: pass', i) FROM range(3) t(i)"}


@pytest.fixture
def service(monkeypatch):
    spec = importlib.util.spec_from_file_location("service", ROOT / "sql" / "examples" / "service.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "service", module)  # pydantic looks names up there
    spec.loader.exec_module(module)
    yield module
    while module.tenants:
        module.tenants.popitem()[1].close()
    module.group.close()


def run(service, use):
    async def main():
        transport = httpx.ASGITransport(app=service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await use(client)

    return asyncio.run(main())


def test_tenants_query_with_code_of_their_own(service):
    async def use(client):
        answers = [
            await client.post(
                f"/tenants/t{i}/query", json={"sql": "SELECT py_udf_bigint($1, 41)", "parameters": [code]}
            )
            for i, code in enumerate(["lambda x: x + 1", "lambda x: x - 1"])
        ]
        await client.post("/tenants/t0/query", json={"sql": "CREATE TABLE t AS SELECT 7 AS x"})
        answers.append(await client.post("/tenants/t0/query", json={"sql": "FROM t"}))
        answers.append(await client.post("/tenants/t1/query", json={"sql": "FROM t"}))
        used = await client.get("/tenants/t0/usage")
        return [answer.json() for answer in (*answers, used)]

    *rows, missing, used = run(service, use)
    assert rows == [{"rows": [[42]]}, {"rows": [[40]]}, {"rows": [[7]]}]
    assert missing["detail"]["error"] == "CatalogException"
    assert used["rows"] == 1
    assert used["cpu_seconds"] > 0


def test_errors_and_timeouts_are_answers(service):
    service.TIMEOUT_SECONDS = 0.3

    async def use(client):
        failing = {"sql": "SELECT py_udf($1, 0)", "parameters": ["lambda x: 1 // x"]}
        failed, late, after = [
            await client.post("/tenants/a/query", json=body) for body in (failing, ENDLESS, {"sql": "SELECT 42"})
        ]
        return failed, late, after

    failed, late, after = run(service, use)
    assert (failed.status_code, failed.json()["detail"]["error"]) == (422, "GuestError")
    assert "ZeroDivisionError" in failed.json()["detail"]["text"]
    assert late.status_code == 408
    assert after.json() == {"rows": [[42]]}


def test_a_client_that_goes_away_stops_its_query(service):
    """As a server calls it: the body, and then that nobody waits for an answer any more."""
    body = json.dumps(ENDLESS).encode()
    received = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])
    sent = []

    async def receive():
        return next(received, {"type": "http.disconnect"})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/tenants/a/query", "headers": [], "query_string": b""}
    scope |= {"asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "raw_path": b"/tenants/a/query"}
    scope["headers"] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    began = time.monotonic()
    asyncio.run(service.app(scope, receive, send))
    assert time.monotonic() - began < 3  # of the 5 that a batch may take
    assert service.tenants["a"].requests == 0
    assert sent[0]["status"] == 499


def test_a_tenant_that_floods_the_service_leaves_it_to_others(service):
    service.TIMEOUT_SECONDS = 1.0

    async def use(client):
        flood = [asyncio.create_task(client.post("/tenants/flooder/query", json=ENDLESS)) for _ in range(20)]
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)  # one that is refused
        answer = await client.post("/tenants/other/query", json={"sql": "SELECT py_udf_bigint('lambda x: x', 7)"})
        return answer, [(await request).status_code for request in flood]

    answer, statuses = run(service, use)
    assert answer.json() == {"rows": [[7]]}
    assert (statuses.count(408), statuses.count(429)) == (4, 16)


def test_a_tenant_that_has_used_its_time_is_told_which_limit(service):
    service.group = service.wasi_udf.SandboxGroup(
        limits=service.wasi_udf.GroupLimits(sandboxes=2, shared_cpu_seconds=1.0)
    )

    async def use(client):
        refused = await client.post("/tenants/flooder/query", json=ENDLESS)
        return refused, await client.post("/tenants/other/query", json={"sql": "SELECT py_udf_bigint('abs', -7)"})

    refused, answer = run(service, use)
    assert (refused.status_code, refused.json()["detail"]["error"]) == (422, "LimitExceeded")
    assert "'flooder' has no time of the processor left" in refused.json()["detail"]["text"]
    assert answer.json() == {"rows": [[7]]}


def test_idle_tenants_are_closed_for_others(service):
    service.TENANTS = 2

    async def use(client):
        for name in "abca":
            await client.post(f"/tenants/{name}/query", json={"sql": "SELECT 1"})

    run(service, use)
    assert list(service.tenants) == ["c", "a"]
