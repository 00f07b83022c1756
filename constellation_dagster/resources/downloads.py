"""Downloads from addresses that people name: of the public internet only.

Whoever names an address must not reach what only this machine can: services on it, its network,
the metadata service of its cloud. So a name is looked up here, every address that it has is
checked, and the connection goes to an address that was, after each redirect anew.
"""

import ipaddress
import socket
from collections.abc import Callable
from typing import IO

import httpx

from constellation_dagster.domain.addresses import Address, is_public
from constellation_dagster.domain.errors import ConstellationError

MOST_REDIRECTS = 5
_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


class DownloadRefused(ConstellationError):
    """An address cannot be read, or must not be; the message says why."""


def download(
    url: str,
    file: IO[bytes],
    *,
    most_bytes: int,
    is_allowed: Callable[[Address], bool] = is_public,
) -> None:
    """Downloads an `http:` or `https:` URL.

    Args:
        url: What to read.
        file: Where to write.
        most_bytes: How large it may be.
        is_allowed: Which addresses may be connected to.

    Raises:
        DownloadRefused: It cannot be read, is too large, or is not on the public internet.
    """
    here = httpx.URL(url)
    with httpx.Client(timeout=_TIMEOUT) as client:
        for _ in range(MOST_REDIRECTS + 1):
            address = _address(here, url, is_allowed)
            request = client.build_request(
                "GET",
                here.copy_with(host=str(address)),
                headers={"Host": here.netloc.decode()},
                extensions={"sni_hostname": here.host},
            )
            try:
                response = client.send(request, stream=True)
                try:
                    if response.is_redirect:
                        here = here.join(response.headers["location"])
                        continue
                    if response.is_error:
                        raise DownloadRefused(
                            f"{url!r} cannot be read: its server answers {response.status_code}."
                        )
                    _save(response, file, url, most_bytes)
                finally:
                    response.close()
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                raise DownloadRefused(f"{url!r} cannot be read: {reason}.") from error
            return
    raise DownloadRefused(f"{url!r} cannot be read: it leads on more than {MOST_REDIRECTS} times.")


def _address(here: httpx.URL, url: str, is_allowed: Callable[[Address], bool]) -> Address:
    if here.scheme not in ("http", "https") or not here.host:
        raise DownloadRefused(f"{url!r} leads to {str(here)!r}, which is no address of the web.")
    port = here.port or (443 if here.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(here.host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise DownloadRefused(f"{url!r} cannot be read: there is no {here.host!r}.") from error
    # A zone such as %eth0 says which of this machine's networks is meant: none of them is public.
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not all(map(is_allowed, addresses)):
        raise DownloadRefused(
            f"{url!r} may not be read: {here.host!r} is no address of the public internet. Put "
            "the file into a folder or a bucket that may be used."
        )
    return addresses[0]


def _save(response: httpx.Response, file: IO[bytes], url: str, most_bytes: int) -> None:
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > most_bytes:
            raise DownloadRefused(f"{url!r} is larger than {most_bytes} bytes.")
        file.write(chunk)
