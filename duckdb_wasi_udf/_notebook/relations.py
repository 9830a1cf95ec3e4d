"""DuckDB's relations as the last line of a cell.

IPython asks an object for its text and then for its HTML. Each time DuckDB runs the query, so after an error or an
interrupt it is run once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from duckdb_wasi_udf._notebook.errors import ErrorDisplay


class RelationDisplay:
    """Runs the query of a relation once to show it, and its error once if it fails."""

    def __init__(self, shell: InteractiveShell, errors: ErrorDisplay) -> None:
        """Prepare.

        Args:
            shell: IPython's shell.
            errors: shows errors.
        """
        self._errors = errors
        formatters = shell.display_formatter
        assert formatters is not None
        self._whole, self._bundles = formatters.ipython_display_formatter, formatters.mimebundle_formatter
        self._ready: tuple[object, dict[str, Any]] | None = None

    def load(self) -> None:
        """Show relations from now on."""
        self._whole.for_type(duckdb.DuckDBPyRelation, self._run)
        self._bundles.for_type(duckdb.DuckDBPyRelation, self._bundle)

    def unload(self) -> None:
        """Leave relations to IPython again."""
        for formatter in (self._whole, self._bundles):
            formatter.pop(duckdb.DuckDBPyRelation, None)

    def _run(self, relation: duckdb.DuckDBPyRelation) -> None:
        """Show the error if the query fails; otherwise leave its result to `_bundle`."""
        try:
            self._ready = (relation, relation._repr_mimebundle_())
        except (duckdb.Error, RuntimeError, KeyboardInterrupt) as error:
            self._errors.show(error)
        else:
            raise NotImplementedError

    def _bundle(self, relation: duckdb.DuckDBPyRelation, **_: object) -> dict[str, Any]:
        ready, self._ready = self._ready, None
        if ready is not None and ready[0] is relation:
            return ready[1]
        bundle: dict[str, Any] = relation._repr_mimebundle_()
        return bundle
