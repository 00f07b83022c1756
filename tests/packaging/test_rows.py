"""Models at addresses that people write into rows."""

import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_dagster.domain.addresses import Address, is_public
from constellation_dagster.domain.packages import PackageError
from constellation_dagster.domain.places import Places
from constellation_dagster.packaging.rows import package_from
from constellation_dagster.packaging.store import PackageStore
from tests.packaging.models import (
    bird_model,
    onnx_model,
    save_onnx,
    save_python_class,
    save_skops,
)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "files").mkdir()
    return Places((tmp_path / "files",))


@pytest.fixture
def server() -> Iterator[str]:
    """A server with a model, and with ways that lead elsewhere."""
    model = onnx_model().SerializeToString()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            moved = {"/moved": "/model.onnx", "/round": "/round", "/file": "file:///etc/passwd",
                     "/inside": "http://10.0.0.1/model.onnx"}  # fmt: skip
            if self.path in moved:
                self.send_response(302)
                self.send_header("Location", moved[self.path])
                self.end_headers()
                return
            found = self.path.startswith("/model.onnx")
            self.send_response(200 if found else 404)
            self.end_headers()
            if found:
                self.wfile.write(model)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://localhost:{running.server_port}"
        running.shutdown()
        thread.join()


def loopback(address: Address) -> bool:
    return address.is_loopback


def test_a_file_in_the_allowed_folders(places: Places, store: PackageStore) -> None:
    save_skops(bird_model().estimator, places.roots[0] / "birds.skops")
    built, card = package_from("birds.skops", card=None, places=places, store=store)
    assert store.verify(built.manifest.digest) == built.manifest
    assert "**Task:** classification" in card
    _, given_card = package_from("birds.skops", card="# Mine", places=places, store=store)
    assert given_card == "# Mine"


def test_a_folder_with_weights_beside_the_model(places: Places, store: PackageStore) -> None:
    save_onnx(places.roots[0] / "m.onnx")
    built, _ = package_from(
        f"file://{places.roots[0]}/m.onnx", card=None, places=places, store=store
    )
    assert built.manifest.flavor == "onnx"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("../secret.onnx", "lies outside the folders"),
        ("/etc/passwd", "lies outside the folders"),
        ("memory://x", "may not be used here"),
        ("models:/birds/1", "may not be used here"),
        ("simplecache::file:///etc/passwd", "may not be used here"),
        ("nothing.onnx", "There is no"),
        ("link.onnx", "lies outside the folders"),
    ],
)
def test_places_that_are_refused(
    places: Places, store: PackageStore, tmp_path: Path, url: str, told: str
) -> None:
    save_onnx(tmp_path / "secret.onnx")
    (places.roots[0] / "link.onnx").symlink_to(tmp_path / "secret.onnx")
    with pytest.raises(PackageError, match=told):
        package_from(url, card=None, places=places, store=store)


def test_code_is_refused(places: Places, store: PackageStore) -> None:
    save_python_class(places.roots[0] / "scale")
    with pytest.raises(PackageError, match="its code would run here"):
        package_from("scale", card=None, places=places, store=store)


@pytest.mark.parametrize("path", ["/model.onnx", "/model.onnx?signature=abc", "/moved"])
def test_a_download(places: Places, store: PackageStore, server: str, path: str) -> None:
    built, _ = package_from(
        f"{server}{path}", card=None, places=places, store=store, is_allowed=loopback
    )
    assert built.manifest.flavor == "onnx"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/nothing", "its server answers 404"),
        ("/round", "leads on more than 5 times"),
        ("/file", "which is no address of the web"),
        ("/inside", "'10.0.0.1' is no address of the public internet"),
    ],
)
def test_downloads_that_come_to_nothing(
    places: Places, store: PackageStore, server: str, path: str, told: str
) -> None:
    with pytest.raises(PackageError, match=told):
        package_from(f"{server}{path}", card=None, places=places, store=store, is_allowed=loopback)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/model.onnx",
        "http://localhost:{port}/model.onnx",
        "http://0.0.0.0:{port}/model.onnx",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "http://192.168.1.1/x",
        "http://2130706433:{port}/model.onnx",
    ],
)
def test_addresses_of_this_machine_and_its_network(
    places: Places, store: PackageStore, server: str, url: str
) -> None:
    address = url.format(port=server.rpartition(":")[2])
    with pytest.raises(PackageError, match="is no address of the public internet"):
        package_from(address, card=None, places=places, store=store)


def test_addresses_of_the_newer_protocol(places: Places, store: PackageStore, server: str) -> None:
    """Their colons look as chained file systems do."""
    port = server.rpartition(":")[2]
    with pytest.raises(PackageError, match="may not be used here"):
        package_from(f"http://[::1]:{port}/x", card=None, places=places, store=store)


def test_names_that_there_are_not(places: Places, store: PackageStore) -> None:
    with pytest.raises(PackageError, match=r"there is no 'nowhere\.invalid'"):
        package_from("https://nowhere.invalid/m.onnx", card=None, places=places, store=store)


@given(st.ip_addresses())
def test_only_public_addresses_are_public(address: Address) -> None:
    if is_public(address):
        assert not address.is_private
        assert not address.is_loopback
        assert not address.is_link_local
        assert not address.is_multicast


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["100.64.0.1", "224.0.0.1", "2002:7f00:1::", "fe80::1", "fd00::1", "::", "::1"]
)
def test_other_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
