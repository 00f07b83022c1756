"""Blocks that read and write images."""

from io import BytesIO
from pathlib import PurePosixPath
from typing import Annotated

import numpy as np
import PIL.Image
import PIL.ImageOps
from pydantic import Field

from constellation_dagster.blocks.urls import open_url, write_file
from constellation_dagster.domain.config_formats import READ_URL, WRITE_URL
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import File, Image
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.suggestions import listing

_KEPT_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16")
_FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}


@block(
    kind="source",
    phrases=(
        "read an image",
        "load the picture",
        "open a photo",
        "take the image file",
        "load a satellite image",
    ),
)
def read_image(
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": READ_URL},
            min_length=1,
            description="Path or URL of the file (file:, https:, s3:, ...).",
        ),
    ],
) -> Image:
    """Read an image: PNG, JPEG, WebP, TIFF, BMP or GIF (its first picture).

    Photos come the right way up. Palettes and colors of print become RGB.

    ```yaml
    - id: load
      block: read_image
      config: {url: photos/harbour.jpg}
    ```

    **Mistakes it tells:** no such file, no image, an image that is damaged, that has more than
    178 million pixels, or whose pixels are numbers with decimals.
    """
    with open_url(url) as file:
        content = BytesIO(file.read())
    try:
        with PIL.Image.open(content) as opened:
            opened.load()
            upright = PIL.ImageOps.exif_transpose(opened)
    except PIL.UnidentifiedImageError as error:
        raise BlockFailed(
            f"The file {url!r} is no image.", "Images are PNG, JPEG, WebP, TIFF, BMP or GIF."
        ) from error
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise BlockFailed(f"The image {url!r} cannot be read: {error}.") from error
    return _storable(upright, url)


def _storable(image: PIL.Image.Image, url: str) -> PIL.Image.Image:
    """The same in a mode that PNG has, as images are stored between blocks."""
    if image.mode in _KEPT_MODES:
        return image
    if image.mode == "I;16B":
        return PIL.Image.fromarray(np.asarray(image).astype("<u2"))
    if image.mode in ("F", "I"):
        raise BlockFailed(
            f"The pixels of {url!r} are numbers of 32 bits, which blocks for images cannot take.",
            "Save it with 8 or 16 bits for each band.",
        )
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


@block(
    kind="sink",
    phrases=(
        "save the image",
        "write the picture to a file",
        "export as PNG",
        "save the chart as a PNG file",
        "write a JPEG",
    ),
)
def write_image(
    image: Image,
    *,
    url: Annotated[
        str,
        Field(
            json_schema_extra={"format": WRITE_URL},
            min_length=1,
            description="Path or URL of the file; its ending says which format: .png, .jpg, "
            ".webp, .tif or .bmp.",
        ),
    ],
) -> File:
    """Write an image into a file, in place of one that is there.

    JPEG and BMP have no transparency: there white shows through.

    ```yaml
    - id: save
      block: write_image
      config: {url: results/small.png}
    ```

    **Mistakes it tells:** places that may not be written, endings of no known format, images
    that the format cannot hold.
    """
    ending = PurePosixPath(url).suffix.lower()
    if ending not in _FORMATS:
        raise BlockFailed(
            f"url: {url!r} does not end as an image does.", f"The endings are {listing(_FORMATS)}."
        )
    kind = _FORMATS[ending]
    if kind in ("JPEG", "BMP") and image.mode in ("RGBA", "LA"):
        see_through = image.convert("RGBA")
        white = PIL.Image.new("RGBA", image.size, "white")
        image = PIL.Image.alpha_composite(white, see_through).convert("RGB")
    buffer = BytesIO()
    try:
        image.save(buffer, kind)
    except (OSError, ValueError) as error:
        raise BlockFailed(
            f"This image cannot be written as {kind}: {error}.", "Write it as PNG."
        ) from error
    return write_file(url, buffer.getvalue())
