"""What every named function of a sandbox has, whatever its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.budget import Usage
    from duckdb_wasi_udf._guests.compilation import Compiled


class RegisteredFunction(Protocol):
    """A named function: what `py_functions()` lists of it, and how it ends."""

    @property
    def kind(self) -> str:
        """Kind in DuckDB's words: "scalar", "aggregate" or "table"."""

    @property
    def signature(self) -> Signature:
        """Parameters and result of the SQL function."""

    @property
    def source_hash(self) -> str:
        """Hash of its code: see `Definition.source_hash`."""

    @property
    def inline(self) -> bool:
        """True if it is the code of a query, without a name."""

    @property
    def usage(self) -> Usage:
        """Counters since it was created."""

    @property
    def failed_rows(self) -> int:
        """Number of rows that are NULL because the function raised."""

    @property
    def compiled(self) -> Compiled:
        """What became of compiling it."""

    def explain(self, context: CallContext) -> str:
        """Return in words whether it is compiled."""

    @property
    def instances(self) -> int:
        """Number of live instances, idle and busy."""

    def retire(self) -> None:
        """Close the idle instances. Calls and scans under way go on."""

    def close(self) -> None:
        """Close the instances."""
