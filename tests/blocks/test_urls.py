from pathlib import Path

import pytest

from constellation_dagster.blocks.urls import Places, open_url, within
from constellation_dagster.domain.errors import BlockFailed


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for folder in ("files", "more", "secret"):
        (tmp_path / folder).mkdir()
    (tmp_path / "secret" / "x").write_text("secret")
    (tmp_path / "files" / "link").symlink_to(tmp_path / "secret")
    return Places((tmp_path / "files", tmp_path / "more"))


def read(url: str) -> bytes:
    with open_url(url) as file:
        return file.read()


def write(url: str) -> None:
    with open_url(url, "wb") as file:
        file.write(b"new")


def test_a_person_uses_the_folders_that_are_allowed(places: Places) -> None:
    with within(places):
        write("a/b.txt")
        assert read(str(places.roots[0] / "a" / "b.txt")) == b"new"
        write(f"file://{places.roots[1]}/with%20space")
        assert read(str(places.roots[1] / "with space")) == b"new"


@pytest.mark.parametrize(
    "url",
    [
        "../secret/x",
        "link/x",
        "{root}/../secret/x",
        "file://{root}/../secret/x",
        "file:{root}/..%2Fsecret/x",
        "local://{root}/../secret/x",
        "simplecache::file://{root}/../secret/x",
        "dir::file://{root}/../secret/x",
        "zip://x::{root}/../secret/x",
        "FILE://{root}/../secret/x",
        "memory://x",
        "ftp://example.org/x",
        "github://a:b@c/x",
    ],
)
def test_nothing_leads_outside_them(places: Places, url: str) -> None:
    url = url.format(root=places.roots[0])
    for use in (read, write):
        with within(places), pytest.raises(BlockFailed) as raised:
            use(url)
        assert "may not be used here" in str(raised.value) or "lies outside" in str(raised.value)


def test_it_holds_only_within(places: Places) -> None:
    with within(places):
        pass
    assert read(str(places.roots[0].parent / "secret" / "x")) == b"secret"
