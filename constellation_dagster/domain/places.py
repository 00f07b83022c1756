"""Which files and addresses may be used while the platform acts for a person."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from constellation_dagster.domain.addresses import Address, is_public
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import listing

WEB_SCHEMES = ("https", "http")
REMOTE_SCHEMES = (*WEB_SCHEMES, "s3", "gs", "az", "abfs")
# No port and no escape: a bucket's name must not lead to another server.
_BUCKET = re.compile(r"//[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9][A-Za-z0-9.-]*)?(/|$)")


@dataclass(frozen=True)
class Places:
    """Where the platform may reach while it acts for a person.

    Attributes:
        roots: Folders of this machine; a relative path starts at the first.
        may_connect: Which addresses `http:` and `https:` URLs may lead to.
    """

    roots: tuple[Path, ...]
    may_connect: Callable[[Address], bool] = is_public

    def locate(self, url: str) -> str:
        """The URL, or the local path that it means.

        What a host's name stands for is not looked up here: whoever connects checks the address.

        Raises:
            BlockFailed: It leads outside.
        """
        scheme, colon, rest = url.partition(":")
        if not colon or "/" in scheme or len(scheme) == 1:
            return self._inside(url, url)
        if scheme in ("file", "local"):
            return self._inside(url, unquote(rest.removeprefix("//")))
        # fsspec would open `simplecache::file:///etc/passwd` too.
        if "::" in url or scheme not in REMOTE_SCHEMES:
            raise BlockFailed(
                f"The URL {url!r} may not be used here.",
                f"URLs may begin with {listing([f'{name}:' for name in REMOTE_SCHEMES])}.",
            )
        if scheme not in WEB_SCHEMES and not _BUCKET.match(rest):
            raise BlockFailed(
                f"The URL {url!r} may not be used here: it names no bucket.",
                f"Write it as {scheme}://bucket/path.",
            )
        return url

    def _inside(self, url: str, name: str) -> str:
        if not self.roots:
            raise BlockFailed(
                f"The file {url!r} may not be used here: there are no folders for files.",
                "Name one in CONSTELLATION_FILE_ROOTS.",
            )
        if "\0" in name:
            raise BlockFailed(f"The path {url!r} cannot be used: it has a NUL in it.")
        try:
            path = (self.roots[0] / name).resolve()
        except (RuntimeError, OSError) as error:
            # Links in a circle.
            raise BlockFailed(f"The path {url!r} cannot be used: {error}.") from error
        if any(path.is_relative_to(root.resolve()) for root in self.roots):
            return str(path)
        raise BlockFailed(
            f"The file {url!r} lies outside the folders that may be used here, "
            f"{listing([str(root) for root in self.roots])}.",
            "Put it there, or have its folder added to CONSTELLATION_FILE_ROOTS.",
        )
