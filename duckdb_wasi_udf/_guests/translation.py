"""What a guest's compiler made of its function: read out of its memory, and not trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from duckdb_wasi_udf import _abi
from duckdb_wasi_udf._arrow.read_result import read_bytes
from duckdb_wasi_udf._engine.module_check import MOST_BYTES
from duckdb_wasi_udf._errors import ProtocolError
from duckdb_wasi_udf._guests.progress import MOST_LINES
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from duckdb_wasi_udf._arrow.linear_memory import LinearMemory

_MOST_DESCRIPTION_BYTES = 65_536
_MOST_RECIPE_BYTES = 2**20
_SHOWN_CHARACTERS = 200
_MOST_NOTES = 5


@dataclass(frozen=True, slots=True)
class Translation:
    """A function as WebAssembly, or the reason why not.

    Attributes:
        why: why it can't be compiled; None if it can.
        line: the line of its source where that is, if it is in one.
        left: [line, construct] of what is left to the interpreter where a row reaches it.
        lines: (offset in the module, line of the source) where code of another line begins.
        module: WebAssembly, unchecked. Empty if it was made from a recipe.
        recipe: what makes other instances accept the module, for them alone.
    """

    why: str | None
    line: int | None
    left: tuple[tuple[int, str], ...]
    lines: tuple[tuple[int, int], ...]
    module: bytes
    recipe: bytes


# There is nothing to describe where a recipe holds.
_HOLDS = Translation(None, None, (), (), b"", b"")


def read_translation(memory: LinearMemory, pointer: int) -> Translation:
    """Read a `udf_translation`.

    Raises:
        ProtocolError: it is not what it claims to be.
    """
    fields = _abi.TRANSLATION_STRUCT.unpack(memory.read(pointer, _abi.TRANSLATION_STRUCT.size))
    if fields[1] == 0:
        return _HOLDS
    bounds = (_MOST_DESCRIPTION_BYTES, MOST_BYTES, _MOST_RECIPE_BYTES)
    description, module, recipe = (
        read_bytes(memory, at, size, most) for at, size, most in zip(fields[::2], fields[1::2], bounds, strict=True)
    )
    try:
        described = json.loads(description)
        if described["compiled"] is True:
            left = [(int(line or 0), _shown(what)) for line, what in described["left"][:_MOST_NOTES]]
            lines = [(int(offset), int(line)) for offset, line in described["lines"]]
            if not all(0 < line < MOST_LINES for _, line in lines):
                msg = "the guest says that there is code of a line that no source has"
                raise ProtocolError(msg)
            return Translation(None, None, tuple(left), tuple(lines), module, recipe)
        line = described["line"]
        return Translation(_shown(described["why"]), line if type(line) is int else None, (), (), b"", b"")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        msg = f"the guest's description of a translation is malformed: {error!r}"
        raise ProtocolError(msg) from error


def _shown(text: object) -> str:
    return readable(str(text))[:_SHOWN_CHARACTERS]
