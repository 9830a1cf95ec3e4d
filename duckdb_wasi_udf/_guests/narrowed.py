"""A trust domain for one call, beside that of its sandbox."""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING

from duckdb_wasi_udf._guests.instance_registry import InstanceRegistry
from duckdb_wasi_udf._guests.output import Output
from duckdb_wasi_udf._guests.recent_errors import RecentErrors
from duckdb_wasi_udf._guests.usage import Counters

if TYPE_CHECKING:
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain
    from duckdb_wasi_udf._limits import ResourceLimits


def narrowed(domain: TrustDomain, limits: ResourceLimits, output: object) -> TrustDomain:
    """Return a domain for one call: the same guests, packages and host functions under other limits.

    What it runs doesn't count for the usage and the errors of the other. `cancel` of the other stops it.

    Args:
        domain: the other.
        limits: its limits; counting fuel can't be switched on or off, and no timeout may be longer than the other's.
        output: takes what its guests print: see `Sandbox`.

    Raises:
        ClosedError: the sandbox was closed.
    """
    domain.check_open()
    one = copy.copy(domain)
    one.limits = limits
    one.compiled = False
    one.errors = RecentErrors()
    one.output = Output(output)
    one.counters = Counters()
    one.instances = InstanceRegistry(limits, member=domain.member)
    one._held = []
    one._functions = {}
    one._changing_queries = threading.Lock()
    return one
