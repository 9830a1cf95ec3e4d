"""The vectors of texts, by any model that runs on the host."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf import HostFunction
from hostfuncs.scaling._waiting import check_wanted, wait_for
from hostfuncs.scaling._wrapping import check_counts, given

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from hostfuncs._options import Options


def embed(
    encode: Callable[[list[str]], Any],
    dimensions: int | None = None,
    *,
    rows: int = 256,
    text_characters: int = 20_000,
    at_once: int = 1,
    **options: Unpack[Options],
) -> HostFunction:
    """Return the vectors of texts: `embed(text)` gives FLOAT[], or FLOAT[n] for `dimensions`.

    Args:
        encode: takes a list of texts and returns a vector of numbers for each, as a numpy array of two dimensions or
            a list of lists, such as the method `encode` or `embed` of a model. Equal texts of a batch are passed once.
        dimensions: the length of the vectors; None for whatever it is.
        rows: the number of texts that are passed at a time. Between two of these calls a stopped query is noticed.
        text_characters: the longest text that is passed.
        at_once: the number of threads that may be in `encode` at a time.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of one parameter. NULL gives NULL.

    Raises:
        TypeError: `encode` can't be called.
        ValueError: a number isn't positive; on calling, a text is too long, or a vector isn't of its length.
    """
    if not callable(encode):
        msg = f"encode is a function of a list of texts, got {encode!r:.200}"
        raise TypeError(msg)
    check_counts(**given(dimensions=dimensions), rows=rows, text_characters=text_characters, at_once=at_once)
    slots = threading.BoundedSemaphore(at_once)

    def embed(text: pa.Array | Sequence[str | None]) -> pa.Array:
        """Return the vector of a text."""
        texts = list(text.to_pylist() if isinstance(text, pa.Array) else text)
        asked = list(dict.fromkeys(one for one in texts if one is not None))
        if asked and max(map(len, asked)) > text_characters:
            msg = f"a text has more than {text_characters:,} characters"
            raise ValueError(msg)
        parts = []
        for start in range(0, len(asked), rows):
            wait_for(lambda seconds: slots.acquire(timeout=seconds))
            try:
                check_wanted()
                parts.append(
                    _vectors(encode(asked[start : start + rows]), len(asked[start : start + rows]), dimensions)
                )
            finally:
                slots.release()
        vectors = pa.concat_arrays([*parts, pa.array([], pa.list_(pa.float32()))])
        place = {one: i for i, one in enumerate(asked)}
        return vectors.take(pa.array([None if one is None else place[one] for one in texts], pa.int64()))

    return_type = "FLOAT[]" if dimensions is None else f"FLOAT[{dimensions}]"
    return HostFunction(embed, parameters=["VARCHAR"], return_type=return_type, batched=True, **options)


def _vectors(encoded: Any, count: int, dimensions: int | None) -> pa.Array:
    """Return what a model returned as an array of lists.

    Raises:
        ValueError: it isn't a vector for each text, or not of this length.
    """
    if not hasattr(encoded, "__iter__"):
        msg = f"the model returned {encoded!r:.100}, which is no vector for each of {count} texts"
        raise ValueError(msg)
    values: Sequence[Any] = encoded.tolist() if hasattr(encoded, "tolist") else [_listed(one) for one in encoded]
    lengths = {len(value) for value in values}
    if len(values) != count or len(lengths) != 1 or (dimensions is not None and lengths != {dimensions}):
        msg = (
            f"the model returned {len(values)} vectors of the length(s) {', '.join(map(str, sorted(lengths)))} for "
            f"{count} texts" + ("" if dimensions is None else f"; {dimensions} is their length")
        )
        raise ValueError(msg)
    return pa.array(values, pa.list_(pa.float32()))


def _listed(vector: Any) -> list[float]:
    return vector.tolist() if hasattr(vector, "tolist") else list(vector)
