"""Limits as the option `--set` takes them: `timeout_seconds=2.5`, `memory_bytes=64MiB`."""

from __future__ import annotations

import contextlib
import math
import re
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._cli.failures import usage_error
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits, check_limit_name, limit_names

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

_NUMBER = re.compile(r"([+-]?[\d_]*\.?[\d_]+(?:e[+-]?\d+)?)\s*([a-z]*)", re.IGNORECASE)


# Limits of host functions can't be set, as there are none.
RESOURCES, DATA = limit_names(ResourceLimits, quotas=False), limit_names(DataLimits)


def parse_limits(settings: Sequence[str]) -> tuple[ResourceLimits, DataLimits]:
    """Return the limits of a sandbox.

    Args:
        settings: texts such as "timeout_seconds=2.5". The last one of a limit counts.

    Raises:
        CommandError: there is no such limit, or it can't have the value.
    """
    values = dict(map(_parse, settings))
    try:
        return (
            ResourceLimits(**{name: values[name] for name in RESOURCES if name in values}),
            DataLimits(**{name: values[name] for name in DATA if name in values}),
        )
    except ValueError as error:
        msg = f"--set: {error}"
        raise usage_error(msg) from error


def _parse(setting: str) -> tuple[str, Any]:
    name, equals, text = (part.strip() for part in setting.partition("="))
    if not equals:
        msg = f"--set takes limit=value, such as timeout_seconds=2.5, got {setting!r}"
        raise usage_error(msg)
    try:
        check_limit_name(name, [*RESOURCES, *DATA])
    except ValueError as error:
        msg = f"--set: {error}"
        raise usage_error(msg) from error
    return name, _value(name, text)


def _value(name: str, text: str) -> float:
    found = _NUMBER.fullmatch(text)
    whole = not name.endswith("_seconds")
    units = _UNITS if name.endswith("_bytes") else {"": 1} if whole else {"": 1, "s": 1}
    value = math.nan
    if found is not None and found[2].lower() in units:
        with contextlib.suppress(ValueError):  # underscores alone
            value = float(found[1]) * units[found[2].lower()]
    if not math.isfinite(value) or (whole and not value.is_integer()):
        what = "a whole number" if whole else "a number of seconds, such as 2.5"
        if name.endswith("_bytes"):
            what = "a number of bytes, such as 67108864 or 64MiB"
        msg = f"--set: {name} is {what}, got {text!r}"
        raise usage_error(msg)
    return int(value) if whole else value
