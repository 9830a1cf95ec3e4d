"""What an attack is: a guest program, and how it has to end."""

import textwrap
from dataclasses import dataclass
from enum import Enum

from duckdb_wasi_udf import GuestError, GuestTrap, LimitExceeded, ProtocolError

# What the harness passes for a harmless call, and what the function then returns. Attacks get 1, 2, ... for their rows.
HARMLESS_ARGUMENT = 0
HARMLESS_RESULT = 7


@dataclass(frozen=True, slots=True)
class End:
    """How an attack ends.

    Attributes:
        errors: the classes one of which the error has exactly; empty when there is to be none.
        says: what the error's text contains, whatever the case of its letters.
        value: what the first row returns; not looked at with `may_return`.
        may_return: any result will do as well as an error.
    """

    errors: tuple[type, ...] = ()
    says: str = ""
    value: object = None
    may_return: bool = False


def returns(value):
    return End(value=value)


def raises(says):
    return End((GuestError,), says)


def traps(says):
    return End((GuestTrap,), says)


def forges(says):
    return End((ProtocolError,), says)


TIMEOUT = End((LimitExceeded,), "stopped after timeout_seconds")
OUT_OF_MEMORY = End((LimitExceeded,), "ran out of memory, memory_bytes allows")
RESULT_TOO_LARGE = End((LimitExceeded,), "result_bytes allows")

# Python code that recurses gets a RecursionError. Where C code of the interpreter recurses, it depends on what a level
# takes whether its own counter or the end of the stack comes first: both say that the recursion is too deep.
TOO_DEEP = End((GuestError, GuestTrap), "recursion")

# CPython's parser has a limit of its own, and says so with a MemoryError.
TOO_COMPLEX = End((GuestError,), "MemoryError: Parser stack overflowed")
TOO_MANY_BRACKETS = End((GuestError,), "SyntaxError: too many nested parentheses")

# Python frames take memory, not stack: some 10^5 of them may exhaust it before the recursion limit ends them, and when
# they are unwound without memory, CPython may lose the MemoryError and say SystemError instead.
OUT_OF_FRAMES = End((GuestError, LimitExceeded))

# The code owns the guest's memory: whatever it does there ends at the boundary, in a result or in an error of ours.
ANYTHING = End((GuestError, GuestTrap, LimitExceeded, ProtocolError), may_return=True)


class Moment(Enum):
    """When an attack strikes."""

    CALL = "while a row is computed"
    LOAD = "while the code is loaded"
    ITERATION = "while a cursor is pulled from"


@dataclass(frozen=True, slots=True)
class Attack:
    """A guest program with its expected end.

    Attributes:
        name: what it tries.
        end: how it ends.
        code: defines `attack(x)`, which is called with the number of the row; at `Moment.LOAD` loading it is the
            attack.
        moment: when it strikes.
        defect: what is known to be wrong with its end; empty when it ends as it has to.
        rows: the number of its rows in the batch.
        result: the SQL type declared for the result; None to have it inferred.
        return_null: errors of the function become NULL.
        compiled: it is compiled before its first row, and `end.value` has what all rows return.
    """

    name: str
    end: End
    code: str
    moment: Moment = Moment.CALL
    defect: str = ""
    rows: int = 1
    result: str | None = None
    return_null: bool = False
    compiled: bool = False

    @property
    def source(self):
        """The function that is defined: harmless when its argument is `HARMLESS_ARGUMENT`."""
        harmless = HARMLESS_RESULT if self.result is None else None
        if self.moment is Moment.ITERATION:
            harmless = [HARMLESS_RESULT]
        wrapper = f"def f(x):\n    return attack(x) if x != {HARMLESS_ARGUMENT} else {harmless!r}\n\nf\n"
        return textwrap.dedent(self.code).strip("\n") + "\n\n" + wrapper
