"""The nearest neighbours of a vector in a DuckDB table, by comparing it with all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import pyarrow as pa

from duckdb_wasi_udf import HostFunction
from hostfuncs._types import quoted
from hostfuncs.scaling._wrapping import check_counts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

    from hostfuncs._options import Options

# DuckDB's functions by metric: of arrays, which is faster, and of lists. Of inner products the largest is the nearest.
_METRICS = {
    "cosine": ("array_cosine_distance", "list_cosine_distance"),
    "l2": ("array_distance", "list_distance"),
    "inner_product": ("array_negative_inner_product", "list_negative_inner_product"),
}


def nearest(
    source: duckdb.DuckDBPyConnection | str | Path,
    query: str,
    vector: str,
    value: str | Sequence[str],
    *,
    neighbours: int = 5,
    metric: Literal["cosine", "l2", "inner_product"] = "cosine",
    most_distance: float | None = None,
    **options: Unpack[Options],
) -> HostFunction:
    """Find nearest neighbours: `nearest(vector)` gives STRUCT(value ..., distance DOUBLE)[], the nearest first.

    Every vector is compared with every row of the query, when it is called, in DuckDB's own code. The guest sees the
    columns `value` of the rows it finds.

    Args:
        source: a connection, of which a cursor of its own is made (so temporary tables aren't seen), or a database
            file, which is opened for reading.
        query: the rows to search, such as "FROM documents"; a query that reads.
        vector: the column of vectors, FLOAT[n] or DOUBLE[n], or slower a list of any length; rows where it is NULL or
            has another length than the vector that is asked for are left out.
        value: the column, or columns, to return.
        neighbours: the number of rows to return.
        metric: "cosine" (0 is the same direction, 2 the opposite), "l2" (Euclidean) or "inner_product" (negative).
        most_distance: leave out rows that are farther away than that. Those whose distance is no number are left out
            too, such as the cosine distance from a vector of zeros.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of one parameter, FLOAT[]. NULL gives NULL.

    Raises:
        TypeError: the column is none of vectors.
        ValueError: there is no column of a name, the text is not one query, `metric` is another, or a number isn't
            positive; on calling, a vector has another length than those of FLOAT[n], or NULL among its numbers.
        duckdb.Error: the query failed.
    """
    if [statement.type.name for statement in duckdb.extract_statements(query)] != ["SELECT"]:
        msg = "nearest takes one query that reads, such as 'FROM documents'"
        raise ValueError(msg)
    if metric not in _METRICS:
        msg = f"metric must be one of {', '.join(_METRICS)}, got {metric!r}"
        raise ValueError(msg)
    check_counts(neighbours=neighbours)
    con = duckdb.connect(source, read_only=True) if isinstance(source, (str, Path)) else source.cursor()
    relation = con.sql(query)
    types = dict(zip(relation.columns, relation.types, strict=True))
    values = [value] if isinstance(value, str) else list(dict.fromkeys(value))
    if "distance" in map(str.lower, values):
        msg = "the result has a distance of its own; give the column another name in the query"
        raise ValueError(msg)
    missing = [name for name in (vector, *values) if name not in types]
    if missing:
        msg = f"the query has no column {', '.join(missing)}; it has {', '.join(types)}"
        raise ValueError(msg)
    length = _length(vector, types[vector])
    of_arrays, of_lists = _METRICS[metric]
    theirs, asked_for = f"t.{quoted(vector)}", "q.__vector"
    if length is None:
        distance = f"CASE WHEN len({theirs}) = len({asked_for}) THEN {of_lists}({theirs}::FLOAT[], {asked_for}) END"
    else:
        distance = f"{of_arrays}({theirs}::FLOAT[{length}], {asked_for}::FLOAT[{length}])"
    inside = ", ".join(f"{quoted(name)} := t.{quoted(name)}" for name in values)
    outside = ", ".join(f"{quoted(name)} := __values.{quoted(name)}" for name in values)
    text = (
        f"SELECT __row, arg_min(struct_pack({outside}, distance := __distance), __distance, {int(neighbours)}) "
        f"AS found FROM (SELECT q.__row AS __row, struct_pack({inside}) AS __values, "
        f"({distance})::DOUBLE AS __distance FROM ({query}) t, __asked q WHERE {theirs} IS NOT NULL) "
        "WHERE NOT isnan(__distance)"
        + ("" if most_distance is None else f" AND __distance <= {float(most_distance)!r}")
        + " GROUP BY __row"
    )
    return_type = (
        "STRUCT(" + ", ".join([*(f"{quoted(name)} {types[name]}" for name in values), "distance DOUBLE"]) + ")[]"
    )

    def nearest(vector: pa.Array) -> pa.Array:
        """Return the nearest neighbours of a vector, the nearest first."""
        vectors = [one for one in vector.to_pylist() if one is not None]
        if any(None in one for one in vectors):
            msg = "a vector with NULL among its numbers was asked for"
            raise ValueError(msg)
        wrong = [] if length is None else [one for one in vectors if len(one) != length]
        if wrong:
            msg = f"a vector of {len(wrong[0])} numbers was asked for, and those of the table have {length}"
            raise ValueError(msg)
        asked = pa.table({"__row": pa.array(range(len(vector)), pa.int64()), "__vector": vector})
        with con.cursor() as cursor:
            cursor.register("__asked", asked.filter(vector.is_valid()))
            rows = cursor.sql(text).to_arrow_table()
        found = rows.column("found").combine_chunks()
        found = pa.concat_arrays([*([found] if isinstance(found, pa.Array) else found.chunks)])
        place = {row: number for number, row in enumerate(rows.column("__row").to_pylist())}
        empty = pa.array([[], None], found.type)
        places = [
            len(found) + (not valid) if row not in place else place[row]
            for row, valid in enumerate(vector.is_valid().to_pylist())
        ]
        return pa.concat_arrays([found, empty]).take(pa.array(places, pa.int64()))

    return HostFunction(nearest, parameters=["FLOAT[]"], return_type=return_type, batched=True, **options)


def _length(name: str, data_type: Any) -> int | None:
    """Return the length of the vectors of a column; None for lists.

    Raises:
        TypeError: it has no vectors.
    """
    if data_type.id in {"list", "array"}:
        children = dict(data_type.children)
        if str(children["child"]) in {"FLOAT", "DOUBLE"}:
            return int(children["size"]) if data_type.id == "array" else None
    msg = f"the column {name} is of the type {data_type}, not one of vectors such as FLOAT[256] or FLOAT[]"
    raise TypeError(msg)
