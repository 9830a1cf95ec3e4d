"""Downloads that fail soon: an address that can't be reached costs seconds, and no silence lasts."""

from __future__ import annotations

import http.client
import queue
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

from wasm.build.places import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

# For looking up a host's name and connecting to it, together.
_REACH_SECONDS = 4.0
# The same once a host was silent that long and no other has answered: there seems to be no network.
_IMPATIENT_REACH_SECONDS = 1.0
# Between two pieces of an answer.
_SILENCE_SECONDS = 20.0
_CHUNK_BYTES = 1 << 16
# Ten times the largest archive: what is longer is not the archive.
_MOST_BYTES = 250 << 20
# Some servers refuse the name that urllib gives.
_HEADERS = {"User-Agent": "duckdb-wasi-udf-build"}
_PORTS = {"http": 80, "https": 443}

# What a look-up ends with when no name server answers; others mean that one did.
_NO_NAME_SERVER = {socket.EAI_AGAIN, socket.EAI_FAIL}


class Network:
    """Remembers what this process found out about the network.

    Attributes:
        index_failure: why pip couldn't reach its index.
    """

    def __init__(self) -> None:
        self.index_failure: str | None = None
        self._failures: dict[tuple[str, int], str | None] = {}
        self._answers = False
        self._was_silent = False

    @property
    def seems_absent(self) -> bool:
        """Return whether a host was silent, and none has answered so far."""
        return self._was_silent and not self._answers

    def check_reachable(self, url: str) -> None:
        """Raise unless a server, or the proxy that leads to it, accepts connections.

        Args:
            url: an address of the server, http or https.

        Raises:
            UnavailableError: it doesn't; known after seconds, and at once the next time.
        """
        proxy = _proxy(url)
        host, port = _server(proxy or url)
        if (host, port) not in self._failures:
            self._failures[host, port] = self._connect(host, port)
        if failure := self._failures[host, port]:
            raise UnavailableError(f"the proxy can't be used: {failure}" if proxy else failure)

    def _connect(self, host: str, port: int) -> str | None:
        """Connect once, and return the reason if that fails."""
        seconds = _IMPATIENT_REACH_SECONDS if self.seems_absent else _REACH_SECONDS
        ends: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()

        def connect() -> None:
            try:
                socket.create_connection((host, port), timeout=seconds).close()
            except OSError as error:
                ends.put(error)
            else:
                ends.put(None)

        # Looking up a name can't be stopped, so a thread does it that nobody has to wait for.
        threading.Thread(target=connect, daemon=True).start()
        try:
            failure = ends.get(timeout=seconds)
        except queue.Empty:
            failure = TimeoutError()
        if isinstance(failure, TimeoutError):
            self._was_silent = True
            return f"no answer from {host} within {seconds:.0f} s"
        if isinstance(failure, socket.gaierror):
            self._answers |= failure.errno not in _NO_NAME_SERVER
            return f"the name {host} can't be looked up; is there a network, or a proxy to name in https_proxy?"
        if failure is None or isinstance(failure, ConnectionRefusedError):
            self._answers = True
        return None if failure is None else f"{host}, port {port}, can't be reached: {failure.strerror or failure}"


network = Network()


def download(url: str, target: Path) -> None:
    """Download a file.

    Args:
        url: its address.
        target: where it goes.

    Raises:
        UnavailableError: it isn't there, or didn't come as a whole.
        OSError: `target` can't be written.
    """
    network.check_reachable(url)
    request = urllib.request.Request(url, headers=_HEADERS)  # noqa: S310 - addresses of wasm/config.toml
    try:
        response = urllib.request.build_opener().open(request, timeout=_SILENCE_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise UnavailableError(_explain(error, url)) from error
    with response, target.open("wb") as file:
        received = 0
        while piece := _read(response, url):
            file.write(piece)
            received += len(piece)
            if received > _MOST_BYTES:
                msg = f"sends more than {_MOST_BYTES >> 20} MiB, which is not the archive"
                raise UnavailableError(msg)
        announced = response.headers.get("Content-Length")
        if announced is not None and announced != str(received):
            msg = f"the download ended after {received} of {announced} bytes; try again"
            raise UnavailableError(msg)


def _read(response: http.client.HTTPResponse, url: str) -> bytes:
    try:
        return response.read1(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(_explain(error, url)) from error


def _server(url: str) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None:
        msg = "the address of the server, or of its proxy in http_proxy or https_proxy, has no host or no valid port"
        raise UnavailableError(msg)
    return host, port or _PORTS.get(parts.scheme, 80)


def _proxy(url: str) -> str | None:
    """Return the proxy for an address, from the environment or the system's settings."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None or urllib.request.proxy_bypass(parts.netloc):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _explain(error: Exception, url: str) -> str:
    """Return one line about a failed request; a proxy is named without its password."""
    code = None
    reason: object = error
    if isinstance(error, urllib.error.HTTPError):
        code = error.code
        reason = f"{error.code} {error.reason}"
    elif isinstance(error, urllib.error.URLError):
        reason = error.reason
    through = ""
    if proxy := _proxy(url):
        host, port = _server(proxy)
        through = f" through the proxy {host}:{port}"
        if "Tunnel connection failed" in str(reason) or code == http.client.PROXY_AUTHENTICATION_REQUIRED:
            return f"refused{through} ({reason}); check {urllib.parse.urlsplit(url).scheme}_proxy and who may use it"
    if code is not None:
        return f"the server answers {reason}{through}"
    if isinstance(reason, TimeoutError):
        return f"silent for {_SILENCE_SECONDS:.0f} s{through}"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate isn't trusted here ({reason.verify_message}){through}; SSL_CERT_FILE can name what is"
    return f"the connection failed{through}: {str(reason) or repr(reason)}"
