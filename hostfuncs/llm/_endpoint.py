"""Requests to an OpenAI-compatible endpoint: the key goes there and nowhere else."""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

from hostfuncs.http._origins import RefusedError
from hostfuncs.http._requests import TooLargeError, read_body
from hostfuncs.scaling._event_loop import close_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hostfuncs.llm._budget import Budget

logger = logging.getLogger("hostfuncs.llm")

# Statuses after which a request is made again; 529 is what some services call overloaded.
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

# Of what a service says of an error, as much as is logged.
_LOGGED_CHARACTERS = 500


class ServiceError(Exception):
    """The service gave no answer; the text is for the guest."""


class BusyError(ServiceError):
    """The service gave no answer, and may give one later.

    Attributes:
        retry_after: the seconds that it wants to be left alone for; None if it doesn't say.
    """

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class Endpoint:
    """An endpoint with its key, and what its answers may cost."""

    def __init__(
        self,
        base_url: str,
        api_key: str | Callable[[], str] | None,
        *,
        headers: Mapping[str, str],
        client: Callable[[], httpx.AsyncClient] | None,
        request_seconds: float,
        response_bytes: int,
        budget: Budget,
    ) -> None:
        """Check the address.

        Raises:
            ValueError: it isn't that of a server.
        """
        url = httpx.URL(base_url)
        if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
            msg = f"base_url is the address of a service, such as 'https://api.openai.com/v1', got {base_url!r}"
            raise ValueError(msg)
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._headers = dict(headers)
        self._make_client = client
        self._client: httpx.AsyncClient | None = None
        self._request_seconds = request_seconds
        self._response_bytes = response_bytes
        self._budget = budget

    async def post(self, path: str, body: dict[str, Any], tokens: int) -> dict[str, Any]:
        """Make a request, and charge the budget.

        Args:
            path: below the base URL, such as "/chat/completions".
            body: what is sent.
            tokens: the most that it may take.

        Returns:
            The JSON object of the answer.

        Raises:
            BudgetSpentError: there aren't as many tokens left.
            ServiceError: there is no answer.
        """
        self._budget.reserve(tokens)
        used = tokens  # what isn't known was used
        try:
            status, headers, content = await self._send(path, body)
            if status != httpx.codes.OK:
                used = 0
                self._log(path, status, content)
                text = f"the service answered with status {status}"
                if status in _AGAIN:
                    raise BusyError(text, _seconds(headers.get("retry-after")))
                raise ServiceError(text)
            answer = _object(content)
            used = _tokens(answer, tokens)
        except httpx.ConnectError as error:
            used = 0
            msg = "no connection to the service"
            raise BusyError(msg) from error
        finally:
            self._budget.settle(tokens, used)
        return answer

    async def _send(self, path: str, body: dict[str, Any]) -> tuple[int, httpx.Headers, bytes]:
        """Return status, headers and content of the answer."""
        if self._client is None:
            self._client = self._make_client() if self._make_client else httpx.AsyncClient(trust_env=False)
            close_with(self, self._client.aclose)
        try:
            async with (
                asyncio.timeout(self._request_seconds),
                self._client.stream(
                    "POST",
                    self._base_url + path,
                    content=json.dumps(body).encode(),
                    headers=self._all_headers(),
                    timeout=self._request_seconds,
                    follow_redirects=False,
                ) as response,
            ):
                return response.status_code, response.headers, await read_body(response, self._response_bytes)
        except httpx.ConnectError:
            raise
        except (TimeoutError, httpx.TimeoutException) as error:
            msg = f"the service gave no answer within {self._request_seconds:g} s"
            raise BusyError(msg) from error
        except TooLargeError as error:
            msg = f"the answer of the service is larger than {self._response_bytes} bytes"
            raise ServiceError(msg) from error
        except (httpx.HTTPError, httpx.StreamError, zlib.error, RefusedError) as error:
            msg = "the answer of the service broke off"
            raise BusyError(msg) from error

    def _all_headers(self) -> dict[str, str]:
        key = self._api_key() if callable(self._api_key) else self._api_key
        headers = {"content-type": "application/json", "accept-encoding": "gzip, deflate"}
        return headers | ({} if key is None else {"authorization": f"Bearer {key}"}) | self._headers

    def _log(self, path: str, status: int, content: bytes) -> None:
        """Log what the service says of an error, for the host alone; it may quote the key."""
        text = content.decode(errors="replace")[:_LOGGED_CHARACTERS]
        for secret in self._all_headers().values():
            for part in secret.split():
                text = text.replace(part, "***") if len(part) > 7 else text
        logger.warning("%s answered with status %d: %r", path, status, text)


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds that a header asks to wait, in seconds or as a date; None if it is neither."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        try:
            left = parsedate_to_datetime(retry_after or "") - datetime.now(UTC)
        except (ValueError, TypeError, OverflowError):  # no date, or one without a time zone
            return None
        seconds = max(left.total_seconds(), 0.0)
    return seconds if 0 <= seconds < float("inf") else None


def _object(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError) as error:
        msg = "the answer of the service is not JSON"
        raise BusyError(msg) from error
    if not isinstance(answer, dict):
        msg = "the answer of the service is no object"
        raise BusyError(msg)
    return answer


def _tokens(answer: dict[str, Any], otherwise: int) -> int:
    """Return the tokens that an answer says it took, or the most it may have."""
    usage = answer.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return total if type(total) is int and total >= 0 else otherwise
