"""What a person's pipeline reaches over the network: the public internet, and nothing near us."""

import http.server
import ipaddress
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from constellation_dagster.blocks import (
    fetch_json,
    read_csv,
    read_image,
    read_json,
    read_parquet,
    read_text,
    write_csv,
)
from constellation_dagster.blocks.urls import within
from constellation_dagster.domain.addresses import Address, is_public, private_host
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places

REFUSED = "no address of the public internet"


class _Site(http.server.BaseHTTPRequestHandler):
    """A table, and ways that lead to the same server by its other name."""

    seen: list[str]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.seen.append(self.path)
        port = self.headers["Host"].rpartition(":")[2]
        there = {
            "/near": "/data.csv",
            "/inside": f"http://127.0.0.2:{port}/secret.csv",
            "/by-number": f"http://0x7f.2:{port}/secret.csv",
            "/file": "file:///etc/passwd",
        }.get(self.path)
        content = b"a,b\n1,2\n" if self.path.endswith(".csv") else b""
        self.send_response(302 if there else 200 if content else 404)
        if there:
            self.send_header("Location", there)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def site() -> Iterator[int]:
    """The port of a server on 127.0.0.1 and 127.0.0.2."""
    _Site.seen = []
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), _Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def _as_if_public(address: Address) -> bool:
    return str(address) == "127.0.0.1"


def test_where_an_address_leads_is_checked_too(tmp_path: Path, site: int) -> None:
    here = f"http://127.0.0.1:{site}"
    with within(Places((tmp_path,), _as_if_public)):
        assert read_csv(url=f"{here}/data.csv").rows() == [(1, 2)]
        assert read_csv(url=f"{here}/near").rows() == [(1, 2)]
        for way in ("/inside", "/by-number"):
            with pytest.raises(BlockFailed, match=REFUSED):
                read_csv(url=here + way)
        with pytest.raises(BlockFailed):
            read_csv(url=f"{here}/file")
        with pytest.raises(BlockFailed, match="There is no file"):
            read_csv(url=f"{here}/none/of/this")
    assert "/secret.csv" not in _Site.seen
    # A YAML file that an operator reviewed may reach what the process may.
    assert read_csv(url=f"{here}/inside").rows() == [(1, 2)]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        socket.gethostname(),
    ],
)
def test_nothing_near_is_even_asked(tmp_path: Path, site: int, host: str) -> None:
    url = f"http://{host}:{site}/data.csv"
    with within(Places((tmp_path,))):
        for read in (read_csv, read_json, read_parquet, read_text, read_image, fetch_json):
            with pytest.raises(BlockFailed, match=rf"{REFUSED}|[Tt]here is no|is no address"):
                read(url=url)
    assert _Site.seen == []


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "192.168.0.1", "100.64.0.1"])
def test_nor_the_networks_around_it(tmp_path: Path, host: str) -> None:
    with within(Places((tmp_path,))), pytest.raises(BlockFailed, match=REFUSED):
        read_csv(url=f"http://{host}/latest/meta-data")


def test_nothing_is_written_to_the_web(tmp_path: Path, site: int) -> None:
    table = pl.DataFrame({"a": [1]})
    with within(Places((tmp_path,))), pytest.raises(BlockFailed, match=r"cannot be written|public"):
        write_csv(table, url=f"http://127.0.0.1:{site}/x.csv")
    assert _Site.seen == []


@pytest.mark.parametrize(
    "url", ["s3://127.0.0.1:9000/x", "s3://a@b:80/x", "abfs://c@127.0.0.1:9#.core/x", "gs:///x"]
)
def test_a_bucket_is_no_server(tmp_path: Path, url: str) -> None:
    with within(Places((tmp_path,))), pytest.raises(BlockFailed, match="names no bucket"):
        read_csv(url=url)


def test_no_name_of_another_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "houses.csv").write_text("a\n")
    (tmp_path / "hauses.csv").write_text("a\n")
    monkeypatch.chdir(tmp_path)
    with (
        within(Places((tmp_path / "files",))),
        pytest.raises(BlockFailed, match=r"mean 'houses\.csv'"),
    ):
        read_csv(url="hauses.csv")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::1", False),
        ("::ffff:10.0.0.1", False),
        ("::7f00:1", False),
        ("::1", False),
        ("fec0::1", False),
        ("fd00::1", False),
        ("fe80::1", False),
        ("2002:7f00:1::", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    ("host", "private"),
    [
        ("example.org", False),
        ("8.8.8.8", False),
        ("localhost.example.org", False),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("app.localhost", True),
        ("redis", True),
        ("db.internal", True),
        ("metadata.google.internal", True),
        ("printer.local", True),
        ("127.1", True),
        ("2130706433", True),
        ("0x7f.1", True),
        ("0177.0.0.1", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("[fe80::1%25eth0]", True),
        ("１２７．０．０．１", True),  # noqa: RUF001
        ("ⓛocalhost", True),
        ("169。254。169。254", True),
        ("example.org@10.0.0.1", True),
        ("", True),
    ],
)
def test_hosts_that_are_private_by_their_spelling(host: str, private: bool) -> None:
    assert (private_host(f"http://{host}/x") is not None) is private


def test_no_folders_at_all() -> None:
    with within(Places(())), pytest.raises(BlockFailed, match="there are no folders"):
        read_csv(url="houses.csv")
