"""Which network addresses whoever names them may have read."""

import ipaddress
import socket
import unicodedata
from typing import TypeAlias
from urllib.parse import urlsplit

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Names that never stand for a machine of the public internet, and what clouds call their own.
_PRIVATE_NAMES = ("localhost", "local", "internal", "lan", "home.arpa", "localdomain", "intranet")
_FULL_STOPS = str.maketrans("。．｡", "...")  # noqa: RUF001 - what resolvers take for a full stop


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST or address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def private_host(url: str) -> str | None:
    """The host of an address of the web that is private by its very spelling; none if it may do.

    Nothing is looked up: what a name stands for is checked when it is connected to.

    Args:
        url: An `http:` or `https:` URL.

    Raises:
        ValueError: It is no URL.
    """
    host = urlsplit(url).hostname or ""
    name = unicodedata.normalize("NFKC", host.translate(_FULL_STOPS)).lower().rstrip(".")
    address = _written_address(name)
    if address is not None:
        return None if is_public(address) else host
    labels = f".{name}"
    if "." not in name or any(labels.endswith(f".{private}") for private in _PRIVATE_NAMES):
        return host
    return None


def _written_address(host: str) -> Address | None:
    """An address in any of the forms that are connected to, such as 0x7f.1 and 2130706433."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None
