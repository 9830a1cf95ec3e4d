"""Arguments of table functions: constants, known when a query is bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from duckdb_wasi_udf._arrow.types import ARROW_VARIANT, with_small_offsets
from duckdb_wasi_udf._errors import SignatureError
from duckdb_wasi_udf._sql.types import row_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from duckdb_wasi_udf._functions.signature import Parameter, Signature


def constant(name: str, chunk: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return the one value of an argument, as a type the guest has a codec for."""
    if len(chunk) != 1:
        msg = f"{name} is a table function: call it in FROM, with arguments that don't differ from row to row"
        raise SignatureError(msg)
    value = chunk.chunk(0) if isinstance(chunk, pa.ChunkedArray) else chunk
    plain = with_small_offsets(value.type)
    return value if value.type == plain else value.cast(plain)


def constant_text(name: str, what: str, chunk: pa.ChunkedArray | pa.Array) -> str:
    """Return the one value of an argument that is text."""
    text = constant(name, chunk)[0].as_py()
    if not isinstance(text, str):
        msg = f"{name}: the {what} is {text!r}; pass it as VARCHAR"
        raise SignatureError(msg)
    return text


def constant_row_type(
    name: str, schema: pa.ChunkedArray | pa.Array | None, cursor: Callable[[], duckdb.DuckDBPyConnection]
) -> str | None:
    """Return the SQL type of rows that the argument `schema` declares; None when it is NULL or left out.

    `cursor` makes a connection that knows the types that users have created.
    """
    declared = None if schema is None else constant(name, schema)[0].as_py()
    if declared is None:
        return None
    with cursor() as con:
        return row_type(con, name, declared)


def arguments_by_name(signature: Signature, given: pa.Array | None) -> Sequence[pa.Array]:
    """Return the arguments of a call in order, from a STRUCT of them. Defaults take the places before later ones."""
    if given is None or given[0].as_py() is None:
        return []
    if not pa.types.is_struct(given.type) or given.type == ARROW_VARIANT:
        msg = f"{signature.label}: args is a STRUCT of arguments by name, as in {{'n': 10}}, not {given.type}"
        raise SignatureError(msg)
    names = [parameter.name for parameter in signature.parameters]
    known = {name.casefold(): name for name in names}  # SQL doesn't distinguish them
    given_names = [field.name for field in given.type]
    given_names = [name if name in names else known.get(name.casefold(), name) for name in given_names]
    values = dict(zip(given_names, given.flatten(), strict=True))
    rest = [name for name in values if name not in names]
    unknown = [] if signature.rest is not None else rest
    positions = [names.index(name) + 1 for name in values if name in names]
    wanted = names[: len(names) if rest else max(signature.required, *positions, 0)]
    defaults = {parameter.name: parameter for parameter in signature.parameters if parameter.default}
    missing = [name for name in wanted if name not in values and name not in defaults]
    if unknown or missing:
        problem = f"it has no {unknown[0]!r}" if unknown else f"args lacks {missing[0]!r}"
        if not unknown and names.index(missing[0]) >= signature.required:
            problem += ", whose default is no number, text or boolean, or None without '| None' in the annotation"
        msg = f"{signature.label}: the function takes ({', '.join(names)}); {problem}"
        raise SignatureError(msg)
    return [values[name] if name in values else _default(defaults[name]) for name in wanted + rest]


def _default(parameter: Parameter) -> pa.Array:
    """Return the default of a parameter as an argument."""
    declared = parameter.sql_type if parameter.default == (None,) else None
    return pa.array(parameter.default, None if declared is None else declared.arrow_type)


def arguments_of(signature: Signature, given: pa.RecordBatch) -> Sequence[pa.Array]:
    """Return the arguments of a call in order, from columns of one row; those of `*args` have no name."""
    columns = [constant(signature.label, column) for column in given.columns]
    known = [parameter.name.lower() for parameter in signature.parameters]
    names = [name.lower() for name in given.schema.names]
    in_order = all(not name or (i < len(known) and name == known[i]) for i, name in enumerate(names))
    return columns if in_order else arguments_by_name(signature, one_struct(dict(zip(names, columns, strict=True))))


# The parameters of `py_table`.
_INLINE = ("code", "args", "schema")


def inline_arguments(name: str, given: pa.RecordBatch) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
    """Return the arguments of `py_table`: those of its own parameters, and what is passed by other names.

    Args:
        name: its name.
        given: the arguments, in columns of one row; those that were passed by position have no name.

    Raises:
        SignatureError: there are too many, or one is passed twice.
    """
    own: dict[str, pa.Array] = {}
    others: dict[str, pa.Array] = {}
    free = list(_INLINE)
    for label, column in zip(given.schema.names, given.columns, strict=True):
        key = label.lower() or (free[0] if free else "")
        if key in _INLINE and key not in free:
            msg = f"{name}: {key} is passed twice"
            raise SignatureError(msg)
        if not key:
            msg = f"{name} takes code, args and schema; the arguments of the function go into args"
            raise SignatureError(msg)
        if key in free:
            free.remove(key)
            own[key] = constant(name, column)
        else:
            others[label] = constant(name, column)
    return own, others


def one_struct(values: dict[str, pa.Array]) -> pa.Array:
    """Return arguments by name as one STRUCT."""
    return pa.StructArray.from_arrays(list(values.values()), list(values))
