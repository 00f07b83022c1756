"""Which files and addresses may be used while the platform acts for a person."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import listing

REMOTE_SCHEMES = ("https", "http", "s3", "gs", "az", "abfs")


@dataclass(frozen=True)
class Places:
    """Where the platform may reach while it acts for a person.

    Attributes:
        roots: Folders of this machine; a relative path starts at the first.
    """

    roots: tuple[Path, ...]

    def locate(self, url: str) -> str:
        """The URL, or the local path that it means.

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
        return url

    def _inside(self, url: str, name: str) -> str:
        path = (self.roots[0] / name).resolve()
        if any(path.is_relative_to(root.resolve()) for root in self.roots):
            return str(path)
        raise BlockFailed(
            f"The file {url!r} lies outside the folders that may be used here, "
            f"{listing([str(root) for root in self.roots])}.",
            "Put it there, or have its folder added to CONSTELLATION_FILE_ROOTS.",
        )
