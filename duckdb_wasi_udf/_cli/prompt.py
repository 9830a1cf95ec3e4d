"""The prompt of `repl`: editing over many lines, colours, history and completion."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer, Completion
from prompt_toolkit.filters import Condition
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from duckdb_wasi_udf._cli.sql import is_complete
from duckdb_wasi_udf._text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

_COMMANDS = (".explain", ".functions", ".help", ".mode", ".quit", ".read", ".tables", ".timer")

_NAMES = """
    SELECT keyword_name, 'keyword' FROM duckdb_keywords()
    UNION SELECT function_name, 'function' FROM duckdb_functions() WHERE function_name SIMILAR TO '[A-Za-z_]\\w*'
    UNION SELECT table_name, 'table' FROM duckdb_tables() WHERE NOT internal
    UNION SELECT view_name, 'view' FROM duckdb_views() WHERE NOT internal
    UNION SELECT column_name, 'column' FROM duckdb_columns() WHERE NOT internal
"""


class SqlCompleter(Completer):
    """Completes keywords and the names in a database."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._names: list[tuple[str, str]] = []

    def refresh(self) -> None:
        """Read the names again, as statements may have changed them."""
        with contextlib.suppress(duckdb.Error), self._con.cursor() as cursor:  # in an aborted transaction
            found = {(name, kind) for name, kind in cursor.execute(_NAMES).fetchall() if name}
            # Tables and columns first, then functions, then keywords.
            order = ("column", "table", "view", "function", "keyword")
            self._names = sorted(found, key=lambda pair: (order.index(pair[1]), pair[0].lower()))

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """Return what may be meant by the word before the cursor."""
        del complete_event
        line = document.text_before_cursor
        if line.lstrip().startswith("."):
            if " " not in line.strip():
                yield from (
                    Completion(name, -len(line.lstrip())) for name in _COMMANDS if name.startswith(line.lstrip())
                )
            return
        word = document.get_word_before_cursor()
        if not word.strip() or not (word[0].isalpha() or word[0] == "_"):
            return
        seen = set()
        for name, kind in self._names:
            if name.lower().startswith(word.lower()) and name.lower() not in seen:
                seen.add(name.lower())
                text = name.upper() if kind == "keyword" and word.isupper() else name
                yield Completion(text, -len(word), display=printable(text), display_meta=kind)


def history_path() -> Path:
    """Return where inputs are kept from one session to the next, beside those of other shells."""
    return Path.home() / ".duckdb_wasi_udf_history"


def _history() -> History:
    """Return the inputs of earlier sessions; none if they can't be kept."""
    try:
        path = history_path()
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except (OSError, RuntimeError):
        return InMemoryHistory()
    return FileHistory(path)


class Prompt:
    """Asks for inputs."""

    def __init__(self, con: duckdb.DuckDBPyConnection, **terminal: Any) -> None:
        """Prepare to ask.

        Args:
            con: whose names are completed.
            terminal: `input` and `output` of prompt_toolkit, for tests.
        """
        self._completer = SqlCompleter(con)
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            lexer=PygmentsLexer(SqlLexer),
            completer=self._completer,
            complete_while_typing=False,
            multiline=Condition(lambda: not is_complete(get_app().current_buffer.text)),
            prompt_continuation="...> ",
            **terminal,
        )

    def ask(self) -> str | None:
        """Return the next input; None at the end."""
        self._completer.refresh()
        while True:
            try:
                return self._session.prompt("sql> ")
            except KeyboardInterrupt:  # clears what was typed
                continue
            except EOFError:
                return None
