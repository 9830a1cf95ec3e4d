"""`%load_ext duckdb_wasi_udf`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics, errors that are short, and a progress line; for `%load_ext duckdb_wasi_udf`.

    Args:
        shell: IPython's shell.
    """
    from duckdb_wasi_udf._notebook.magics import load  # noqa: PLC0415 - IPython is there if it asks for this

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take away what `load_ipython_extension` has added; for `%unload_ext duckdb_wasi_udf`.

    Args:
        shell: IPython's shell.
    """
    from duckdb_wasi_udf._notebook.magics import unload  # noqa: PLC0415

    unload(shell)
