"""Pages of records, fetched from services of the web."""

import ipaddress
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from constellation_dagster.blocks.records import find_records, parse_json
from constellation_dagster.blocks.urls import may_connect
from constellation_dagster.domain.errors import BlockFailed

if TYPE_CHECKING:
    # Imported where it is used: every process with blocks would start more slowly.
    import httpx

Paging: TypeAlias = Literal["none", "link", "page"]
Records: TypeAlias = list[Mapping[str, object]]

_SECONDS, _SECONDS_TO_CONNECT = 30.0, 10.0
_MOST_BYTES = 50_000_000
_MOST_PAGES = 1_000
_MOST_REDIRECTS = 5


def fetch_pages(
    url: str, records_path: str | None, *, paging: Paging, page_parameter: str, first_page: int
) -> Iterator[Records]:
    """The records of one page after the other.

    Raises:
        BlockFailed: A page cannot be read or has no records; the message says why.
    """
    import httpx

    timeout = httpx.Timeout(_SECONDS, connect=_SECONDS_TO_CONNECT)
    with httpx.Client(timeout=timeout) as client:
        yield from _pages(client, url, records_path, paging, page_parameter, first_page)


def _pages(
    client: "httpx.Client",
    url: str,
    records_path: str | None,
    paging: Paging,
    page_parameter: str,
    first_page: int,
) -> Iterator[Records]:
    import httpx

    try:
        here = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise BlockFailed(f"url: {url!r} is no address: {error}.") from error
    if paging == "page":
        here = here.copy_set_param(page_parameter, first_page)
    seen: set[httpx.URL] = set()
    before: Records | None = None
    for number in range(first_page, first_page + _MOST_PAGES):
        seen.add(here)
        answer = _get(client, here)
        document = parse_json(answer.content, url=str(here))
        page = find_records(document, records_path, url=str(here))
        if paging == "page" and (not page or page == before):
            return
        yield page
        before = page
        if paging == "page":
            here = here.copy_set_param(page_parameter, number + 1)
        elif paging == "none" or answer.next is None or answer.next in seen:
            return
        else:
            here = answer.next
    raise BlockFailed(f"{url!r} has more than {_MOST_PAGES} pages.", "Set a lower limit.")


@dataclass(frozen=True)
class _Answer:
    content: bytes
    next: "httpx.URL | None"
    """The next page, if the server names one."""


def _get(client: "httpx.Client", url: "httpx.URL") -> _Answer:
    import httpx

    here = url
    for _ in range(_MOST_REDIRECTS + 1):
        # The connection goes to the address that was checked: the name may mean another later.
        request = client.build_request(
            "GET",
            here.copy_with(host=_address(here)),
            headers={"Host": here.netloc.decode(), "Accept": "application/json"},
            extensions={"sni_hostname": here.host},
        )
        try:
            response = client.send(request, stream=True)
            try:
                if response.is_redirect:
                    here = here.join(response.headers["location"])
                    continue
                if response.is_error:
                    raise BlockFailed(
                        f"{str(url)!r} cannot be read: its server answers {response.status_code} "
                        f"({response.reason_phrase or 'an error'})."
                    )
                following = response.links.get("next", {}).get("url")
                return _Answer(
                    content=_content(response, url),
                    next=here.join(following) if following else None,
                )
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise BlockFailed(f"{str(url)!r} cannot be read: {reason}.") from error
    raise BlockFailed(f"{str(url)!r} leads on more than {_MOST_REDIRECTS} times.")


def _content(response: "httpx.Response", url: "httpx.URL") -> bytes:
    content = bytearray()
    for chunk in response.iter_bytes():
        content += chunk
        if len(content) > _MOST_BYTES:
            raise BlockFailed(f"The answer of {str(url)!r} is larger than {_MOST_BYTES} bytes.")
    return bytes(content)


def _address(url: "httpx.URL") -> str:
    if url.scheme not in ("http", "https") or not url.host:
        raise BlockFailed(f"{str(url)!r} is no address of the web.")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise BlockFailed(f"{str(url)!r} cannot be read: there is no {url.host!r}.") from error
    # A zone such as %eth0 says which of this machine's networks is meant: none of them is public.
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not all(map(may_connect, addresses)):
        raise BlockFailed(
            f"{str(url)!r} may not be read: {url.host!r} is no address of the public internet."
        )
    return str(addresses[0])
