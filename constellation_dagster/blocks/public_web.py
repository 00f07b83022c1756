"""Connections of the web that lead to allowed addresses only, whatever a name or redirect says."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from constellation_dagster.domain.addresses import Address

if TYPE_CHECKING:
    # Imported where it is used: every process with blocks would start more slowly.
    import aiohttp


class AddressRefused(OSError):
    """An address must not be connected to."""


def client_maker(
    may_connect: Callable[[Address], bool],
) -> "Callable[..., Awaitable[aiohttp.ClientSession]]":
    """What fsspec makes its HTTP sessions with, as `get_client`.

    Each connection's own address is checked, after names are looked up and for every redirect, so
    that no second look-up can mean another one. Proxies of the environment are not used.

    Args:
        may_connect: Which addresses may be connected to.
    """
    return partial(_client, may_connect)


def refused_address(error: BaseException) -> AddressRefused | None:
    """What an error comes from, if it is that an address must not be connected to."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        if isinstance(found, AddressRefused):
            return found
        seen.add(id(found))
        found = found.__cause__ or found.__context__
    return None


async def _client(
    may_connect: Callable[[Address], bool], **options: Any
) -> "aiohttp.ClientSession":
    import aiohttp

    def connected(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, at = info
        # A zone such as %eth0 says which of this machine's networks is meant: none is public.
        address = ipaddress.ip_address(str(at[0]).partition("%")[0])
        if not may_connect(address):
            raise AddressRefused("it leads to no address of the public internet")
        return socket.socket(family=family, type=kind, proto=protocol)

    connector = aiohttp.TCPConnector(socket_factory=connected)
    return aiohttp.ClientSession(connector=connector, **options)
