"""Blocks that read, change, measure and write images."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from constellation_dagster.blocks.image_files import read_image, write_image
from constellation_dagster.blocks.images import (
    image_statistics,
    resize_image,
    tile_image,
    to_grayscale,
)
from constellation_dagster.blocks.urls import within
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places

PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


@pytest.fixture
def image() -> PIL.Image.Image:
    return PIL.Image.fromarray(PIXELS)


def _saved(path: Path, mode: str, **options: Any) -> str:
    with PIL.Image.new(mode, (4, 3)) as made:
        made.save(path, **options)
    return str(path)


@pytest.mark.parametrize("ending", ["png", "tif", "bmp", "webp", "jpg"])
def test_images_go_out_and_come_in(tmp_path: Path, image: PIL.Image.Image, ending: str) -> None:
    written = write_image(image, url=str(tmp_path / f"new/a.{ending}"))
    assert written.size == (tmp_path / f"new/a.{ending}").stat().st_size
    read = read_image(url=written.url)
    assert (read.mode, read.size) == ("RGB", (7, 5))
    if ending in ("png", "tif", "bmp"):
        assert np.array_equal(np.asarray(read), PIXELS)


@pytest.mark.parametrize(
    ("mode", "name", "becomes"),
    [
        ("P", "a.gif", "RGB"),
        ("CMYK", "a.jpg", "RGB"),
        ("I;16", "a.png", "I;16"),
        ("I;16B", "a.tif", "I;16"),
        ("1", "a.png", "1"),
        ("LA", "a.png", "LA"),
    ],
)
def test_every_mode_can_be_kept(tmp_path: Path, mode: str, name: str, becomes: str) -> None:
    image = read_image(url=_saved(tmp_path / name, mode))
    assert image.mode == becomes
    assert read_image(url=write_image(image, url=str(tmp_path / "kept.png")).url).mode == becomes


def test_photos_come_the_right_way_up(tmp_path: Path) -> None:
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    assert read_image(url=_saved(tmp_path / "a.jpg", "RGB", exif=turned)).size == (3, 4)


def _bomb() -> bytes:
    """A small file that says to be an image of 900 million pixels."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_mistakes_in_files(tmp_path: Path, image: PIL.Image.Image) -> None:
    file = tmp_path / "a.png"
    for content, message in (
        (b"text", "is no image"),
        (b"", "is no image"),
        (_bomb(), "900000000 pixels"),
    ):
        file.write_bytes(content)
        with pytest.raises(BlockFailed, match=message):
            read_image(url=str(file))
    write_image(image, url=str(file))
    file.write_bytes(file.read_bytes()[:45])
    with pytest.raises(BlockFailed, match="cannot be read"):
        read_image(url=str(file))
    with pytest.raises(BlockFailed, match="numbers of 32 bits"):
        read_image(url=_saved(tmp_path / "a.tif", "F"))


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"width": 14}, (14, 10)),
        ({"width": 14, "height": 5}, (7, 5)),
        ({"width": 14, "height": 5, "keep_aspect": False}, (14, 5)),
        ({"width": 1}, (1, 1)),
    ],
)
def test_resize_image(
    image: PIL.Image.Image, config: dict[str, Any], size: tuple[int, int]
) -> None:
    assert resize_image(image, **config).size == size


@pytest.mark.parametrize("mode", ["1", "I;16", "L", "LA", "RGBA"])
def test_every_mode_can_be_resized_and_measured(mode: str) -> None:
    made = PIL.Image.new(mode, (6, 4))
    assert resize_image(made, width=3).size == (3, 2)
    assert tile_image(made, size=2).shape == (6, 2, 2, len(made.getbands()))
    assert image_statistics(made)["max"].max() == 0
    assert len(to_grayscale(made).getbands()) == 1


def test_tile_image(image: PIL.Image.Image) -> None:
    tiles = tile_image(image, size=3)
    assert tiles.shape == (6, 3, 3, 3)
    assert np.array_equal(tiles[1], PIXELS[:3, 3:6])
    assert np.array_equal(tiles[3, :2], PIXELS[3:, :3])
    assert not tiles[3, 2].any()
    full = tile_image(image, size=3, edges="drop")
    assert np.array_equal(full, [PIXELS[:3, :3], PIXELS[:3, 3:6]])
    with pytest.raises(BlockFailed, match="no tile of 6 is full"):
        tile_image(image, size=6, edges="drop")
    with pytest.raises(BlockFailed, match="would be filled up"):
        tile_image(image, size=20_000)


def test_image_statistics(image: PIL.Image.Image) -> None:
    table = image_statistics(image)
    assert table["band"].to_list() == ["R", "G", "B"]
    assert table["mean"].to_list() == [51, 52, 53]
    assert table.select("min", "max", "width", "height").row(2) == (2, 104, 7, 5)


def test_to_grayscale(image: PIL.Image.Image) -> None:
    gray = to_grayscale(image)
    assert gray.mode == "L"
    assert to_grayscale(gray) is gray


def test_white_shows_through(tmp_path: Path) -> None:
    clear = PIL.Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    url = write_image(clear, url=str(tmp_path / "a.bmp")).url
    assert read_image(url=url).getpixel((0, 0)) == (255, 255, 255)


def test_mistakes_in_writing(tmp_path: Path, image: PIL.Image.Image) -> None:
    with pytest.raises(BlockFailed, match="does not end as an image does"):
        write_image(image, url=str(tmp_path / "a.txt"))
    with within(Places((tmp_path,))), pytest.raises(BlockFailed, match="lies outside"):
        write_image(image, url="../a.png")
    with pytest.raises(BlockFailed, match="million are the most"):
        resize_image(image, width=20_000, height=20_000, keep_aspect=False)
