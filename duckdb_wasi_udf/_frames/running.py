"""Functions of `batch_function` in the sandboxes of this process."""

from __future__ import annotations

import contextlib
import hashlib
import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._frames.workers import Kept
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._guests.trust_domain import IncomingCall, TrustDomain
from duckdb_wasi_udf._shared.identifiers import quote_identifier
from duckdb_wasi_udf._sql.types import sql_type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb_wasi_udf._arrow.sql_type import SqlType
    from duckdb_wasi_udf._frames.settings import SandboxSettings
    from duckdb_wasi_udf._functions.signature import Signature
    from duckdb_wasi_udf._guests.definition import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What it takes to run a function in any process. It can be pickled.

    Attributes:
        settings: of the sandbox.
        definition: the function.
        columns: the columns that it adds; None to go by its annotation.
        sees_null: every NULL arrives as None.
        any_rows: it returns any number of rows for each row.
    """

    settings: SandboxSettings
    definition: Definition
    columns: Mapping[str, SqlType] | None
    sees_null: bool
    any_rows: bool

    @property
    def digest(self) -> str:
        """A hash: recipes with the same one make functions that are alike. What errors call them doesn't count."""
        nameless = replace(self.definition, label="", anonymous=False)
        return hashlib.sha256(
            pickle.dumps((self.settings.digest, nameless, self.columns, self.sees_null, self.any_rows))
        ).hexdigest()

    def open(self) -> Running:
        """Return the function in a sandbox of this process, which recipes with the same settings share.

        Raises:
            GuestError: the code doesn't compile, or raised while it was loaded.
            SignatureError: its types don't fit.
        """
        with contextlib.ExitStack() as stack:
            domain = stack.enter_context(domains.use(self.settings.digest, self.settings.open))
            running = Running(domain, self)
            running.use = stack.pop_all()
            return running

    @property
    def guest_definition(self) -> Definition:
        """The function as it is called for each row."""
        if not self.any_rows:
            return self.definition
        only = None
        if self.columns is not None and len(self.columns) == 1:
            ((name, sql_type),) = self.columns.items()
            only = name, sql_type.name.startswith(("STRUCT", "MAP", "JSON"))
        return self.definition.wrapped("_udf_functions.map:all_rows", only=only)

    @property
    def return_type(self) -> str | None:
        """The SQL type of what it returns for each row; None to go by the annotation."""
        if self.columns is None:
            return None
        if len(self.columns) == 1 and not self.any_rows:
            return next(iter(self.columns.values())).name
        fields = [f"{quote_identifier(name)} {sql_type.name}" for name, sql_type in self.columns.items()]
        return f"STRUCT({', '.join(fields)}){'[]' if self.any_rows else ''}"

    def signature(self, label: str, description: dict[str, Any]) -> Signature:
        """Return what the function takes and returns for each row.

        Args:
            label: how errors name it.
            description: what the guest says of it, which is not trusted.

        Raises:
            SignatureError: its annotations don't fit.
        """
        try:
            return resolve(label, description, sql_type_of, return_type=self.return_type, sees_null=self.sees_null)
        except SignatureError as error:
            if not self.any_rows and "Iterator[" in str(error):
                error.add_note("a function that yields rows takes rows='any'")
            raise


class Running:
    """A function in a sandbox of this process, for as long as it is called.

    Attributes:
        domain: the sandbox.
        function: the function.
        definition: what it was made from, with its name.
        name: what its code calls it.
        use: keeps the sandbox open until it is closed.
    """

    def __init__(self, domain: TrustDomain, recipe: Recipe) -> None:
        """Define the function: see `Recipe.open`."""
        self.domain = domain
        self.use = contextlib.ExitStack()
        self.definition = recipe.definition
        self.name = recipe.definition.label

        def signature(instance: Any) -> Signature:
            self.definition = self.definition.named(instance.description)
            self.name = str(instance.description.get("name", self.name))
            return recipe.signature(self.definition.label, instance.description)

        with IncomingCall(domain) as context:
            self.function = ScalarFunction(context, domain, recipe.guest_definition, signature)

    def close(self) -> None:
        """Close its instances; the sandbox stays for others."""
        self.function.close()
        self.use.close()


domains: Kept[TrustDomain] = Kept(lambda domain: domain.close())
functions: Kept[Running] = Kept(Running.close)
