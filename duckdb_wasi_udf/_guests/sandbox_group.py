"""The public side of a group of sandboxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from duckdb_wasi_udf._display import html
from duckdb_wasi_udf._guests.group import Group
from duckdb_wasi_udf._limits import GroupLimits, changed_limits

if TYPE_CHECKING:
    from typing import Self

    from duckdb_wasi_udf._guests.group import SharedUsage


class SandboxGroup:
    """A budget that many sandboxes of one process share, one for each tenant: `Sandbox(group=group, name="ada")`.

    Half of each limit is divided equally: this share is a sandbox's own, whatever the others do. The other half goes to
    whoever needs it; of those who wait, the sandbox with the fewest instances comes first. Each sandbox keeps the
    limits that it has by itself. Calls of these sandboxes don't take the native path.

    Examples:
        >>> import duckdb, duckdb_wasi_udf as wasi_udf
        >>> with wasi_udf.SandboxGroup(limits=wasi_udf.GroupLimits(sandboxes=50)) as group:
        ...     con = duckdb.connect()
        ...     sandbox = wasi_udf.Sandbox(group=group, name="ada").install(con)
        ...     rows = con.sql("SELECT py_udf_bigint('lambda x: x + 1', 41)").fetchall()
        ...     rows, group.usage()["ada"].instances
        ([(42,)], 1)
    """

    def __init__(self, *, limits: GroupLimits | None = None) -> None:
        """Make a group without sandboxes.

        Args:
            limits: what they may use together; `GroupLimits()` by default.
        """
        self._group = Group(limits if limits is not None else GroupLimits())

    @property
    def limits(self) -> GroupLimits:
        """Limits of all sandboxes together."""
        return self._group.limits

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._group.closed

    def usage(self) -> dict[str, SharedUsage]:
        """Return what each sandbox uses, by its name: the open ones, and those that used some time in this period."""
        return self._group.usage()

    def close(self) -> None:
        """Close all sandboxes of the group; no other one can be opened in it."""
        self._group.close()

    def __enter__(self) -> Self:
        """Enter a context that closes the group at its end."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Return its state, the limits that differ from the default, and its number of open sandboxes."""
        state = "closed" if self.closed else "open"
        shown = ", ".join([state, *changed_limits(self.limits), f"{len(self._group.members())} open sandbox(es)"])
        return f"<SandboxGroup: {shown}>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: its state, and what each sandbox uses."""
        head = html.element("div", html.element("strong", "SandboxGroup"), repr(self)[len("<SandboxGroup") : -1])
        headings = ("sandbox", "instances", "waiting calls", "memory", "CPU seconds", "refused")
        rows = [
            (
                name,
                used.instances,
                used.waiting_calls,
                f"{used.memory_bytes / 2**20:,.1f} MiB",
                f"{used.cpu_seconds:,.3f}",
                ", ".join(f"{limit} {number:,}" for limit, number in used.refused.items()) or "none",
            )
            for name, used in self.usage().items()
        ]
        return head + html.table(headings, rows)
