"""The host function that makes requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from duckdb_wasi_udf import HostFunction
from hostfuncs._options import extra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from hostfuncs._options import Options

_BODY_TYPES = {"BLOB": pa.binary(), "VARCHAR": pa.string()}


def fetch(
    origins: Sequence[str] | Mapping[str, Mapping[str, str]],
    methods: Sequence[str] = ("GET",),
    *,
    body_type: str = "BLOB",
    private_networks: Sequence[str] = (),
    request_seconds: float = 10.0,
    batch_seconds: float = 30.0,
    response_bytes: int = 2**20,
    batch_bytes: int = 32 * 2**20,
    concurrency: int = 8,
    retries: int = 2,
    backoff_seconds: float = 0.2,
    redirects: int = 5,
    **options: Unpack[Options],
) -> HostFunction:
    """Make requests: `fetch(url, method=None, body=None)` gives STRUCT(status INTEGER, body, error VARCHAR).

    Only origins on the list are reached, at first and by redirects. A name is resolved once for a request and the
    connection goes to an address that was checked, so no answer of a name server leads elsewhere. Addresses that aren't
    public are refused, unless an origin names the address itself or its network is on a list. Each batch has
    connections of its own; cookies aren't kept, and proxies and passwords of the environment aren't used.

    What goes wrong with a request is a text in `error`, with `status` and `body` NULL; an answer of any status is none.
    A NULL url gives NULL, a NULL method the first of `methods`, a NULL body none.

    Args:
        origins: scheme, host and port, such as "https://api.example.com"; with a mapping, headers that are sent to that
            origin alone, which the guest doesn't see.
        methods: which methods are allowed.
        body_type: "BLOB", or "VARCHAR", for which a body has to be text in the charset it names, UTF-8 by default.
        private_networks: networks that names may lead to although they are private, such as "10.1.0.0/16".
        request_seconds: for a request with its redirects and retries.
        batch_seconds: for all requests of a batch; those that aren't over by then fail.
        response_bytes: how large a body may be, decompressed.
        batch_bytes: how large the bodies of a batch may be together; the requests after those aren't made.
        concurrency: the number of requests of a batch that run at a time.
        retries: how often a request that failed, or was answered with status 429, 502, 503 or 504, is tried again, if
            its method allows that (not POST or PATCH).
        backoff_seconds: the pause before the first retry, doubled for each further one, with jitter; a longer one that
            the server asks for is kept.
        redirects: the number of redirects that are followed.
        **options: see `hostfuncs.Options`.

    Returns:
        A batched host function of three parameters.

    Raises:
        ImportError: the extra `http` is not installed.
        ValueError: an origin has a path, no host or another scheme than http and https; a network is none.
    """
    with extra("http"):
        from hostfuncs.http._requests import Rules, fetch_all
    if body_type not in _BODY_TYPES:
        msg = f"body_type must be 'BLOB' or 'VARCHAR', got {body_type!r}"
        raise ValueError(msg)
    rules = Rules(
        origins=origins if not isinstance(origins, str) else (origins,),
        methods=methods,
        as_text=body_type == "VARCHAR",
        private_networks=private_networks,
        request_seconds=request_seconds,
        batch_seconds=batch_seconds,
        response_bytes=response_bytes,
        batch_bytes=batch_bytes,
        concurrency=concurrency,
        retries=retries,
        backoff_seconds=backoff_seconds,
        redirects=redirects,
    )
    result = pa.struct([("status", pa.int32()), ("body", _BODY_TYPES[body_type]), ("error", pa.string())])

    def fetch(url: pa.Array, method: pa.Array | None = None, body: pa.Array | None = None) -> pa.Array:
        """Make a request: its status and body, or what went wrong."""
        columns = [[None] * len(url) if column is None else column.to_pylist() for column in (url, method, body)]
        answers = fetch_all(rules, list(zip(*columns, strict=True)))
        return pa.array([None if one is None else one._asdict() for one in answers], result)

    return_type = f"STRUCT(status INTEGER, body {body_type}, error VARCHAR)"
    parameters: list[Any] = ["VARCHAR", "VARCHAR", "BLOB"]
    return HostFunction(fetch, parameters=parameters, return_type=return_type, batched=True, **options)
