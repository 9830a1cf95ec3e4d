"""Cells that define a function: run, and searched for the one that is meant."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from duckdb_wasi_udf._shared.column import Column
from duckdb_wasi_udf._shared.entry import ambiguous, assigned, choose, pasted

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

# Annotations of what yields rows.
_ITERATORS = re.compile(r"\b(Async)?(Iterator|Iterable|Generator)\b")

# The variable that a lambda of its own is assigned to, only while it is registered.
_LAMBDA = "_py_udf_"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as text, and which of its functions is meant.

    Attributes:
        text: Python code, its magics transformed.
        tree: its syntax tree.
        function: the name of the function that is meant.
    """

    text: str
    tree: ast.Module
    function: str

    @property
    def entry(self) -> str | None:
        """Name of the function in the text; None for a lambda, which has none."""
        return None if self.function == _LAMBDA else self.function


def read_cell(shell: InteractiveShell, text: str, name: str | None) -> Cell:
    """Return a cell that defines a function.

    Args:
        shell: IPython's shell.
        text: the cell below its magic.
        name: the SQL name; None without one.

    Raises:
        UsageError: it isn't Python, or defines no function, or several that may be meant.
    """
    # The line of the magic counts, so that errors have the numbers that the cell shows.
    code = "\n" + shell.transform_cell(text)
    try:
        tree = shell.compile.ast_parse(code, filename=shell.compile.cache(code, shell.execution_count, raw_code=text))
    except SyntaxError as error:
        better = pasted(code, error)
        msg = f"line {error.lineno} of the cell: {type(error).__name__}: {error.msg}: {(error.text or '').strip()}"
        raise UsageError(msg if better is None else str(better.msg)) from None
    assert isinstance(tree, ast.Module)
    last = tree.body[-1] if tree.body else None
    found = choose(tree, name)
    if found is None or (isinstance(found, str) and name is not None and found.casefold() != name.casefold()):
        found = assigned(tree, name) or found
    if isinstance(found, tuple):
        msg = f"{str(ambiguous(found)).partition('; ')[0]}; write the name of the one that is meant after %%py_udf"
        raise UsageError(msg)
    if found is None and isinstance(last, ast.Expr) and isinstance(last.value, ast.Lambda):
        if name is None:
            msg = "a lambda has no name; write one after %%py_udf"
            raise UsageError(msg)
        found = _LAMBDA
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name(_LAMBDA, ast.Store())], last.value), last)
        ast.fix_missing_locations(tree)
    if found is None:
        msg = "the cell defines no function; write a def, a class or a lambda"
        raise UsageError(msg)
    return Cell(code, tree, found)


def run_cell(shell: InteractiveShell, cell: Cell) -> Any:
    """Run a cell in the notebook's namespace, and return the function that is meant."""
    __tracebackhide__ = True
    filename = shell.compile.cache(cell.text, shell.execution_count, raw_code=cell.text)
    code = shell.compile(shell.transform_ast(cell.tree), filename, "exec")
    exec(code, shell.user_ns)  # noqa: S102 - as any cell is
    return shell.user_ns.pop(_LAMBDA) if cell.function == _LAMBDA else shell.user_ns[cell.function]


def kind_of(function: Callable[..., Any]) -> str:
    """Return what a function makes in SQL: "scalar", "aggregate" or "table".

    A class with a method `step` is an aggregate. A generator makes a table, and so does what is annotated to return an
    iterator. A function of columns is a scalar one whatever it returns.
    """
    if isinstance(function, type):
        return "aggregate" if callable(getattr(function, "step", None)) else "scalar"
    annotations = dict(getattr(inspect.unwrap(function), "__annotations__", {}))
    returned = annotations.pop("return", None)
    if any(
        annotation is Column or re.match(r"(\w+\.)*Column\b", str(annotation)) for annotation in annotations.values()
    ):
        return "scalar"
    if inspect.isgeneratorfunction(inspect.unwrap(function)) or _ITERATORS.search(str(returned)):
        return "table"
    return "scalar"


def kind_of_text(cell: Cell) -> str:
    """Return the same of a function that isn't run here."""
    for node in ast.walk(cell.tree):
        if isinstance(node, ast.ClassDef) and node.name == cell.function:
            methods = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
            return "aggregate" if "step" in methods else "scalar"
        if isinstance(node, ast.FunctionDef) and node.name == cell.function:
            arguments = [*node.args.posonlyargs, *node.args.args]
            if any(each.annotation and re.search(r"\bColumn\b", ast.unparse(each.annotation)) for each in arguments):
                return "scalar"
            if _yields(node) or (node.returns is not None and _ITERATORS.search(ast.unparse(node.returns))):
                return "table"
    return "scalar"


def _yields(function: ast.FunctionDef) -> bool:
    pending: list[ast.AST] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(node)
    return False
