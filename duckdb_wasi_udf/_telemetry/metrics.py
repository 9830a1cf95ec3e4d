"""OpenTelemetry metrics of the open sandboxes.

They are read from counters that there are anyway, when the metrics are collected, so a batch costs nothing more. The
names of functions are the only text in them that a query may choose, and a sandbox reports a bounded number of those.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._process import state
from duckdb_wasi_udf._text import printable
from duckdb_wasi_udf._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.metrics import CallbackOptions, Observation

_SCOPE = "duckdb_wasi_udf"

# Of one sandbox, the functions with series of their own. The others are added up under these names.
_MOST_FUNCTIONS = 100
_INLINE = "(inline)"
_OTHERS = "(others)"

_LONGEST_NAME = 100

# Metric, unit, description, and how it is read: of a function's `Usage`.
_OF_FUNCTIONS: tuple[tuple[str, str, str, Callable[[Any], float]], ...] = (
    ("calls", "{call}", "Batches and steps of scans.", lambda usage: usage.calls),
    ("rows", "{row}", "Rows of calls that did not fail.", lambda usage: usage.rows),
    ("errors", "{call}", "Calls that failed.", lambda usage: usage.errors),
    ("guest.time", "s", "Time inside guests.", lambda usage: usage.guest_seconds),
    ("host.time", "s", "The rest of the time of calls.", lambda usage: usage.seconds - usage.guest_seconds),
)
# Likewise, of a trust domain.
_OF_SANDBOXES: tuple[tuple[str, str, str, Callable[[Any], float]], ...] = (
    ("instances", "{instance}", "Live instances, idle and busy.", lambda domain: len(domain.instances)),
    ("waiting_calls", "{call}", "Calls that wait for an instance.", lambda domain: domain.instances.waiting),
    ("memory", "By", "Memory of instances beyond the snapshot's.", lambda domain: domain.instances.held_bytes),
)
# Likewise, of a named function that is there.
_OF_COMPILED: tuple[tuple[str, str, str, Callable[[Any], float]], ...] = (
    ("compiled.rows", "{row}", "Rows that compiled code finished.", lambda compiled: compiled.rows),
    ("bailed.rows", "{row}", "Rows that compiled code left to the interpreter.", lambda compiled: compiled.bailed),
)


@functools.cache
def start_metrics() -> bool:
    """Report the metrics of all sandboxes from now on; return whether OpenTelemetry's API is installed."""
    try:
        from opentelemetry import metrics  # noqa: PLC0415 - an extra
    except ImportError:
        return False
    meter = metrics.get_meter(_SCOPE, __version__)

    def observed(read: Callable[[], Iterator[tuple[float, dict[str, str]]]]) -> list[Any]:
        def callback(_: CallbackOptions) -> list[Observation]:
            return [metrics.Observation(value, attributes) for value, attributes in read()]

        return [callback]

    for name, unit, text, value in _OF_FUNCTIONS:
        callbacks = observed(functools.partial(_functions, value))
        meter.create_observable_counter(f"{_SCOPE}.{name}", callbacks, unit, text)
    for name, unit, text, value in _OF_COMPILED:
        meter.create_observable_counter(f"{_SCOPE}.{name}", observed(functools.partial(_compiled, value)), unit, text)
    for name, unit, text, value in _OF_SANDBOXES:
        callbacks = observed(functools.partial(_sandboxes, value))
        meter.create_observable_up_down_counter(f"{_SCOPE}.{name}", callbacks, unit, text)
    meter.create_observable_counter(
        f"{_SCOPE}.limits_hit", observed(_limits), "{error}", "Errors that a limit caused, by its name."
    )
    return True


def _functions(value: Callable[[Any], float]) -> Iterator[tuple[float, dict[str, str]]]:
    for domain in list(state.open_domains):
        total: dict[tuple[str, str], float] = {}
        for place, ((name, kind), usage) in enumerate(domain.counters.by_function().items()):
            shown = _INLINE if name is None else printable(name)[:_LONGEST_NAME] if place < _MOST_FUNCTIONS else _OTHERS
            total[shown, kind] = total.get((shown, kind), 0) + value(usage)
        for (shown, kind), number in total.items():
            yield number, {"sandbox": domain.name, "function": shown, "kind": kind}


def _compiled(value: Callable[[Any], float]) -> Iterator[tuple[float, dict[str, str]]]:
    for domain in list(state.open_domains):
        total: dict[str, float] = {}
        named = [function for function in domain.counters.functions() if not function.inline]
        for place, function in enumerate(named):
            name = printable(function.signature.label)[:_LONGEST_NAME] if place < _MOST_FUNCTIONS else _OTHERS
            total[name] = total.get(name, 0) + value(function.compiled)
        for name, number in total.items():
            yield number, {"sandbox": domain.name, "function": name}


def _sandboxes(value: Callable[[Any], float]) -> Iterator[tuple[float, dict[str, str]]]:
    for domain in list(state.open_domains):
        yield value(domain), {"sandbox": domain.name}


def _limits() -> Iterator[tuple[float, dict[str, str]]]:
    for domain in list(state.open_domains):
        for limit, number in dict(domain.errors.limits_hit).items():
            yield number, {"sandbox": domain.name, "limit": limit}
