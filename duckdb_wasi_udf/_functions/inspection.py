"""What the guest says of source text before a row of it runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf._errors import ProtocolError
from duckdb_wasi_udf._functions.scalar import ScalarFunction
from duckdb_wasi_udf._functions.signature import resolve
from duckdb_wasi_udf._guests.definition import Definition, Unit
from duckdb_wasi_udf._text import readable

if TYPE_CHECKING:
    from duckdb_wasi_udf._engine.call_context import CallContext
    from duckdb_wasi_udf._guests.trust_domain import TrustDomain

_LABEL = "code"  # as errors call what is tried
_SHOWN_CHARACTERS = 400
_KINDS = frozenset({"row", "async", "table", "class"})


@dataclass(frozen=True, slots=True)
class Import:
    """A module that source text imports.

    Attributes:
        name: the module.
        line: the line of the text.
        missing: why it can't be imported; None if it can.
    """

    name: str
    line: int
    missing: str | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What source text says of itself.

    Attributes:
        name: the function that is meant; None for a lambda, and if it isn't clear.
        kind: "row", "async", "table" for a generator, or "class"; None if there is none.
        parameters: each with its annotation as text, None without one, and whether it is required.
        returns: the annotation of the result.
        imports: what it imports, unless it does without.
    """

    name: str | None
    kind: str | None
    parameters: tuple[tuple[str, str | None, bool], ...]
    returns: str | None
    imports: tuple[Import, ...]


def inspect_source(context: CallContext, domain: TrustDomain, source: str, entry: str | None) -> Inspection:
    """Have a guest read source text: it isn't run, but the modules that it imports are imported.

    Args:
        context: the call that needs it.
        domain: whose limits apply.
        source: the text.
        entry: the name of the function that is meant, or None.

    Raises:
        WasiUdfError: a limit was reached, or the guest crashed.
    """
    imports = {"_inspect": "_udf_functions.inspection:inspect_source"}
    if domain.uses_numpy(Definition.from_source(source, _LABEL)):
        imports["_numpy"] = "numpy"  # so that the guest is the one that would run the code
    unit = Unit(source="_inspect", name="_udf_inspection", imports=imports)
    function = ScalarFunction(
        context,
        domain,
        Definition(label=_LABEL, units=(unit,)),
        lambda instance: resolve(
            _LABEL,
            instance.description,
            domain.sql_type_of,
            parameters=["VARCHAR", "VARCHAR"],
            return_type="VARCHAR",
            sees_null=True,
        ),
    )
    try:
        columns = [pa.array([value], pa.string()) for value in (source, entry)]
        text = function.run(context, columns, 1)[0].as_py()
    finally:
        function.close()
    try:
        return _inspection(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"the guest's inspection of the code is malformed: {error!r}"
        raise ProtocolError(msg) from error


def _inspection(described: dict[str, Any]) -> Inspection:
    """Return what the guest described, every text made sound."""
    return Inspection(
        _shown(described["name"]),
        described["kind"] if described["kind"] in _KINDS else None,
        tuple(
            [
                (str(_shown(item["name"])), _shown(item["annotation"]), bool(item["required"]))
                for item in described["parameters"]
            ]
        ),
        _shown(described["returns"]),
        tuple(
            [
                Import(str(_shown(item["name"])), int(item["line"]), _shown(item["missing"]))
                for item in described["imports"]
            ]
        ),
    )


def _shown(text: object) -> str | None:
    return None if text is None else readable(text)[:_SHOWN_CHARACTERS]
