"""A service whose tenants query tables with Python of their own.

Run it with `uvicorn service:app` in this folder, and ask:

    curl localhost:8000/tenants/ada/query -H 'content-type: application/json' \
        -d '{"sql": "SELECT py_udf_bigint($1, 41)", "parameters": ["lambda x: x + 1"]}'
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import duckdb
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

import duckdb_wasi_udf as wasi_udf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# Tenants that are open at once; the one that was idle for longest is closed for another.
TENANTS = 50

# Requests of a tenant that run at once; more are refused. Each takes a thread, so no tenant can take them all.
REQUESTS = 4

# A request may take this long.
TIMEOUT_SECONDS = 10.0

# How often it is looked whether the client is still there.
CLIENT_SECONDS = 0.1

LIMITS = wasi_udf.ResourceLimits(timeout_seconds=5.0, memory_bytes=64 * 2**20, instances=4, total_memory_bytes=2**27)

# What all tenants may use together: each has its own share of half of it.
SHARED = wasi_udf.GroupLimits(
    sandboxes=TENANTS, shared_instances=128, shared_memory_bytes=2**31, shared_cpu_seconds=7200.0
)


class Tenant:
    """A database and a sandbox."""

    def __init__(self, name: str) -> None:
        self.sandbox = wasi_udf.Sandbox(group=group, name=name, limits=LIMITS, allow_create=False)
        self.con = duckdb.connect(config={"threads": 1, "memory_limit": "256MB"})
        self.sandbox.install(self.con)
        self.con.execute("SET enable_external_access = false; SET lock_configuration = true")
        self.requests = 0

    def close(self) -> None:
        """Close both."""
        self.sandbox.close()
        self.con.close()


group = wasi_udf.SandboxGroup(limits=SHARED)
tenants: OrderedDict[str, Tenant] = OrderedDict()


def tenant_of(name: str) -> Tenant:
    """Return a tenant, which is opened if it isn't yet."""
    if name not in tenants:
        idle = next((other for other, tenant in tenants.items() if not tenant.requests), None)
        if len(tenants) >= TENANTS:
            if idle is None:
                raise HTTPException(503, "all tenants are busy; try again")
            tenants.pop(idle).close()
        tenants[name] = Tenant(name)
    tenants.move_to_end(name)
    return tenants[name]


@contextlib.asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Have threads for all requests that may run; close all tenants at the end."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(TENANTS * REQUESTS))
    yield
    while tenants:
        tenants.popitem()[1].close()


app = FastAPI(lifespan=lifespan)


class Query(BaseModel):
    """A request: one statement of SQL and its parameters."""

    sql: str
    parameters: list[Any] = []


@app.post("/tenants/{name}/query")
async def query(name: str, body: Query, request: Request) -> dict[str, Any]:
    """Run a query, until it has taken too long or the client is gone."""
    tenant = tenant_of(name)
    if tenant.requests >= REQUESTS:
        raise HTTPException(429, f"{REQUESTS} requests of {name} are running; try again")
    tenant.requests += 1
    running = asyncio.ensure_future(tenant.sandbox.fetch(tenant.con, body.sql, body.parameters))
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not (await asyncio.wait([running], timeout=CLIENT_SECONDS))[0]:
                if await request.is_disconnected():
                    raise HTTPException(499, "the client is gone")
        return {"rows": await running}
    except TimeoutError:
        raise HTTPException(408, f"the query took more than {TIMEOUT_SECONDS:g} seconds") from None
    except duckdb.Error as error:
        behind = wasi_udf.error_of(error)
        detail = {"error": type(behind or error).__name__, "text": str(behind or error)}
        raise HTTPException(422, detail) from None
    finally:
        running.cancel()
        await asyncio.wait([running])  # until the query has ended
        tenant.requests -= 1


@app.get("/tenants/{name}/usage")
async def usage(name: str) -> dict[str, Any]:
    """Return what a tenant has used since it was opened, and of what all tenants share."""
    used, shared = tenant_of(name).sandbox.usage(), group.usage()[name]
    return {
        "calls": used.calls,
        "rows": used.rows,
        "seconds": used.guest_seconds,
        "limits_hit": used.limits_hit,
        "cpu_seconds": shared.cpu_seconds,
        "memory_bytes": shared.memory_bytes,
    }
