"""Makes instances of one function that are ready to be called."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.definition import Definition
    from duckdb_wasi_udf._guests.instance import GuestInstance
    from duckdb_wasi_udf._guests.instance_registry import IdleList
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

    _Described = TypeVar("_Described")


class InstanceFactory:
    """Starts instances of a function in a trust domain, and binds them.

    Attributes:
        definition: What every instance is started with.
    """

    def __init__(self, domain: TrustDomain, definition: Definition, spare: IdleList | None = None) -> None:
        """Prepare to start instances.

        Args:
            domain: whose engine and limits apply.
            definition: the function.
            spare: instances of it that are not bound yet, to be used first.
        """
        self.definition = definition
        self._domain = domain
        self._spare: IdleList = [] if spare is None else spare

    @classmethod
    def define(
        cls,
        domain: TrustDomain,
        context: CallContext,
        definition: Definition,
        describe: Callable[[GuestInstance], _Described],
    ) -> tuple[_Described, InstanceFactory]:
        """Define a function in a first instance, so that its mistakes show now.

        Args:
            domain: whose engine and limits apply.
            context: the call that needs it.
            definition: the function.
            describe: returns what is to be known of it, from the instance it was defined in.

        Returns:
            What `describe` returns, and a factory for further instances. The first is its spare, unless the sandbox is
            deterministic: the first instance compiles the code and later ones load its bytecode, so objects lie
            elsewhere in memory, and it would show which batch got the first.
        """
        first = domain.start(context, definition)
        if definition.anonymous:
            definition = definition.named(first.description)
            first.rename(definition.label)
        try:
            described = describe(first)
            compiled = first.compiled(definition)
        except BaseException:
            domain.instances.drop(first)
            raise
        spare: IdleList = []
        if domain.deterministic:
            domain.instances.drop(first)
        else:
            domain.instances.release(spare, first)
        return described, cls(domain, compiled, spare)

    def start(
        self, context: CallContext, arguments: Sequence[tuple[pa.DataType, bool]], result_type: pa.DataType | None
    ) -> GuestInstance:
        """Return an instance that is bound to these types: see `GuestInstance.bind`. It is busy.

        Args:
            context: the call that needs it.
            arguments: each argument's type, and whether the function sees its NULLs.
            result_type: the type its results must fit; None to infer it batch by batch.
        """
        instances = self._domain.instances
        instance = instances.take(self._spare) or self._domain.start(context, self.definition)
        try:
            instance.bind(context, arguments, result_type)
        except BaseException:
            instances.drop(instance)
            raise
        return instance

    def drop(self, instance: GuestInstance) -> None:
        """Close a busy instance."""
        self._domain.instances.drop(instance)

    @property
    def idle(self) -> int:
        """Instances that are not bound yet."""
        return len(self._spare)

    def drop_idle(self) -> None:
        """Close the instances that are not bound yet."""
        self._domain.instances.drop_idle(self._spare)
