"""Blocks that change and measure images."""

from typing import Annotated, Any, Literal

import numpy as np
import PIL.Image
import polars as pl
from pydantic import Field

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Array, Image, Table
from constellation_dagster.domain.registry import block

# A file of a few bytes can claim to be a picture that no memory holds: Pillow refuses larger ones.
_MOST_PIXELS = 178_000_000
_LONGEST_SIDE = 20_000
_GRAY_MODES = ("1", "L", "I;16")


@block(
    kind="transform",
    phrases=(
        "resize the image",
        "scale the picture down",
        "shrink the photo",
        "make a thumbnail",
        "make the image smaller",
    ),
)
def resize_image(
    image: Image,
    *,
    width: Annotated[int, Field(ge=1, le=_LONGEST_SIDE, description="Its new width in pixels.")],
    height: Annotated[
        int | None,
        Field(
            ge=1,
            le=_LONGEST_SIDE,
            description="Its new height in pixels; what fits the width if not given.",
        ),
    ] = None,
    keep_aspect: Annotated[
        bool,
        Field(description="Whether it is only made to fit into width and height, not distorted."),
    ] = True,
) -> Image:
    """Change the size of an image.

    ```yaml
    - id: small
      block: resize_image
      config: {width: 256, height: 256}
    ```

    **Mistakes it tells:** a size of more than 178 million pixels.
    """
    scale = width / image.width
    if height is None:
        height = max(1, round(image.height * scale))
    elif keep_aspect:
        scale = min(scale, height / image.height)
        width = max(1, round(image.width * scale))
        height = max(1, round(image.height * scale))
    if width * height > _MOST_PIXELS:
        raise BlockFailed(
            f"width: the image would have {width} by {height} pixels, and "
            f"{_MOST_PIXELS // 1_000_000} million are the most.",
            "Choose a smaller one.",
        )
    return image.resize((width, height), PIL.Image.Resampling.LANCZOS)


@block(
    kind="transform",
    phrases=(
        "cut the image into tiles",
        "split the image into patches",
        "tile the satellite image",
        "slice the picture into squares",
    ),
)
def tile_image(
    image: Image,
    *,
    size: Annotated[
        int, Field(ge=1, le=_LONGEST_SIDE, description="Width and height of a tile in pixels.")
    ] = 256,
    edges: Annotated[
        Literal["pad", "drop"],
        Field(
            description="Fill tiles at the right and lower edge up with zeros, or leave out those "
            "that are not full."
        ),
    ] = "pad",
) -> Array:
    """Cut an image into square tiles, row by row from the upper left.

    The array has the shape (tiles, size, size, bands).

    ```yaml
    - id: tiles
      block: tile_image
      config: {size: 64, edges: drop}
    ```

    **Mistakes it tells:** tiles that are larger than the image where `edges` is `drop`, tiles so
    large that they are mostly filled up.
    """
    pixels = _pixels(image)
    height, width, bands = pixels.shape
    if edges == "drop":
        pixels = pixels[: height - height % size, : width - width % size]
        if not pixels.size:
            raise BlockFailed(
                f"size: the image has {width} by {height} pixels, so no tile of {size} is full.",
                "Choose a smaller size, or `edges: pad`.",
            )
    else:
        padded = (height + -height % size) * (width + -width % size)
        if padded > _MOST_PIXELS:
            raise BlockFailed(
                f"size: an image of {width} by {height} pixels would be filled up to {padded}.",
                "Choose a smaller size.",
            )
        pixels = np.pad(pixels, ((0, -height % size), (0, -width % size), (0, 0)))
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    grid = pixels.reshape(rows, size, columns, size, bands).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(rows * columns, size, size, bands))


@block(
    kind="evaluate",
    phrases=(
        "image statistics",
        "mean of each band",
        "how bright is the image",
        "measure the colors of the picture",
        "range of pixel values",
    ),
)
def image_statistics(image: Image) -> Table:
    """Sum up the pixels of each band of an image.

    The result has a row for each band with `band` (such as R, G, B), `mean`, `std`, `min`, `max`,
    and the image's `width` and `height`.

    ```yaml
    - id: measure
      block: image_statistics
    ```
    """
    pixels = _pixels(image).astype(np.float64)
    # 16 bits of gray are one band, which Pillow calls I.
    names = ["L"] if image.mode == "I;16" else list(image.getbands())
    return pl.DataFrame(
        {
            "band": names,
            "mean": pixels.mean(axis=(0, 1)),
            "std": pixels.std(axis=(0, 1)),
            "min": pixels.min(axis=(0, 1)),
            "max": pixels.max(axis=(0, 1)),
            "width": [image.width] * len(names),
            "height": [image.height] * len(names),
        }
    )


def _pixels(image: PIL.Image.Image) -> np.ndarray[Any, Any]:
    """An array of height, width and bands."""
    pixels: np.ndarray[Any, Any] = np.asarray(image)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8)
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


@block(
    kind="transform",
    phrases=(
        "convert the image to grayscale",
        "make the picture black and white",
        "remove the colors",
        "turn the photo gray",
    ),
)
def to_grayscale(image: Image) -> Image:
    """Turn an image into shades of gray, one band of them.

    Colors count as the eye sees them (ITU-R 601); an alpha band is left out.

    ```yaml
    - id: gray
      block: to_grayscale
    ```
    """
    return image if image.mode in _GRAY_MODES else image.convert("L")
