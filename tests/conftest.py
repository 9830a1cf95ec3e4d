import gc

import duckdb
import pytest

import duckdb_wasi_udf as wasi_udf
from tests.support.shared_sandbox import LIMITS, SharedSandbox


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the garbage collector away from the ten thousand tests and all modules, which live to the end.

    Going over them takes it 0.2 s, each time that a test asks for a collection, and 1.7 s while they are made.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="module")
def sandbox_of_module():
    shared = SharedSandbox()
    yield shared
    try:
        shared.check()
    finally:
        shared.close()


@pytest.fixture
def shared_sandbox(request):
    """What the tests of a module share when it is marked so; None for a test with a database of its own."""
    marker = request.node.get_closest_marker
    if "sandbox" not in request.fixturenames or not marker("shared_sandbox") or marker("own_sandbox"):
        yield None
        return
    shared = request.getfixturevalue("sandbox_of_module")
    shared.open()
    yield shared
    shared.clean()


@pytest.fixture
def con(shared_sandbox):
    if shared_sandbox is not None:
        yield shared_sandbox.con
        return
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def sandbox(con, shared_sandbox):
    """A sandbox whose SQL functions are installed in `con`; stops runaway guests soon."""
    if shared_sandbox is not None:
        yield shared_sandbox.sandbox
        return
    with wasi_udf.Sandbox(limits=LIMITS).install(con) as installed:
        yield installed


@pytest.fixture
def failing(con, sandbox):
    """Runs a query that has to fail; the error behind it, after checking that the next query works."""

    def run(query, parameters=None, *, error=wasi_udf.WasiUdfError):
        with pytest.raises(duckdb.InvalidInputException) as raised:
            con.execute(query, parameters).fetchall()
        behind = sandbox.last_error
        assert isinstance(behind, error)
        assert str(behind) in str(raised.value)
        assert wasi_udf.error_of(raised.value) is behind
        assert con.execute("SELECT py_udf('lambda x: x + 1', 41)").fetchall() == [(42,)]
        assert sandbox.last_error is None
        return behind

    return run
