"""The one door through which blocks reach files."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import BinaryIO, Literal
from uuid import uuid4

from upath import UPath

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places
from constellation_dagster.domain.suggestions import closest

_places: ContextVar[Places | None] = ContextVar("places", default=None)


@contextmanager
def within(places: Places) -> Generator[None]:
    """Holds blocks to some places; without it they may reach whatever this process may."""
    token = _places.set(places)
    try:
        yield
    finally:
        _places.reset(token)


@contextmanager
def open_url(url: str, mode: Literal["rb", "wb"] = "rb") -> Generator[BinaryIO]:
    """Open a file to read, or to write anew, by its path or URL.

    Folders of a local file that is written are created, and it appears only when it is complete.

    Args:
        url: A local path, or a URL of any file system that fsspec knows: `file:`, `https:`,
            `s3:`, `gs:`, `az:`, ...
        mode: `rb` or `wb`.

    Raises:
        BlockFailed: The file cannot be reached; the message says why.
    """
    places = _places.get()
    try:
        path = UPath(places.locate(url) if places else url)
        local = path.protocol in ("", "file", "local")
        if local and mode == "wb":
            path.parent.mkdir(parents=True, exist_ok=True)
            with _replaced(path) as file:
                yield file
        else:
            with path.open(mode) as file:
                yield file
    except FileNotFoundError as error:
        # Over HTTP a server that does not answer is reported so as well.
        if isinstance(error.__cause__, OSError):
            reason = f"{error.__cause__}"
            raise BlockFailed(f"The file {url!r} cannot be {_verb(mode)}: {reason}.") from error
        raise BlockFailed(f"There is no file {url!r}.", _neighbour(url)) from error
    except IsADirectoryError as error:
        raise BlockFailed(f"{url!r} is a folder, not a file.") from error
    except PermissionError as error:
        raise BlockFailed(f"The file {url!r} may not be {_verb(mode)} by this user.") from error
    except ImportError as error:
        protocol = url.partition(":")[0]
        raise BlockFailed(
            f"URLs that begin with '{protocol}:' need another Python package: {error}."
        ) from error
    except ValueError as error:
        raise BlockFailed(f"The URL {url!r} cannot be used: {error}.") from error
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise BlockFailed(f"The file {url!r} cannot be {_verb(mode)}: {reason}.") from error


@contextmanager
def _replaced(path: UPath) -> Generator[BinaryIO]:
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with draft.open("wb") as file:
            yield file
        os.replace(draft.path, path.path)  # noqa: PTH105 - a UPath of `file:` has no such method
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()


def _neighbour(url: str) -> str | None:
    path = UPath(url)
    try:
        names = [other.name for other in path.parent.iterdir()]
    except (OSError, ValueError, NotImplementedError):
        return None
    meant = closest(path.name, names)
    return f"Did you mean {str(path.parent / meant)!r}?" if meant is not None else None


def _verb(mode: str) -> str:
    return "read" if mode == "rb" else "written"
