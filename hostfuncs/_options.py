"""What every ready-made host function is given besides its own parameters, and the libraries some need."""

from __future__ import annotations

import contextlib
from collections.abc import Callable  # noqa: TC003 - for those who ask for the types of Options
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator


class Options(TypedDict, total=False):
    """Passed on to `duckdb_wasi_udf.HostFunction`, whose docstring explains them.

    Attributes:
        name: what guests call the function by.
        doc: what `help` shows in the guest.
        gate: may refuse a call before it runs.
        timeout_seconds: a timeout of the whole call.
    """

    name: str
    doc: str
    gate: Callable[[Any], object]
    timeout_seconds: float


@contextlib.contextmanager
def extra(name: str) -> Iterator[None]:
    """Around the import of a library that is no dependency of the package.

    Args:
        name: the extra that installs it.

    Raises:
        ImportError: it is not installed; the text says what to do.
    """
    try:
        yield
    except ImportError as error:
        msg = f"{error.name or error} is not installed: pip install 'duckdb-wasi-udf[{name}]'"
        raise ImportError(msg) from error
