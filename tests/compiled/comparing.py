"""Runs a function by the interpreter and compiled, in one instance, and compares."""

from typing import NamedTuple

import wasmtime

from duckdb_wasi_udf import DataLimits, GuestError, ResourceLimits
from duckdb_wasi_udf._engine import artifact
from duckdb_wasi_udf._engine.compiled_code import CompiledCode
from duckdb_wasi_udf._engine.engine import load_engine
from duckdb_wasi_udf._engine.module_check import check_module
from duckdb_wasi_udf._guests.definition import Definition
from tests.compiled.values import plain
from tests.support import guests


class Compared(NamedTuple):
    """What came of both runs.

    Attributes:
        why: why it isn't compiled, else None.
        wanted: what the interpreter makes: ("rows", values, failed rows) or ("error", text).
        found: what compiled code makes.
        bailed: the rows that it left to the interpreter.
        left: what the translation says that it leaves.
    """

    why: str | None
    wanted: tuple
    found: tuple
    bailed: int
    left: tuple = ()


class Comparison:
    """Compares functions, with one engine for all.

    Args:
        before: code that is put before each function's source, which may plant a bug in the guest's compiler.
        timeout_seconds: of each batch.
    """

    def __init__(self, before="", timeout_seconds=10.0):
        self._limits = ResourceLimits(timeout_seconds=timeout_seconds)
        self.engine = load_engine(artifact.find(), timeout_seconds=timeout_seconds)
        self._before = before

    def start(self, source, types, result, *, sees_null=(), return_null=True):
        """A bound instance."""
        definition = Definition.from_source(self._before + source, "f", preferred="f", return_null=return_null)
        instance = guests.make(self.engine, definition, self._limits, DataLimits())
        sees = list(sees_null) or [False] * len(types)
        instance.bind(list(zip(types, sees, strict=True)), result)
        return instance

    def compile(self, instance):
        """Attach compiled code; the translation."""
        translation = instance.translate()
        if translation.why is None:
            kernels = check_module(translation.module)
            module = wasmtime.Module(self.engine._engine, translation.module)
            instance.use(CompiledCode(module, kernels, translation.recipe))
        return translation

    def run(self, source, columns, result, *, sees_null=(), return_null=True):
        """Run a function over columns both ways."""
        types = [column.type for column in columns]
        instance = self.start(source, types, result, sees_null=sees_null, return_null=return_null)
        try:
            translation = self.compile(instance)
            if translation.why is not None:
                return Compared(f"{translation.why} (line {translation.line})", (), (), 0)
            found = outcome(instance, columns)
            bailed = instance.counts.bailed
            instance.use(None)
            wanted = outcome(instance, columns)
            return Compared(None, wanted, found, bailed, translation.left)
        finally:
            instance.close()


def outcome(instance, columns):
    """What a call makes."""
    try:
        array, failed = instance.call(columns, len(columns[0]))
    except GuestError as error:
        return "error", str(error)
    return "rows", plain(array), failed, str(array.type) if array.null_count < len(array) else "only NULL"


def difference(compared, columns):
    """The first rows that differ, for people."""
    if compared.wanted[0] != "rows" or compared.found[0] != "rows":
        return compared.wanted, compared.found
    rows = zip(zip(*map(plain, columns), strict=True), compared.wanted[1], compared.found[1], strict=True)
    return [row for row in rows if row[1] != row[2]][:4], compared.wanted[2:], compared.found[2:]
