"""Which servers are reached: origins on a list, at addresses that were checked."""

from __future__ import annotations

import functools
import ipaddress
import socket
import ssl
from typing import TYPE_CHECKING, TypeAlias

import anyio.to_thread
import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_PORTS = {"http": 80, "https": 443}


class RefusedError(Exception):
    """A request isn't allowed; the text is for the guest."""


class Origins:
    """The list of origins.

    Attributes:
        private_networks: networks that names on the list may lead to although they aren't public.
    """

    def __init__(self, headers: Mapping[str, Mapping[str, str]], private_networks: Sequence[_Network]) -> None:
        """Read the list.

        Args:
            headers: origins, with the headers that are sent there.
            private_networks: networks that names may lead to although they aren't public.

        Raises:
            ValueError: one is no origin.
        """
        self._headers: dict[str, Mapping[str, str]] = {}
        for origin, sent in headers.items():
            url = httpx.URL(origin)
            if url.scheme not in _PORTS or not url.host or url.userinfo or url.raw_path != b"/" or url.fragment:
                msg = (
                    f"an origin is a scheme, a host and a port, such as 'https://api.example.com:8443', not {origin!r}"
                )
                raise ValueError(msg)
            self._headers[_origin(url)] = sent
        self.private_networks = private_networks

    @functools.cached_property
    def tls(self) -> ssl.SSLContext:
        """Settings of encrypted connections; reading the machine's certificates takes some 30 ms."""
        return ssl.create_default_context()

    def headers(self, url: httpx.URL) -> Mapping[str, str]:
        """Return what is sent to the origin of a url.

        Raises:
            RefusedError: it isn't on the list.
        """
        if url.scheme not in _PORTS or not url.host:
            msg = "the url is malformed"
            raise RefusedError(msg)
        if url.userinfo:
            msg = "urls with a user or password aren't allowed"
            raise RefusedError(msg)
        try:
            return self._headers[_origin(url)]
        except KeyError:
            msg = f"the origin {_origin(url)[:100]} is not allowed"
            raise RefusedError(msg) from None

    def transport(self) -> httpx.AsyncBaseTransport:
        """Open connections to these origins."""
        return _Transport(self)


def _origin(url: httpx.URL) -> str:
    """Return the origin of a url, written in one way."""
    return f"{url.scheme}://{url.raw_host.decode().lower().rstrip('.')}:{url.port or _PORTS[url.scheme]}"


class _Transport(httpx.AsyncBaseTransport):
    """Sends each request, redirected ones too, to an address that was checked, if its origin is on the list.

    The url that is connected to has the address for a host, so nothing is resolved a second time; the Host header and
    the name that a certificate is checked against remain. Each origin has a pool of connections of its own, because a
    pool distinguishes connections by address, and a certificate holds for one name.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._pools: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = self._origins.headers(request.url)
        origin = _origin(request.url)
        if origin not in self._pools:
            # A pool for http never encrypts; its settings trust nobody.
            tls = self._origins.tls if request.url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._pools[origin] = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
        headers = httpx.Headers(request.headers)
        headers.update(sent)
        problem: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for address in await self._addresses(request.url):
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": request.url.host},
            )
            try:
                return await self._pools[origin].handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = error
        assert problem is not None
        raise problem

    async def _addresses(self, url: httpx.URL) -> list[_Address]:
        """Return the addresses of a url's host that may be connected to.

        Raises:
            RefusedError: there is none.
            httpx.ConnectError: the name isn't known.
        """
        host = url.host
        try:
            return [ipaddress.ip_address(host)]  # which the list has as it is
        except ValueError:
            pass
        try:
            found = await anyio.to_thread.run_sync(_resolve, host, abandon_on_cancel=True)
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        allowed = [address for address in found if self._may_connect(address)]
        if not allowed:
            msg = "the host has no public address"
            raise RefusedError(msg)
        return allowed

    def _may_connect(self, address: _Address) -> bool:
        """Return whether an address is public, or in a network on the list."""
        inside = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
        if inside is not None and not self._may_connect(inside):
            return False
        if any(address in network for network in self._origins.private_networks if network.version == address.version):
            return True
        stands_for_another = any(address in network for network in _NAT64)
        return address.is_global and not address.is_multicast and not stands_for_another

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()


# Stand for IPv4 addresses of any kind (RFC 6052, RFC 8215).
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))


def _resolve(host: str) -> list[_Address]:
    """Return the addresses of a host, each once."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(address[0])) for *_, address in dict.fromkeys(found)]
