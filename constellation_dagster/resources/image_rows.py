"""What a package's row says of its image."""

from typing import TYPE_CHECKING

from constellation_dagster.domain.states import PackageStatus
from constellation_dagster.resources.package_rows import PackageRow
from constellation_dagster.resources.rest import fetch

if TYPE_CHECKING:
    from supabase import Client


class ImageRows:
    """Writes images into rows of `model_packages`, as the platform."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def imaged(self, row: PackageRow, image: str, digest: str) -> None:
        """Says which image a package has now; one that was rejected meanwhile stays so.

        Args:
            row: The package.
            image: What a runtime runs: an image's id, or a reference by digest.
            digest: The digest in the registry, or else the image's id.
        """
        values = {"status": PackageStatus.IMAGED, "image": image, "image_digest": digest}
        able = [PackageStatus.PACKAGED, PackageStatus.IMAGED]
        table = self._client.table("model_packages")
        fetch(table.update(values).eq("id", str(row.id)).in_("status", able))
