"""Whether and when a function is compiled, for arguments of certain types."""

from __future__ import annotations

import hashlib
import logging
import threading
from typing import TYPE_CHECKING, NamedTuple

import wasmtime

from duckdb_wasi_udf._engine.compiled_code import ALWAYS, NEVER
from duckdb_wasi_udf._errors import Cancelled, GuestError, WasiUdfError
from duckdb_wasi_udf._native.layouts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._engine.compiled_code import CodeStore, CompiledCode
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_factory import InstanceFactory
    from duckdb_wasi_udf._guests.native_pool import NativePool

logger = logging.getLogger("duckdb_wasi_udf.functions")

# Compiling takes 3 to 6 ms, and saves most of the time that the rows take. So it pays when they have taken as long.
_SECONDS_BEFORE = 0.005
_ROWS_BEFORE = 16_384

# Looking for kept code takes 0.1 ms and attaching it 0.3 ms, in which the interpreter runs about half a batch. So
# functions do without for as many rows.
_ROWS_WORTH_ATTACHING = 1_024

# A row that compiled code leaves to the interpreter costs half as much again as there. Compiled code is dropped when
# more than this share of its rows is left, over a number of rows.
_MOST_BAILED = 0.3
_ROWS_JUDGED = 8 * 2_048

_TOO_MANY = "it left more than 30 % of the rows to the interpreter"
_CHANGED = "what it was compiled from has changed"


class Compiled(NamedTuple):
    """What became of compiling a function.

    Attributes:
        compiled: rows run by compiled code.
        why_not: why the interpreter runs it; None while it is compiled or may be.
        rows: the rows that compiled code finished.
        bailed: the rows that it left to the interpreter.
    """

    compiled: bool
    why_not: str | None
    rows: int
    bailed: int


NOT_BY_ROW = Compiled(
    compiled=False, why_not="only functions that are called once a row are compiled", rows=0, bailed=0
)


WITH_NUMPY = Compiled(compiled=False, why_not="functions with numpy aren't compiled", rows=0, bailed=0)


class Compilation:
    """Decides for one pool; safe for use by many threads.

    With fuel and in deterministic sandboxes it is decided when the first batch comes, so that neither results nor the
    count of instructions depend on what ran before. Otherwise a function is compiled when it has run for a while, or at
    once if its code was kept.

    Attributes:
        is_fixed: code stays, however many rows it leaves to the interpreter.
    """

    def __init__(
        self,
        store: CodeStore,
        factory: InstanceFactory,
        arguments: Sequence[tuple[pa.DataType, bool]],
        result_type: pa.DataType | None,
        *,
        at_once: bool,
    ) -> None:
        """Prepare to decide.

        Args:
            store: compiles, and keeps code.
            factory: starts instances of the function.
            arguments: each argument's type, and whether the function sees its NULLs.
            result_type: the type of results; None to infer it batch by batch.
            at_once: decide when the first batch comes, once and for all.
        """
        self._store = store
        self._factory = factory
        self._arguments = arguments
        self._result_type = result_type
        self.is_fixed = at_once or store.mode == ALWAYS
        self._fixed = at_once
        self._at_once = at_once or store.mode == ALWAYS
        self._lock = threading.Lock()
        self._decided = store.mode == NEVER
        self._key: str | None = None
        self._seconds, self._rows = 0.0, 0
        self._judged_rows = self._judged_bailed = 0
        self._code: CompiledCode | None = None
        self.why_not: str | None = f"{NEVER} by an environment variable" if self._decided else None
        self.rows = self.bailed = 0

    @property
    def state(self) -> Compiled:
        """What became of it so far."""
        return Compiled(self._code is not None, self.why_not, self.rows, self.bailed)

    def instance(self, context: CallContext, length: int) -> GuestInstance | None:
        """Compile the function if it is time to.

        Args:
            context: the call that needs it. Its time counts on the function's budget.
            length: the rows of the batch to come.

        Returns:
            A fresh, busy instance if one was needed: code is made by a guest that has seen no data. Else None.
        """
        if self._decided:
            return None
        if self._key is None:
            few = self._rows + length <= _ROWS_WORTH_ATTACHING and self._seconds < _SECONDS_BEFORE
            if few and not self._at_once:
                return None
            self._find()
            if self._decided:
                return None
        due = self._at_once or self._rows >= _ROWS_BEFORE or self._seconds >= _SECONDS_BEFORE
        if not due or not self._lock.acquire(blocking=self._fixed):
            return None
        try:
            return None if self._decided else self._compile(context)
        finally:
            self._lock.release()

    def prepare(self, context: CallContext, instance: GuestInstance, last_rows: int | None) -> None:
        """Let an instance run the function as is decided now.

        Args:
            context: the call that needs it.
            instance: the instance.
            last_rows: the rows that it will run before it is dropped; None: it is kept.
        """
        code = self._code
        if instance.code is code:
            return
        if last_rows is not None and last_rows <= _ROWS_WORTH_ATTACHING and not self._at_once:
            return
        instance.code = code  # at most one try
        if code is not None:
            try:
                why = instance.translate(context, code.recipe).why
            except GuestError as error:  # its modules were changed, say
                why = f"the compiler failed ({type(error).__name__})"
            if why is not None:
                self.why_not = self.why_not or why
                return
        instance.use(context, code)

    def count(self, instance: GuestInstance, length: int, seconds: float) -> None:
        """Count a batch that an instance has run.

        Args:
            instance: the instance.
            length: the rows of the batch.
            seconds: how long it was inside the guest.
        """
        self._seconds += seconds
        self._rows += length
        _, compiled, bailed = instance.counts
        if not compiled and not bailed:
            if length and instance.code is not None and instance.code is self._code:
                self.why_not = self.why_not or _CHANGED
            return
        self.rows += compiled
        self.bailed += bailed
        if self._fixed or self._store.mode == ALWAYS:
            return
        self._judged_rows += length
        self._judged_bailed += length - compiled
        if self._judged_rows >= _ROWS_JUDGED:
            if self._judged_bailed > _MOST_BAILED * self._judged_rows:
                self._give_up(_TOO_MANY)
            self._judged_rows = self._judged_bailed = 0

    def is_settled(self, instance: GuestInstance) -> bool:
        """Return whether an instance runs the function as is decided for good, so that it need not be asked again."""
        return self._decided and instance.code is self._code and (self._code is None or self.why_not is None)

    def count_native(self, native: NativePool) -> bool:
        """Count the rows of the native library's calls; return False if it is decided anew because of them."""
        code = self._code
        verdict, compiled, bailed = native.counts(is_compiled=code is not None)
        self.rows += compiled
        self.bailed += bailed
        if code is None or verdict == Verdict.NONE:
            return True
        if verdict == Verdict.CHANGED:
            self.why_not = self.why_not or _CHANGED
        else:
            self._give_up(_TOO_MANY)
        return False

    def explain(self, context: CallContext) -> str:
        """Return in words whether the function can be compiled, and what of it the interpreter does."""
        instance = self._factory.start(context, self._arguments, self._result_type)
        try:
            translation = instance.translate(context)
        finally:
            self._factory.drop(instance)
        if translation.why is not None:
            return f"interpreted, because of {_place(translation.line)}{translation.why}"
        if not translation.left:
            return "can be compiled"
        left = "; ".join(_place(line) + what for line, what in translation.left)
        return f"can be compiled; rows that reach this are interpreted: {left}"

    def _find(self) -> None:
        """Look for code that was kept."""
        parts = (self._factory.definition.full_hash, str(self._arguments), str(self._result_type))
        key = hashlib.sha256(repr(parts).encode()).hexdigest()
        with self._lock:
            if self._key is None:
                self._key = key
                self._code = self._store.find(key)
                self._decided = self._code is not None

    def _compile(self, context: CallContext) -> GuestInstance | None:
        """Compile the function by a fresh instance, and return that if it may run a batch."""
        instance = self._factory.start(context, self._arguments, self._result_type)
        try:
            translation = instance.translate(context)
            if translation.why is not None:
                self._give_up(_place(translation.line) + translation.why)
                self._factory.drop(instance)  # those that have run batches go on, with their state
                return None
            assert self._key is not None
            code = self._store.compile(self._key, translation.module, translation.recipe, translation.lines)
            instance.use(context, code)
            instance.code = self._code = code
            self._decided = True
        except Cancelled:
            self._factory.drop(instance)
            raise
        except (WasiUdfError, wasmtime.WasmtimeError, KeyError) as error:
            # A guest that can't be trusted, or a mistake of the compiler's: the interpreter does it.
            logger.warning("a function is not compiled: %s", error)
            self._give_up(f"the compiler failed ({type(error).__name__})")
            self._factory.drop(instance)
            return None
        except BaseException:
            self._factory.drop(instance)
            raise
        return self._unless_fixed(instance)

    def _unless_fixed(self, instance: GuestInstance) -> GuestInstance | None:
        """Return the instance that has translated; not if batches have to find all instances alike."""
        if not self._fixed:
            return instance
        self._factory.drop(instance)
        return None

    def _give_up(self, why: str) -> None:
        self.why_not = why
        self._code = None
        self._decided = True


def _place(line: int | None) -> str:
    return f"line {line}: " if line else ""
