"""Errors of code that was tried, as a language model needs them to repair it."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import GuestError, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb_wasi_udf._errors import WasiUdfError
    from duckdb_wasi_udf._functions.inspection import Import

# The file name that the code has in tracebacks.
CODE_NAME = "code"

_LINE = re.compile(rf'File "<{CODE_NAME}>", line (\d+)')
_WHERE = re.compile(r"\n(?:in row \d+ of the batch|in line \d+ of the code|Traceback|  File)")

# What an error advises the owner of the sandbox; a model can't follow it.
_ADVICE = re.compile(r",? or raise ResourceLimits\.[\w.]+")

_PARAMETERS_HINT = (
    "the function is called for each row, with values; write a parameter for each column it uses, of its name"
)

# Mistakes that are made again and again, with what to do.
_HINTS = (
    (
        re.compile(r"'(?:decimal\.)?Decimal' and 'float'|'float' and '(?:decimal\.)?Decimal'"),
        "DECIMAL arrives as decimal.Decimal; annotate the parameter with float to get a float",
    ),
    (
        re.compile(r"the parameter '.*' has no column"),
        _PARAMETERS_HINT,
    ),
    (
        re.compile(r"is not a type that SQL has|is a class, of which SQL has only"),
        (
            "annotations may be bool, int, float, Decimal, str, bytes, date, time, datetime, timedelta, UUID, list[T], "
            "dict[str, T], a TypedDict, NamedTuple or dataclass of these, and T | None; without one the type is found"
        ),
    ),
    (
        re.compile(r"the function returned (?!an? )"),
        "return plain values; if the code makes the function that is meant, write its name in the last line",
    ),
)

# Parts of the text, as much as a model needs: the whole stays below some 1,500 tokens.
_MESSAGE_CHARACTERS = 2_000
_OUTPUT_CHARACTERS = 1_000
_VALUE_CHARACTERS = 200
_SHOWN_COLUMNS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialError:
    """Why code that was tried doesn't work, for whoever repairs it.

    Attributes:
        error: the error itself.
        what: what went wrong: the class of the exception and its message, without traceback.
        line: the line of `Trial.source` where that was, counted from 1; None if it is in none.
        source_line: its text.
        row: the row of the sample, counted from 0; None before any row.
        arguments: the function's arguments in that row, `repr` by parameter.
        columns: the columns of the sample, with their SQL types.
        missing_imports: the modules that the code imports and the sandbox hasn't, with the reason.
        packages: what can be imported beside Python's standard library.
        host_functions: what the code may call as `host.<name>`, with parameters and results.
        python_version: the version of Python that runs the code.
        output: what it printed.
        hints: what to do about mistakes that are made often.
    """

    error: WasiUdfError
    what: str
    line: int | None
    source_line: str | None
    row: int | None
    arguments: dict[str, str]
    columns: dict[str, str]
    missing_imports: dict[str, str]
    packages: tuple[str, ...]
    host_functions: tuple[str, ...]
    python_version: str
    output: str
    hints: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the error as plain values for JSON."""
        described = asdict(self) | {"error": type(self.error).__name__}
        return described | {name: list(described[name]) for name in ("packages", "host_functions", "hints")}

    def for_model(self) -> str:
        """Return the error as text for a language model: short, one fact in a line, without host details."""
        lines = [f"Error: {self.what}"]
        if self.line is not None:
            lines.append(f"Line {self.line}: {(self.source_line or '').strip()[:_VALUE_CHARACTERS]}")
        if self.row is not None:
            passed = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
            lines.append(f"Row {self.row} of the sample (counted from 0), called with: {passed or 'nothing'}")
        if self.columns:
            shown = [f"{name} {sql_type}" for name, sql_type in list(self.columns.items())[:_SHOWN_COLUMNS]]
            more = len(self.columns) - len(shown)
            lines.append(f"Columns: {', '.join(shown)}{f' and {more} more' if more else ''}")
        lines += [f"Hint: {hint}" for hint in self.hints]
        for name, reason in self.missing_imports.items():
            lines.append(f"Can't be imported: {name}" + ("" if reason in self.what else f" ({reason})"))
        available = f"Can be imported: the standard library of Python {self.python_version}"
        lines.append(", ".join([available, *self.packages]) + "; there are no files, network, threads or processes")
        if self.host_functions:
            lines.append(f"Can be called after `import host`: {'; '.join(self.host_functions)}")
        if self.output:
            lines.append(f"Printed: {self.output.strip()[-_OUTPUT_CHARACTERS:]}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.for_model()


def trial_error(
    error: WasiUdfError,
    source: str,
    *,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    columns: dict[str, str],
    imports: Sequence[Import],
    packages: Sequence[str],
    host_functions: Sequence[str],
    python_version: str,
    output: str,
    hints: Sequence[str],
) -> TrialError:
    """Return an error with all that a repair needs.

    Args:
        error: the error.
        source: the code.
        names: the names of the arguments.
        rows: their values in each row.
        columns: SQL types by column of the sample.
        imports: what the code imports.
        packages: what it could import.
        host_functions: what it could call.
        python_version: the guest's.
        output: what it printed.
        hints: further ones.
    """
    line: int | None = None
    row: int | None = None
    arguments: tuple[str, ...] = ()
    if isinstance(error, GuestError):
        row, arguments = error.row, error.arguments
        found = _LINE.findall(error.guest_traceback)
        line = int(found[-1]) if found else None
    elif isinstance(error, LimitExceeded):
        row, line = error.row, error.line
        if row is not None and row >= len(rows):
            row = None  # it wasn't called with a row
        if row is not None:
            arguments = tuple([repr(value)[:_VALUE_CHARACTERS] for value in rows[row]])
    lines = source.strip("\n").splitlines()
    what = _ADVICE.sub("", _WHERE.split(str(error), maxsplit=1)[0]).rstrip(": ")
    known = [hint for pattern, hint in _HINTS if pattern.search(what)]
    if row is not None and not arguments:
        known.append(_PARAMETERS_HINT)
    return TrialError(
        error=error,
        what=what.removeprefix(f"{CODE_NAME}: ")[:_MESSAGE_CHARACTERS],
        line=line,
        source_line=lines[line - 1] if line is not None and 0 < line <= len(lines) else None,
        row=row,
        arguments=dict(zip([*names, *map(str, range(len(names), len(arguments)))], arguments, strict=False)),
        columns=columns,
        missing_imports={each.name: each.missing for each in imports if each.missing is not None},
        packages=tuple(packages),
        host_functions=tuple(host_functions),
        python_version=python_version,
        output=output,
        hints=tuple(dict.fromkeys([*known, *hints])),
    )
