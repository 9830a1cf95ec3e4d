"""The requests of a batch: checked, made at the same time, and read within limits."""

from __future__ import annotations

import codecs
import http.cookiejar
import ipaddress
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import anyio
import anyio.from_thread
import httpx
from httpx_retries import Retry, RetryTransport

from hostfuncs.http._origins import Origins, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Bytes of a body decompressed at a time: gzip makes up to 1032 of one.
_PIECE_BYTES = 2**16


class Answer(NamedTuple):
    """What a request gave: a status and a body, or an error."""

    status: int | None = None
    body: bytes | str | None = None
    error: str | None = None


class Rules:
    """What requests may do; the parameters are those of `hostfuncs.http.fetch`."""

    def __init__(
        self,
        *,
        origins: Sequence[str] | Mapping[str, Mapping[str, str]],
        methods: Sequence[str],
        as_text: bool,
        private_networks: Sequence[str],
        request_seconds: float,
        batch_seconds: float,
        response_bytes: int,
        batch_bytes: int,
        concurrency: int,
        retries: int,
        backoff_seconds: float,
        redirects: int,
    ) -> None:
        headers: Mapping[str, Mapping[str, str]]
        headers = origins if isinstance(origins, Mapping) else {origin: {} for origin in origins}
        self.origins = Origins(headers, [ipaddress.ip_network(network) for network in private_networks])
        self.methods = [method.upper() for method in methods]
        if not self.methods:
            msg = "methods: at least one has to be allowed"
            raise ValueError(msg)
        if min(request_seconds, batch_seconds, response_bytes, batch_bytes, concurrency) <= 0:
            msg = "request_seconds, batch_seconds, response_bytes, batch_bytes and concurrency have to be positive"
            raise ValueError(msg)
        self.as_text = as_text
        self.request_seconds = request_seconds
        self.batch_seconds = batch_seconds
        self.response_bytes = response_bytes
        self.batch_bytes = batch_bytes
        self.concurrency = concurrency
        self.redirects = redirects
        self.retry = Retry(
            total=retries,
            backoff_factor=backoff_seconds / 2,  # the first retry waits for twice the factor
            retry_on_exceptions=(httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError),
        )


class TooLargeError(Exception):
    """A body is larger than it may be."""


Request = tuple[str | None, str | None, bytes | None]


def fetch_all(rules: Rules, requests: Sequence[Request]) -> list[Answer | None]:
    """Make the requests of a batch.

    Args:
        rules: what they may do.
        requests: url, method and body of each.

    Returns:
        An answer for each, None for those without url.
    """
    with anyio.from_thread.start_blocking_portal() as portal:  # the caller's thread may have an event loop of its own
        return portal.call(_fetch_all, rules, requests)


async def _fetch_all(rules: Rules, requests: Sequence[Request]) -> list[Answer | None]:
    no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    answers: list[Answer | None] = [None] * len(requests)
    todo = iter([(i, *request) for i, request in enumerate(requests)])
    left = rules.batch_bytes

    async def work() -> None:
        """Make requests by a client of its own: httpx's time for a request grows with the square of its connections."""
        async with httpx.AsyncClient(
            transport=RetryTransport(rules.origins.transport(), rules.retry),
            cookies=no_cookies,
            headers={"accept-encoding": "gzip, deflate", "user-agent": "duckdb-wasi-udf"},
            timeout=rules.request_seconds,
            follow_redirects=True,
            max_redirects=rules.redirects,
            trust_env=False,
        ) as client:
            await work_by(client)

    async def work_by(client: httpx.AsyncClient) -> None:
        nonlocal left
        for i, url, method, body in todo:
            if url is None:
                continue
            if left <= 0:
                answers[i] = Answer(error=f"the bodies of the batch are more than {rules.batch_bytes} bytes")
                continue
            answer = await _fetch(rules, client, url, method or rules.methods[0], body)
            left -= len(answer.body or b"")
            answers[i] = answer

    with anyio.move_on_after(rules.batch_seconds):
        async with anyio.create_task_group() as group:
            for _ in range(min(rules.concurrency, len(requests))):
                group.start_soon(work)
    late = Answer(error=f"the batch took more than {rules.batch_seconds:g} s")
    return [
        late if answer is None and url is not None else answer
        for answer, (url, *_) in zip(answers, requests, strict=True)
    ]


async def _fetch(rules: Rules, client: httpx.AsyncClient, url: str, method: str, body: bytes | None) -> Answer:
    """Make a request; the texts of errors are for the guest, and say nothing of the host's network."""
    if method.upper() not in rules.methods:
        return Answer(error=f"the method {method[:20]} is not allowed")
    try:
        with anyio.fail_after(rules.request_seconds):
            async with client.stream(method.upper(), url, content=body) as response:
                content = await read_body(response, rules.response_bytes)
        if not rules.as_text:
            return Answer(response.status_code, content)
        return Answer(response.status_code, _text(content, response.charset_encoding or "utf-8"))
    except RefusedError as error:
        return Answer(error=str(error))
    except (TimeoutError, httpx.TimeoutException):
        return Answer(error=f"no answer within {rules.request_seconds:g} s")
    except TooLargeError:
        return Answer(error=f"the body is larger than {rules.response_bytes} bytes")
    except httpx.TooManyRedirects:
        return Answer(error=f"more than {rules.redirects} redirects")
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        return Answer(error="the url is malformed")
    except httpx.ConnectError:
        return Answer(error="no connection")
    except (httpx.HTTPError, httpx.StreamError, zlib.error):
        return Answer(error="the answer is malformed or broke off")
    except (UnicodeError, LookupError):
        return Answer(error="the body is not text")


def _text(content: bytes, charset: str) -> str:
    """Return a body as text; Unicode's notations for names aren't charsets, and take the square of its length."""
    if codecs.lookup(charset).name in {"idna", "punycode"}:
        raise LookupError(charset)
    return content.decode(charset)


async def read_body(response: httpx.Response, most_bytes: int) -> bytes:
    """Return the body, decompressed piece by piece, so that no more than it may be is ever in memory."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "deflate"}:
        msg = "the body is compressed in a way that wasn't asked for"
        raise RefusedError(msg)
    unpack = None if encoding == "identity" else zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib by its header
    body = bytearray()
    async for raw in response.aiter_raw():
        while raw:
            piece = raw if unpack is None else unpack.decompress(raw, _PIECE_BYTES)
            raw = b"" if unpack is None else unpack.unconsumed_tail  # noqa: PLW2901 - what is left of it
            body += piece
            if len(body) > most_bytes:
                raise TooLargeError
    if unpack is not None and body and not unpack.eof:
        raise zlib.error
    return bytes(body)
