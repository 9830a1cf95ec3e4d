"""The magics `%%py_udf` and `%py_functions`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import duckdb
from IPython.core.error import TryNext, UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from traitlets import Bool

from duckdb_wasi_udf._notebook.cells import kind_of, kind_of_text, read_cell, run_cell
from duckdb_wasi_udf._notebook.errors import ErrorDisplay
from duckdb_wasi_udf._notebook.namespace import connection_names, find_connection, find_sandbox, sandbox_names
from duckdb_wasi_udf._notebook.progress import Progress
from duckdb_wasi_udf._notebook.relations import RelationDisplay
from duckdb_wasi_udf._sql.database import open_database
from duckdb_wasi_udf._sql.function_list import FunctionList

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from duckdb_wasi_udf._sql.sandbox import Sandbox

_KINDS = ("scalar", "aggregate", "table")


def _text(value: str) -> str:
    """Return an argument without the quotes around it, which IPython leaves there."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


class _Part(Protocol):
    def load(self) -> None: ...

    def unload(self) -> None: ...


@magics_class
class WasiUdfMagics(Magics):
    """The magics, and what can be configured: `%config WasiUdfMagics.progress = False`."""

    progress = Bool(
        default_value=True, help="Show rows and rows per second of queries that run for more than two seconds."
    ).tag(config=True)
    short_errors = Bool(
        default_value=True, help="Show errors of sandboxed functions without the frames of this package and of DuckDB."
    ).tag(config=True)

    @magic_arguments()
    @argument("name", nargs="?", type=_text, help="The SQL name; by default that of the function.")
    @argument("--con", metavar="VARIABLE", help="The connection; by default `con`, `conn`, jupysql's, or the only one.")
    @argument("--sandbox", metavar="VARIABLE", help="The sandbox; by default the one that is installed, or a new one.")
    @argument("--kind", choices=_KINDS, help="By default what the function looks like: a generator makes a table.")
    @argument("--parameters", nargs="+", type=_text, metavar="TYPE", help="SQL types; by default the annotations.")
    @argument("--returns", type=_text, metavar="TYPE", help="The SQL type of the result, or of a table's rows.")
    @argument("--type", choices=("native", "arrow"), help="arrow: it is called once a batch, with columns.")
    @argument("--null-handling", choices=("default", "special"), help="special: NULLs arrive as None.")
    @argument(
        "--exception-handling", choices=("default", "return_null"), help="return_null: an exception makes its row NULL."
    )
    @argument("--side-effects", action="store_true", help="It is called for each row, even with constant arguments.")
    @argument(
        "--isolated",
        action="store_true",
        help="The cell isn't run in the notebook but in the sandbox only, and sees nothing of other cells.",
    )
    @line_cell_magic
    def py_udf(self, line: str, cell: str | None = None) -> None:
        """Define a function and register it, in place of the one that had its name.

        ::

            %%py_udf
            def gross(net: float, country: str) -> float:
                return round(net * (1 + VAT[country]), 2)

        Constants, imports, functions and classes of other cells come along, as they are now. `%py_udf gross` registers
        a function that is defined already.
        """
        __tracebackhide__ = True
        shell, options = self._shell(), parse_argstring(self.py_udf, line)
        con = find_connection(shell.user_ns, options.con)
        sandbox = find_sandbox(shell.user_ns, con, options.sandbox)
        entry = None
        if cell is None:
            function, own_name = self._defined(options)
            kind = options.kind or kind_of(function)
        else:
            read = read_cell(shell, cell, options.name)
            own_name = read.function
            if options.isolated:
                function, kind, entry = cell, options.kind or kind_of_text(read), read.entry
            else:
                function = run_cell(shell, read)
                kind = options.kind or kind_of(function)
        name = options.name or own_name
        _register(sandbox, con, name, function, kind, options, entry)
        print(f"{name}{sandbox._registry.find(name).signature}")

    @magic_arguments()
    @argument("--con", metavar="VARIABLE", help="The connection; by default `con`, `conn`, jupysql's, or the only one.")
    @line_magic
    def py_functions(self, line: str) -> FunctionList:
        """List the functions of the database, with what they have done."""
        options = parse_argstring(self.py_functions, line)
        database = open_database(find_connection(self._shell().user_ns, options.con))
        named = list(database.functions.values())
        owners = {
            id(owner): owner for owner in [database.installed, *(each.owner for each in named)] if owner is not None
        }
        inline = [each for owner in owners.values() for each in owner._domain.counters.functions() if each.inline]
        return FunctionList([*(each.function for each in named), *inline])

    def _shell(self) -> InteractiveShell:
        assert self.shell is not None
        return self.shell

    def _defined(self, options: Namespace) -> tuple[Any, str]:
        """Return a function of the notebook, and its name."""
        variables, name = self._shell().user_ns, options.name
        if name is None:
            msg = "write the name of a function that is defined, as in %py_udf gross; or a cell with %%py_udf"
            raise UsageError(msg)
        if not callable(variables.get(name)):
            what = f"a {type(variables[name]).__name__}, which can't be called" if name in variables else "not defined"
            msg = f"{name} is {what}; write the name of a function, or a cell with %%py_udf"
            raise UsageError(msg)
        return variables[name], name


def _register(
    sandbox: Sandbox,
    con: duckdb.DuckDBPyConnection,
    name: str,
    function: Callable[..., Any] | str,
    kind: str,
    options: Namespace,
    entry: str | None,
) -> None:
    __tracebackhide__ = True
    scalar = {"type": options.type, "null_handling": options.null_handling}
    scalar |= {"exception_handling": options.exception_handling, "side_effects": options.side_effects or None}
    given = {key: value for key, value in scalar.items() if value is not None}
    refused = dict(given)
    if kind == "table":
        refused["parameters"] = options.parameters
    wrong = [f"--{key.replace('_', '-')}" for key, value in refused.items() if value and kind != "scalar"]
    if wrong:
        msg = (
            f"{', '.join(wrong)}: not for {'an aggregate' if kind == 'aggregate' else 'a table function'}; leave it out"
        )
        raise UsageError(msg)
    if kind == "table":
        sandbox.create_table_function(con, name, function, options.returns, entry=entry, replace=True)
    elif kind == "aggregate":
        sandbox.create_aggregate_function(
            con, name, function, options.parameters, options.returns, entry=entry, replace=True
        )
    else:
        sandbox.create_function(
            con, name, function, options.parameters, options.returns, entry=entry, replace=True, **given
        )


def complete(shell: InteractiveShell, event: Any) -> list[str]:
    """Return what may follow in the line of a magic: options and their values, names of variables and functions."""
    words = event.line.split()
    if not words or words[0].lstrip("%") not in ("py_udf", "py_functions"):
        raise TryNext
    parser = getattr(WasiUdfMagics, words[0].lstrip("%")).parser
    last = words[-1] if event.line[-1:].isspace() else (words[-2] if len(words) > 1 else "")
    option = parser._option_string_actions.get(last)
    if last == "--con":
        return connection_names(shell.user_ns)
    if last == "--sandbox":
        return sandbox_names(shell.user_ns)
    if option is not None and option.choices:
        return list(option.choices)
    options = [name for name in parser._option_string_actions if name.startswith("--") and name not in words]
    if words[0] == "%py_udf" and event.symbol == (words[1] if len(words) > 1 else ""):
        return options + sorted(name for name, value in shell.user_ns.items() if _is_defined_here(name, value))
    if words[0] == "%%py_udf" and event.symbol == (words[1] if len(words) > 1 else ""):
        with contextlib.suppress(UsageError, duckdb.Error):
            functions = open_database(find_connection(shell.user_ns, None)).functions.values()
            return options + sorted(named.function.signature.label for named in functions)
    return options


def _is_defined_here(name: str, value: Any) -> bool:
    return not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == "__main__"


def load(shell: InteractiveShell) -> None:
    """Add everything to a shell: see `load_ipython_extension`."""
    unload(shell)
    magics = WasiUdfMagics(shell=shell)
    shell.register_magics(magics)
    for name in ("%%py_udf", "%py_udf", "%py_functions"):
        shell.set_hook("complete_command", complete, str_key=name)
    errors = ErrorDisplay(shell, magics)
    parts: list[_Part] = [errors, Progress(shell, magics), RelationDisplay(shell, errors)]
    for part in parts:
        part.load()
    shell.meta.duckdb_wasi_udf = parts


def unload(shell: InteractiveShell) -> None:
    """Take everything away again: see `unload_ipython_extension`."""
    for part in shell.meta.pop("duckdb_wasi_udf", []):
        part.unload()
    if "WasiUdfMagics" in shell.magics_manager.registry:
        shell.magics_manager.registry.pop("WasiUdfMagics")
        for kind, name in (("line", "py_udf"), ("cell", "py_udf"), ("line", "py_functions")):
            shell.magics_manager.magics[kind].pop(name, None)
