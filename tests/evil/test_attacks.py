"""Runs every attack, on an instance and through SQL, and checks what is left behind."""

import ctypes
import gc
import re
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import duckdb_wasi_udf as wasi_udf
from duckdb_wasi_udf import GuestError, LimitExceeded, ResourceLimits, WasiUdfError
from duckdb_wasi_udf._arrow.type_mapping import result_type
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._host_functions.grants import Grants
from duckdb_wasi_udf._sql.types import sql_type_of
from tests.evil import (
    collisions,
    compiled,
    cpu,
    escape,
    host,
    lies,
    memory,
    numpy,
    output,
    reentrancy,
    stack,
    takeover,
)
from tests.evil.attack import ANYTHING, HARMLESS_ARGUMENT, HARMLESS_RESULT, TIMEOUT, Moment
from tests.support import guests

MIB = 2**20
MEMORY_BYTES = 64 * MIB
NUMPY_BYTES = 32 * MIB

# Attacks that are to end at the deadline have a near one. All others have one so far away that a busy machine doesn't
# change how they end, except for those that may end in any way.
NEAR_SECONDS, FAR_SECONDS = 0.1, 30.0

# What four instances that used all they may would leave when they are not given back: there are 900 attacks. A database
# alone, opened and closed, leaves some 50 KiB in DuckDB's allocator. What is made once for a process once left 195 MB.
MAY_REMAIN = 4 * MEMORY_BYTES

GROUPS = {
    module.__name__.rpartition(".")[2]: module.ATTACKS
    for module in (cpu, memory, stack, output, escape, lies, collisions, reentrancy, takeover, host, numpy, compiled)
}
ALL = [
    pytest.param(
        attack,
        id=f"{group}: {attack.name}",
        marks=[pytest.mark.xfail(strict=True, reason=attack.defect)] if attack.defect else [],
    )
    for group, attacks in GROUPS.items()
    for attack in attacks
]
# It is the pool of a function that compiles it.
ON_AN_INSTANCE = [param for param in ALL if not param.values[0].compiled]
IN_SQL = [param for param in ALL if param.values[0].moment is not Moment.ITERATION]


def limits_for(attack, *, near=None):
    near = attack.end in (TIMEOUT, ANYTHING) if near is None else near
    larger = attack in numpy.ATTACKS  # that guest starts with more
    return ResourceLimits(
        memory_bytes=MEMORY_BYTES + (NUMPY_BYTES if larger else 0),
        timeout_seconds=NEAR_SECONDS if near else FAR_SECONDS,
        host_batch=host.QUOTA,
    )


DATA_LIMITS = wasi_udf.DataLimits(result_bytes=MIB)


def check_end(attack, error, value):
    """Whether the attack ended as it has to."""
    end = attack.end
    if error is None:
        assert end.may_return or not end.errors, f"returned {value!r:.200}"
        assert end.may_return or value == end.value
        return
    assert type(error) in end.errors, f"{type(error).__name__}: {error!s:.1000}"
    text = str(error)
    assert end.says.lower() in text.lower(), text[:1000]
    assert len(text) < 30_000
    assert re.sub(r"[\n\t]", "", text).isprintable()
    if isinstance(error, LimitExceeded):
        assert error.limit in text
        assert f"raise {'DataLimits' if error.limit == 'result_bytes' else 'ResourceLimits'}.{error.limit}" in text


def resident_bytes():
    """What this process alone holds in memory now, not what it maps of files; None where the system doesn't say."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        return None
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def give_back():
    """Free what nobody has any more, and have allocators return what they keep for later."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(scope="module")
def sandbox_for():
    """The database and the sandbox for attacks of the same limits: what one did to them, the next would show.

    Every 32 attacks they are made anew, since DuckDB keeps what there was of functions, 0.3 MB each.
    """
    stacks, made = {}, {}

    def find(attack):
        limits = limits_for(attack)
        kind = limits, attack.compiled
        if kind not in made or made[kind][0] == 32:
            stack = stacks.setdefault(kind, ExitStack())
            stack.close()
            con = stack.enter_context(duckdb.connect())
            sandbox = wasi_udf.Sandbox(limits=limits, data_limits=DATA_LIMITS, host_functions=host.GRANTED)
            made[kind] = 0, con, stack.enter_context(sandbox.install(con))
        used, con, sandbox = made[kind]
        made[kind] = used + 1, con, sandbox
        return con, sandbox

    yield find
    for opened in stacks.values():
        opened.close()


@pytest.fixture(scope="module")
def resident_before(sandbox_for):
    """Memory of a process that has everything it keeps: engine, Arrow, DuckDB, one instance of each."""
    for attack in (cpu.ATTACKS[0], memory.ATTACKS[0], lies.ATTACKS[0]):
        strike_an_instance(attack)
        strike_in_sql(attack, *sandbox_for(attack))
    gc.collect()
    return resident_bytes()


@pytest.fixture(scope="module")
def grown():
    """The bytes by which memory has grown in the tests of this module. Others run between them in the same process."""
    return Counter()


@pytest.fixture(autouse=True)
def memory_is_given_back(resident_before, grown):
    before = resident_bytes()
    yield
    if resident_before is None:
        return
    now = resident_bytes() - before
    if grown["bytes"] + now > MAY_REMAIN:
        give_back()
        now = resident_bytes() - before
    grown["bytes"] += now
    assert grown["bytes"] <= MAY_REMAIN


def test_there_are_as_many_attacks_as_the_security_page_says():
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "security.md").read_text()
    counted = {group: int(count) for group, count in re.findall(r"^\| `(\w+)` \| .* \| (\d+) \|$", page, re.MULTILINE)}
    assert counted == {group: len(attacks) for group, attacks in GROUPS.items()}
    assert len({param.id for param in ALL}) == len(ALL) == sum(counted.values())


# ---- on an instance ----------------------------------------------------------------------------------------------


def start(source, attack, *, near=None):
    declared = None if attack.result is None else result_type(sql_type_of(attack.result).arrow_type)
    definition = Definition.from_source(source, "f", return_null=attack.return_null)
    limits = limits_for(attack, near=near)
    return guests.start(
        definition, pa.int64(), result=declared, limits=limits, data_limits=DATA_LIMITS, grants=host_grants()
    )


def host_grants():
    return Grants(host.GRANTED, sql_type_of)


def call(instance, *arguments):
    return instance.call([pa.array(arguments)], len(arguments))[0].to_pylist(maps_as_pydicts="lossy")


def pull(instance, argument):
    instance.open([pa.array([argument])])
    try:
        rows = instance.next().to_pylist()
    except WasiUdfError:
        if not instance.broken:  # as a scan ends that fails
            with suppress(WasiUdfError):
                instance.close_cursor()
        raise
    instance.close_cursor()
    return rows


def harmless(attack, instance):
    """What the harmless call of an instance gives, and what it has to give."""
    if attack.moment is Moment.ITERATION:
        return pull(instance, HARMLESS_ARGUMENT) == [HARMLESS_RESULT]
    return call(instance, HARMLESS_ARGUMENT) == [HARMLESS_RESULT if attack.result is None else None]


def strike_an_instance(attack):
    error = value = instance = None
    try:
        instance = start(attack.code if attack.moment is Moment.LOAD else attack.source, attack)
        rows = range(1, attack.rows + 1)
        value = pull(instance, 1)[0] if attack.moment is Moment.ITERATION else call(instance, *rows)[0]
    except WasiUdfError as raised:
        error = raised
    check_end(attack, error, value)
    if instance is not None:
        assert instance.broken == (error is not None and not isinstance(error, GuestError))
    if attack.moment is not Moment.LOAD:
        # On a busy machine, loading may already take longer than a near deadline allows.
        if instance is not None and not instance.broken and attack.end is not ANYTHING:
            assert harmless(attack, instance)
        assert harmless(attack, start(attack.source, attack, near=False))
    assert call(guests.start("lambda x: x + 1", pa.int64()), 41) == [42]


@pytest.mark.parametrize("attack", ON_AN_INSTANCE)
def test_an_attack_on_an_instance_ends_as_it_has_to(attack):
    strike_an_instance(attack)


# ---- through SQL -------------------------------------------------------------------------------------------------


def in_time(con, query):
    """What a harmless query returns. On a busy machine, even that may take longer than a near deadline allows."""
    for _ in range(20):
        try:
            return con.execute(query).fetchall()
        except duckdb.InvalidInputException as raised:
            late = raised
            if not isinstance(wasi_udf.error_of(raised), LimitExceeded):
                raise
    raise late


def strike_in_sql(attack, con, sandbox):
    error = told = value = None
    source = attack.code if attack.moment is Moment.LOAD else attack.source
    try:
        options = {"exception_handling": "return_null" if attack.return_null else "default", "side_effects": True}
        sandbox.create_function(con, "attacked", source, ["BIGINT"], attack.result, replace=True, **options)
        query = f"SELECT attacked(i) FROM range(1, {attack.rows + 1}) rows(i)"
        rows = [row for (row,) in con.execute(query).fetchall()]
        value = rows if attack.compiled else rows[0]
    except WasiUdfError as raised:
        error = raised
    except duckdb.InvalidInputException as raised:
        error, told = sandbox.last_error, str(raised)
    if told is not None:
        assert error is not None, told
        assert str(error) in told
    check_end(attack, error, value)
    endless = attack.compiled and attack.end == TIMEOUT  # whatever the argument is
    if attack.moment is not Moment.LOAD and attack.end is not ANYTHING and not endless:
        expected = HARMLESS_RESULT if attack.result is None else None
        assert in_time(con, f"SELECT attacked({HARMLESS_ARGUMENT})") == [(expected,)]
    assert in_time(con, "SELECT py_udf('lambda x: x + 1', 41)") == [(42,)]
    with suppress(duckdb.InvalidInputException):  # it was refused
        con.remove_function("attacked")


@pytest.mark.parametrize("attack", IN_SQL)
def test_an_attack_through_sql_ends_as_it_has_to(attack, sandbox_for, monkeypatch):
    if attack.compiled:
        monkeypatch.setenv("DUCKDB_WASI_UDF_COMPILED", "always")
    else:  # what an attack does by the interpreter, whatever the whole run is made with
        monkeypatch.delenv("DUCKDB_WASI_UDF_COMPILED", raising=False)
    strike_in_sql(attack, *sandbox_for(attack))


# ---- what is kept ------------------------------------------------------------------------------------------------


def test_errors_that_are_kept_keep_no_guest(resident_before):
    """An error's traceback refers to its instance, and DuckDB keeps a sandbox, with its last error, for ever."""
    before = resident_bytes()
    kept = []
    for _ in range(5):
        instance = guests.start(memory.ATTACKS[1].source, pa.int64(), limits=limits_for(memory.ATTACKS[1]))
        with pytest.raises(LimitExceeded) as raised:
            call(instance, 1)
        kept.append((instance, raised.value))
        with duckdb.connect() as con, wasi_udf.Sandbox().install(con) as sandbox:
            with pytest.raises(duckdb.InvalidInputException):
                con.execute("SELECT py_udf('lambda x: len(bytes(20_000_000)) // x', 0)")
            kept.append(sandbox)
    assert all(error.__traceback__ is not None for _, error in kept[::2])
    gc.collect()
    if resident_before is not None:
        assert resident_bytes() <= before + MAY_REMAIN
