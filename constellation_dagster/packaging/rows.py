"""From a row that names an address to a package: data only, and only from allowed places."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from constellation_dagster.domain.addresses import Address, is_public
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.packages import MODEL_CARD, PackageError
from constellation_dagster.domain.places import Places
from constellation_dagster.packaging.building import Built
from constellation_dagster.packaging.intake import MOST_BYTES
from constellation_dagster.packaging.registration import package_model
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.resources.downloads import DownloadRefused, download


def package_from(
    source_url: str,
    *,
    card: str | None,
    places: Places,
    store: PackageStore,
    is_allowed: Callable[[Address], bool] = is_public,
) -> tuple[Built, str]:
    """Packages the model at an address that a person has written into a row, and stores it.

    Nothing at that address runs: a Python class, or a model that MLflow loads by code, is for an
    operator to register.

    Args:
        source_url: A path within the allowed folders, or a URL.
        card: The model card; made from what is known if None.
        places: Where the platform may reach.
        store: Where packages are kept.
        is_allowed: Which addresses of `http:` and `https:` may be connected to.

    Returns:
        What was built, and its model card.

    Raises:
        PackageError: It must not or cannot be packaged.
    """
    try:
        source = places.locate(source_url)
    except BlockFailed as error:
        raise PackageError(str(error)) from error
    with TemporaryDirectory(prefix="constellation-package-") as temporary:
        if source.startswith(("https:", "http:")):
            source = _downloaded(source, Path(temporary) / "download", is_allowed)
        folder = Path(temporary) / "package"
        folder.mkdir()
        built = package_model(source, folder, card=card, data_only=True)
        store.put(folder)
        return built, (folder / MODEL_CARD).read_text(encoding="utf-8")


def _downloaded(url: str, into: Path, is_allowed: Callable[[Address], bool]) -> str:
    into.mkdir()
    name = url.partition("?")[0].rstrip("/").rpartition("/")[2]
    # Its suffix helps to tell what it is; the rest of its name is the server's.
    target = into / f"model{Path(name).suffix}"
    try:
        with target.open("wb") as file:
            download(url, file, most_bytes=MOST_BYTES, is_allowed=is_allowed)
    except DownloadRefused as error:
        raise PackageError(str(error)) from error
    return str(target)
