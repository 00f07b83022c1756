"""The block that asks services of the web, and a server for it."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from constellation_dagster.blocks.urls import within
from constellation_dagster.blocks.web import fetch_json
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places

HOUSES = [{"id": number, "price": number * 1.5} for number in range(7)]


class _Service(http.server.BaseHTTPRequestHandler):
    """Houses, three on a page, and all that can go wrong with them."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        page = int(query.get("page", ["1"])[0])
        some = HOUSES[(page - 1) * 3 : page * 3]
        headers: dict[str, str] = {}
        status = 200
        body: Any = some
        if url.path == "/all":
            body = {"data": {"items": HOUSES}}
        elif url.path == "/host":
            body = {"host": self.headers["Host"]}
        elif url.path == "/linked" and page < 3:
            headers["Link"] = f'</linked?page={page + 1}>; rel="next", </>; rel="first"'
        elif url.path == "/circle":
            headers["Link"] = '</circle>; rel="next"'
        elif url.path == "/clamped":
            body = HOUSES[:3]
        elif url.path == "/endless":
            body = [{"page": page}]
        elif url.path == "/moved":
            status, headers = 302, {"Location": "/all"}
        elif url.path == "/round":
            status, headers = 302, {"Location": "/round"}
        elif url.path == "/astray":
            status, headers = 302, {"Location": "file:///etc/passwd"}
        elif url.path == "/broken":
            status = 503
        content = b"<html>" if url.path == "/html" else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["/all", "/moved"])
def test_records_within_an_object(service: str, path: str) -> None:
    table = fetch_json(url=service + path, records_path="data.items")
    assert table.rows() == [(house["id"], house["price"]) for house in HOUSES]


def test_the_server_is_called_by_its_name(service: str) -> None:
    host = service.removeprefix("http://")
    assert fetch_json(url=f"{service}/host")["host"].to_list() == [host]


@pytest.mark.parametrize(
    ("path", "paging", "rows"),
    [
        ("/pages", "none", 3),
        ("/pages", "page", 7),
        ("/pages?page=9", "page", 7),
        ("/clamped", "page", 3),
        ("/linked", "link", 7),
        ("/circle", "link", 3),
        ("/pages", "link", 3),
    ],
)
def test_pages(service: str, path: str, paging: Any, rows: int) -> None:
    assert fetch_json(url=service + path, paging=paging)["id"].to_list() == list(range(rows))


def test_no_more_than_asked_for(service: str) -> None:
    table = fetch_json(url=f"{service}/endless", paging="page", first_page=5, limit=2)
    assert table["page"].to_list() == [5, 6]


@pytest.mark.parametrize(
    ("path", "config", "message"),
    [
        ("/broken", {}, r"answers 503 \(Service Unavailable\)"),
        ("/html", {}, "cannot be read as JSON"),
        ("/all", {"records_path": "data.itms"}, "Did you mean 'items'"),
        ("/round", {}, "leads on more than 5 times"),
        ("/astray", {}, "is no address of the web"),
        ("/endless", {"paging": "page"}, "more than 1000 pages"),
    ],
)
def test_mistakes(service: str, path: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(BlockFailed, match=message):
        fetch_json(url=service + path, **config)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9/x", "cannot be read"),
        ("http://no-such-host.invalid/x", "there is no 'no-such-host.invalid'"),
        ("http://[::1/x", "is no address"),
        (f"http://{'a' * 70}.org/x", "there is no|is no address"),
    ],
)
def test_nobody_answers(url: str, message: str) -> None:
    with pytest.raises(BlockFailed, match=message):
        fetch_json(url=url)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1"])
def test_a_person_reaches_the_public_internet_only(tmp_path: Path, host: str) -> None:
    with (
        within(Places((tmp_path,))),
        pytest.raises(BlockFailed, match="no address of the public internet"),
    ):
        fetch_json(url=f"http://{host}:9/x")


def test_other_urls_are_none() -> None:
    with pytest.raises(ValidationError, match="pattern"):
        fetch_json.call({}, {"url": "file:///etc/passwd"}, {})
