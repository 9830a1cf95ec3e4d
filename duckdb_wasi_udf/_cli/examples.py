"""Examples in the docstrings and comments of a file, run as doctest runs them. This runs in the sandbox."""

from __future__ import annotations
import __future__

import ast
import doctest
import io
import linecache
import sys
import tokenize
import traceback
import types
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


class Block(NamedTuple):
    """A docstring or comment with examples.

    Attributes:
        where: the function or class that has the docstring; "" for the file, and for a comment.
        line: where it begins, counted from 1.
    """

    where: str
    line: int


class Example(NamedTuple):
    """What became of an example.

    Attributes:
        line: where it is, counted from 1.
        code: the code.
        want: the output that is expected.
        got: the output; of a failure, its traceback.
        outcome: "passed", "failed", or "error" if the file or the docstring is wrong.
    """

    line: int
    code: str
    want: str
    got: str
    outcome: str


def find_blocks(source: str) -> list[Block]:
    """Return the docstrings and comments of a source text that have examples."""
    return [Block(where, line) for where, line, _ in _texts(source)]


def run_block(source: str, filename: str, number: int) -> list[Example]:
    """Run the examples of one docstring or comment, after the file itself.

    Args:
        source: the file.
        filename: its name in tracebacks.
        number: the position of the block in what `find_blocks` returns.
    """
    where, line, text = list(_texts(source))[number]
    try:
        examples = doctest.DocTestParser().get_examples(text, where or filename)
    except ValueError as error:
        return [Example(line, "", "", str(error), "error")]
    linecache.cache[filename] = (len(source), None, [part + "\n" for part in source.splitlines()], filename)
    module = types.ModuleType("examples")
    sys.modules[module.__name__] = module
    try:
        flags = __future__.annotations.compiler_flag
        exec(compile(source, filename, "exec", flags, dont_inherit=True), module.__dict__)  # noqa: S102 - the purpose
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the file raises
        return [Example(line, "", "", "".join(traceback.format_exception(error)), "error")]
    recorder = _Recorder(verbose=False)
    test = doctest.DocTest(examples, module.__dict__, where or filename, filename, 0, text)
    recorder.run(test, out=lambda _: None)
    return [Example(line + example.lineno, *rest) for example, *rest in recorder.records]


class _Recorder(doctest.DocTestRunner):
    """Keeps what became of each example, and prints nothing."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__(verbose=verbose)
        self.records: list[tuple[doctest.Example, str, str, str, str]] = []

    def report_start(self, out: Any, test: Any, example: Any) -> None:
        """Say nothing."""

    def report_success(self, out: Any, test: Any, example: doctest.Example, got: str) -> None:
        """Keep an example that gave what is expected."""
        del out, test
        self.records.append((example, example.source, example.want, got, "passed"))

    def report_failure(self, out: Any, test: Any, example: doctest.Example, got: str) -> None:
        """Keep an example that gave something else."""
        del out, test
        self.records.append((example, example.source, example.want, got, "failed"))

    def report_unexpected_exception(self, out: Any, test: Any, example: doctest.Example, exc_info: Any) -> None:
        """Keep an example that raised."""
        del out, test
        text = "".join(traceback.format_exception(exc_info[0], exc_info[1], exc_info[2].tb_next))
        self.records.append((example, example.source, example.want, text, "failed"))


def _texts(source: str) -> Iterator[tuple[str, int, str]]:
    """Return the docstrings and comments that have examples: what has them, where they begin, and their text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, _DEFINITIONS):
            text = ast.get_docstring(node, clean=False)
            if text is not None:
                found.append((getattr(node, "name", ""), node.body[0].lineno, text))
    found += [("", line, text) for line, text in _comments(source)]
    yield from sorted((item for item in found if ">>>" in item[2]), key=lambda item: item[1])


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Return the comments on lines of their own; those of consecutive lines are one."""
    lines: list[str] = []
    begun = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or token.line[: token.start[1]].strip():
            continue
        if begun + len(lines) != token.start[0]:
            if lines:
                yield begun, "\n".join(lines) + "\n"
            begun, lines = token.start[0], []
        lines.append(token.string.lstrip("#").removeprefix(" "))
    if lines:
        yield begun, "\n".join(lines) + "\n"
