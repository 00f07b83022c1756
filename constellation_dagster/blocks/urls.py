"""The one door through which blocks reach files."""

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import BinaryIO, Literal
from uuid import uuid4

from upath import UPath

from constellation_dagster.blocks.public_web import client_maker, refused_address
from constellation_dagster.domain.addresses import Address
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import WEB_SCHEMES, Places
from constellation_dagster.domain.suggestions import closest
from constellation_dagster.domain.values import File

_places: ContextVar[Places | None] = ContextVar("places", default=None)


@contextmanager
def within(places: Places) -> Generator[None]:
    """Holds blocks to some places; without it they may reach whatever this process may."""
    token = _places.set(places)
    try:
        yield
    finally:
        _places.reset(token)


def may_connect(address: Address) -> bool:
    """Whether blocks may connect to an address now: not to any one while they run for a person."""
    places = _places.get()
    return places is None or places.may_connect(address)


@contextmanager
def open_url(url: str, mode: Literal["rb", "wb"] = "rb") -> Generator[BinaryIO]:
    """Open a file to read, or to write anew, by its path or URL.

    Folders of a local file that is written are created, and it appears only when it is complete.
    While blocks run for a person, they reach the places that this person may use and no others.

    Args:
        url: A local path, or a URL of any file system that fsspec knows: `file:`, `https:`,
            `s3:`, `gs:`, `az:`, ...
        mode: `rb` or `wb`.

    Raises:
        BlockFailed: The file cannot be reached; the message says why.
    """
    path: UPath | None = None
    try:
        path = _path(url)
        local = path.protocol in ("", "file", "local")
        if local and mode == "wb":
            path.parent.mkdir(parents=True, exist_ok=True)
            with _replaced(path) as file:
                yield file
        else:
            with path.open(mode) as file:
                yield file
    except FileNotFoundError as error:
        if refused_address(error):
            raise _not_public(url, mode) from error
        # Over HTTP a server that does not answer is reported so as well.
        if isinstance(error.__cause__, OSError):
            reason = f"{error.__cause__}"
            raise BlockFailed(f"The file {url!r} cannot be {_verb(mode)}: {reason}.") from error
        hint = _neighbour(url, path) if path is not None else None
        raise BlockFailed(f"There is no file {url!r}.", hint) from error
    except IsADirectoryError as error:
        raise BlockFailed(f"{url!r} is a folder, not a file.") from error
    except PermissionError as error:
        raise BlockFailed(f"The file {url!r} may not be {_verb(mode)} by this user.") from error
    except ImportError as error:
        protocol = url.partition(":")[0]
        raise BlockFailed(
            f"URLs that begin with '{protocol}:' need another Python package: {error}."
        ) from error
    except NotImplementedError as error:
        raise BlockFailed(
            f"The file {url!r} cannot be {_verb(mode)}: places of its kind do not allow it."
        ) from error
    except ValueError as error:
        raise BlockFailed(f"The URL {url!r} cannot be used: {error}.") from error
    except OSError as error:
        if refused_address(error):
            raise _not_public(url, mode) from error
        reason = error.strerror or str(error) or type(error).__name__
        raise BlockFailed(f"The file {url!r} cannot be {_verb(mode)}: {reason}.") from error


def write_file(url: str, content: bytes) -> File:
    """Write a whole file, in place of one that is there, and say what was written.

    Raises:
        BlockFailed: It cannot be written; the message says why.
    """
    with open_url(url, "wb") as file:
        file.write(content)
    return File(url=url, size=len(content), sha256=hashlib.sha256(content).hexdigest())


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


def _path(url: str) -> UPath:
    """What to open; it has in itself what it must not reach."""
    places = _places.get()
    if places is None:
        return UPath(url)
    located = places.locate(url)
    if located.partition(":")[0] in WEB_SCHEMES:
        return UPath(located, get_client=client_maker(places.may_connect))
    return UPath(located)


def _not_public(url: str, mode: str) -> BlockFailed:
    return BlockFailed(
        f"The file {url!r} may not be {_verb(mode)}: it leads to no address of the public "
        "internet.",
        "Put it into a folder or a bucket that may be used.",
    )


def _neighbour(url: str, path: UPath) -> str | None:
    try:
        names = [other.name for other in path.parent.iterdir()]
    except (OSError, ValueError, NotImplementedError):
        return None
    meant = closest(path.name, names)
    if meant is None:
        return None
    folder, slash, _ = url.rpartition("/")
    return f"Did you mean {f'{folder}{slash}{meant}'!r}?"


def _verb(mode: str) -> str:
    return "read" if mode == "rb" else "written"
