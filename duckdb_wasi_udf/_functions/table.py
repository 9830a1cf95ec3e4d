"""Table functions: what a query scans is a stream of Arrow batches, each pulled from a guest when it is wanted."""

from __future__ import annotations

import functools
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._engine.call_context import CallContext
from duckdb_wasi_udf._errors import WasiUdfError
from duckdb_wasi_udf._functions.arrow_stream import ArrowStream
from duckdb_wasi_udf._functions.scan import ScanRunner
from duckdb_wasi_udf._functions.signature import VARIANT, resolve, returnable_type
from duckdb_wasi_udf._functions.table_schema import CallCardinality, CallSchema, beside, inferred_row_type
from duckdb_wasi_udf._guests.budget import Budget
from duckdb_wasi_udf._guests.compilation import NOT_BY_ROW
from duckdb_wasi_udf._guests.definition import Definition
from duckdb_wasi_udf._guests.instance_factory import InstanceFactory
from duckdb_wasi_udf._guests.native_budget import NativeBudget
from duckdb_wasi_udf._guests.native_pool import NativePool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from duckdb_wasi_udf._arrow.sql_type import SqlTypeOf
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.budget import Usage
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_registry import IdleList
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

# Names of columns, as guests get them.
_NAMES = pa.list_(pa.string())


def define_table(
    context: CallContext,
    domain: TrustDomain,
    definition: Definition,
    declared: str | Definition | None,
    types: SqlTypeOf,
    types_later: SqlTypeOf,
    cardinality: Definition | int | None = None,
) -> TableFunction:
    """Return a table function.

    Args:
        context: the call that needs it.
        domain: whose engine and limits apply.
        definition: the function.
        declared: the SQL type of its rows, or a function that returns the columns of each call; None to go by a
            function `schema` beside it or by its annotation.
        types: looks SQL types up, now.
        types_later: looks them up when queries are bound.
        cardinality: the number of rows to expect, or a function that returns it for each call; None to go by a function
            `cardinality` beside it.

    Raises:
        GuestError: the code doesn't compile, defines no function, or raised while it was loaded.
        SignatureError: its annotations don't fit.
    """
    by_call = declared if isinstance(declared, Definition) else None
    counting = cardinality

    def signature(instance: GuestInstance) -> Signature:
        nonlocal by_call, counting
        if declared is None and instance.description.get("schema") and definition.is_text:
            by_call = beside(definition, "schema")
        if counting is None and instance.description.get("cardinality") and definition.is_text:
            counting = beside(definition, "cardinality")
        return_type = VARIANT if by_call is not None else declared
        assert not isinstance(return_type, Definition)
        return resolve(definition.label, instance.description, types, return_type=return_type)

    function = TableFunction(context, domain, definition, signature)
    try:
        if by_call is not None:
            function.call_schema = CallSchema(context, domain, by_call, types_later)
        if isinstance(counting, Definition):
            function.call_cardinality = CallCardinality(context, domain, counting, types_later)
        else:
            function.cardinality = counting
    except BaseException:
        function.close()
        raise
    return function


class TableFunction:
    """A function that returns rows, with its signature. It keeps the instances its scans run on.

    Attributes:
        kind: what DuckDB would call it.
        signature: what it takes and returns. Its result is one row; VARIANT when the arguments or the rows say which
            columns there are.
        source_hash: see `Definition.source_hash`.
        failed_rows: 0, since an exception always fails the query.
        inline: it is the code of a query.
        compiled: never.
        call_schema: says the columns of each call; None when `signature` does, or the rows do.
        call_cardinality: says the number of rows to expect of each call; None without such a function.
        cardinality: the number of rows to expect of any call; None if nobody says.
    """

    kind = "table"
    failed_rows = 0
    compiled = NOT_BY_ROW

    def __init__(
        self,
        context: CallContext,
        domain: TrustDomain,
        definition: Definition,
        signature: Callable[[GuestInstance], Signature],
    ) -> None:
        """Define the function in a first instance, so that its mistakes show now.

        Args:
            context: the call that needs it.
            domain: whose engine and limits apply.
            definition: the function.
            signature: makes its signature, whose result is one row, from the instance it was defined in.

        Raises:
            GuestError: the code doesn't compile, defines no function, or raised while it was loaded.
            SignatureError: its annotations don't fit.
        """
        self.domain = domain
        self.signature, self._factory = InstanceFactory.define(
            domain, context, replace(definition, table=True), signature
        )
        # Whether it may ask which columns are wanted.
        self._asks = "wanted_columns" in definition.encode().decode()
        if self._asks:
            self._factory.drop_idle()
            asking = replace(self._factory.definition.wrapped("_udf_functions.table:for_scan"), hidden_last=1)
            self._factory = InstanceFactory(domain, asking)
        self._inferring_factory = InstanceFactory(
            domain, self._factory.definition.wrapped("_udf_functions.table:with_columns")
        )
        self._label = definition.label
        self.source_hash = definition.source_hash
        self.call_schema: CallSchema | None = None
        self.call_cardinality: CallCardinality | None = None
        self.cardinality: int | None = None
        self._reuse = domain.isolation == "function"
        self._idle: dict[tuple[pa.DataType, ...], IdleList] = {}
        make_budget = Budget if domain.gate is None else functools.partial(NativeBudget, domain.gate)
        self.budget = make_budget(definition.label, domain.limits.budget_seconds)
        self._scans: weakref.WeakSet[ScanRunner] = weakref.WeakSet()
        self.inline = definition.inline
        domain.counters.add(self, definition.label, self.budget)

    def stream(self, context: CallContext, arguments: Sequence[pa.Array], column: str) -> ArrowStream:
        """Return a call of the function.

        Args:
            context: the call that binds the query.
            arguments: arrays of one value each.
            column: the name of the column when rows aren't STRUCTs.

        Raises:
            SignatureError: the arguments don't fit, the columns can't be found, or two have the same name.
            GuestError: the function raised in the first batch, which was needed to infer the columns.
        """
        given = [argument.type for argument in arguments]
        self.signature.bind(given)
        arguments = self.signature.convert(arguments, self.signature.argument_types(given))
        declared, row_type = self.signature.return_type, self.signature.result_type
        if self.call_schema is not None:
            described = self.call_schema(context, arguments)
            declared, row_type = described.name, returnable_type(self._label, described)
        if row_type is None:
            scan = TableScan(self, self.hidden(arguments, None), None)
            try:
                row_type = inferred_row_type(self._label, scan.next(context))
            finally:
                scan.close()
        call = self.call_cardinality
        cardinality = self.cardinality if call is None else call(context, arguments)
        return ArrowStream(
            self.domain,
            self._label,
            declared,
            row_type,
            column,
            lambda wanted: TableScan(self, self.hidden(arguments, wanted), row_type),
            cardinality=cardinality,
        )

    @property
    def usage(self) -> Usage:
        """Counters of its steps."""
        return self.budget.usage

    @property
    def instances(self) -> int:
        """Number of live instances, idle and in scans."""
        idle = self._factory.idle + sum(map(len, list(self._idle.values())))
        return idle + sum(scan.is_open for scan in list(self._scans))

    def explain(self, context: CallContext) -> str:  # noqa: ARG002 - others start a guest
        """Return in words that it is not compiled."""
        return f"{self.signature}: interpreted, because {self.compiled.why_not}"

    def close(self) -> None:
        """Close the instances; scans under way fail at their next step."""
        self.retire()
        for scan in list(self._scans):
            scan.abandon()

    def retire(self) -> None:
        """Close the idle instances now, and those of scans under way when these are done."""
        self._reuse = False
        for said in (self.call_schema, self.call_cardinality):
            if said is not None:
                said.close()
        self._factory.drop_idle()
        for idle in self._idle.values():
            self.domain.instances.drop_idle(idle)

    # ---- for its scans ---------------------------------------------------------------------------------------------

    def runner(self, start: Callable[[CallContext], GuestInstance]) -> ScanRunner:
        """Return the runner of a scan: see `ScanRunner`."""
        runner = ScanRunner(self.domain.instances, self.budget, start, self._native_pool)
        self._scans.add(runner)
        return runner

    def _native_pool(self) -> NativePool | None:
        """Return the native library's part of a scan, whose pool has one instance; None if it runs no steps."""
        gate, budget = self.domain.gate, self.budget
        if gate is None or not isinstance(budget, NativeBudget):
            return None
        return NativePool(gate, budget, self.domain.errors, by_batch=False, is_fixed=True)

    def hidden(self, arguments: Sequence[pa.Array], wanted: Sequence[str] | None) -> Sequence[pa.Array]:
        """Return the arguments of a scan: if the function may ask which columns are wanted, with these at the end."""
        return [*arguments, pa.array([wanted], _NAMES)] if self._asks else arguments

    def _bound(self, argument_types: tuple[pa.DataType, ...]) -> list[tuple[pa.DataType, bool]]:
        if not self._asks:
            return self.signature.bind(argument_types)
        return [*self.signature.bind(argument_types[:-1]), (_NAMES, True)]

    def take(
        self, context: CallContext, argument_types: tuple[pa.DataType, ...], row_type: pa.DataType | None
    ) -> GuestInstance:
        """Return an instance that is bound to these types; None infers the rows'."""
        if row_type is None:
            return self._inferring_factory.start(context, self._bound(argument_types), None)
        idle = self._idle.setdefault((*argument_types, row_type), [])
        return self.domain.instances.take(idle) or self._factory.start(context, self._bound(argument_types), row_type)

    def release(
        self, instance: GuestInstance, argument_types: tuple[pa.DataType, ...], row_type: pa.DataType | None
    ) -> bool:
        """Keep a sound instance for the next scan, if it can be used again; whether it is."""
        if not self._reuse or row_type is None:
            return False
        self.domain.instances.release(self._idle[*argument_types, row_type], instance)
        return True


class TableScan:
    """One call of a table function: see `Scan`.

    Attributes:
        runner: What runs its steps.
    """

    def __init__(self, function: TableFunction, arguments: Sequence[pa.Array], row_type: pa.DataType | None) -> None:
        """Prepare the call.

        Args:
            function: the function.
            arguments: arrays of one value each.
            row_type: the type its rows must fit; None to infer it batch by batch.
        """
        self._function = function
        self._arguments = arguments
        self._types = types = tuple([argument.type for argument in arguments])
        self._row_type = row_type
        self.runner = function.runner(lambda context: function.take(context, types, row_type))
        self._opened = False

    def next(self, context: CallContext) -> pa.Array | None:
        """Return the next rows: see `Scan.next`."""
        context.rows_before = self.runner.rows
        rows = self.runner.step(context, self._step)
        return rows if len(rows) else None

    def close(self) -> None:
        """End the call, at whatever step it is; a generator's `finally` runs now, and what it raises is lost."""
        self.runner.end(self._end)

    def _step(self, context: CallContext, instance: GuestInstance) -> pa.Array:
        if not self._opened:
            instance.open(context, self._arguments)
            self._opened = True
        return instance.next(context)

    def _end(self, instance: GuestInstance) -> bool:
        if self._opened and not instance.broken:
            try:
                with CallContext(self._function.domain.clock, self._function.domain.member) as context:
                    instance.close_cursor(context)
            except WasiUdfError:  # the rows are all there
                return False
        if instance.broken:
            return False
        return self._function.release(instance, self._types, self._row_type)
