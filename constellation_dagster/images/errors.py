"""What can go wrong while an image is made."""

from constellation_dagster.domain.errors import ConstellationError


class ImageBuildFailed(ConstellationError):
    """An image was not built; the message says which part is to blame and what to do."""
