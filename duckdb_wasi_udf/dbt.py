"""A plugin for dbt-duckdb: sandboxed Python functions in every model, on every connection and thread.

In profiles.yml: `plugins: [{module: duckdb_wasi_udf.dbt, config: {functions: udfs}}]`. See docs/guide/dbt.md.
`python -m duckdb_wasi_udf.dbt macros` writes the macro that dbt's own `functions:` need.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from duckdb_wasi_udf._errors import SignatureError, WasiUdfError
from duckdb_wasi_udf._frames.settings import import_path, imported
from duckdb_wasi_udf._limits import DataLimits, ResourceLimits, limits_by_name
from duckdb_wasi_udf._sql.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from dbt.adapters.duckdb.plugins import BasePlugin
except ImportError:  # to write the macro, for instance
    BasePlugin = object

MACRO = "wasi_udf.sql"

_SETTINGS = (
    "functions", "packages", "host_functions", "limits", "data_limits", "isolation", "deterministic", "compiled",
    "allow_inline", "allow_create",
)  # fmt: skip


class Plugin(BasePlugin):  # type: ignore[misc]
    """What dbt-duckdb makes of an entry of `plugins:`; its name is dbt's."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Make the sandbox.

        Args:
            plugin_config: the entry's `config`, and dbt's settings of the connection beside it.

        Raises:
            SignatureError: a setting isn't known, or its value is wrong.
        """
        known = {name: plugin_config[name] for name in _SETTINGS if name in plugin_config}
        settings = getattr(getattr(self, "creds", None), "settings", None) or {}
        surplus = [name for name in plugin_config if name not in _SETTINGS and name not in settings]
        if surplus:
            msg = f"duckdb_wasi_udf.dbt: there is no setting {surplus[0]!r}; there are: {', '.join(_SETTINGS)}"
            raise SignatureError(msg)
        self._files = _sources(known.pop("functions", None))
        for name, kind in (("limits", ResourceLimits), ("data_limits", DataLimits)):
            if name in known:
                try:
                    known[name] = limits_by_name(kind, known[name])
                except ValueError as error:
                    msg = f"duckdb_wasi_udf.dbt: {name}: {error}"
                    raise SignatureError(msg) from error
        known["host_functions"] = [imported(import_path(path)) for path in known.get("host_functions", ())]
        self.sandbox = Sandbox(**known)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Install the sandbox in the database, with the functions of the folder.

        Args:
            conn: the connection that dbt-duckdb opened.

        Raises:
            SignatureError: a file defines no function, or one that can't be registered; it is named.
        """
        self.sandbox.install(conn, replace=True)
        for file in self._files:
            try:
                source = file.read_text(encoding="utf-8")
                self._creator(source, file.stem)(conn, file.stem, source, replace=True)
            except (WasiUdfError, duckdb.Error) as error:
                msg = f"{file}: {error}"
                raise SignatureError(msg) from None

    def _creator(self, source: str, name: str) -> Callable[..., Any]:
        """Return the sandbox's method that makes a function of a file: an aggregate, a table or a scalar function."""
        described = self.sandbox.describe(source, entry=name)
        if described.error is not None:
            described = self.sandbox.describe(source)
        if described.kind == "table":
            return self.sandbox.create_table_function
        return self.sandbox.create_aggregate_function if described.kind == "class" else self.sandbox.create_function


def macro() -> str:
    """Return the text of the macro that makes dbt's `functions:` of the language Python."""
    return (Path(__file__).parent / "_dbt" / MACRO).read_text(encoding="utf-8")


def main() -> int:
    """Write the macro into a folder of a project; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m duckdb_wasi_udf.dbt", description="Write the macro that dbt's Python functions need."
    )
    parser.add_argument("folder", type=Path, help="a folder of the project's macro-paths, such as macros")
    folder = parser.parse_args().folder
    if not folder.is_dir():
        print(f"{folder} is no folder; run this in the dbt project, with a folder of its macro-paths", file=sys.stderr)
        return 1
    (folder / MACRO).write_text(macro(), encoding="utf-8")
    print(folder / MACRO)
    return 0


def _sources(folder: Any) -> list[Path]:
    """Return the files of a folder that become functions."""
    if folder is None:
        return []
    if not isinstance(folder, str) or not Path(folder).is_dir():
        msg = f"duckdb_wasi_udf.dbt: functions is a folder of .py files, from where dbt runs; {folder!r} is none"
        raise SignatureError(msg)
    return sorted(path for path in Path(folder).glob("*.py") if not path.name.startswith("_"))


if __name__ == "__main__":
    sys.exit(main())
