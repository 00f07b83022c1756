"""The first lines of a large file, in place of the file: reading all of it may take minutes."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO
from urllib.parse import urlsplit

from constellation_dagster.blocks.urls import open_url, within
from constellation_dagster.domain.config_formats import READ_URL, formats
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places
from constellation_dagster.domain.plan import PlanNode

# Those of which the first lines are such a file too.
_OF_LINES = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".log", ".md")
_MOST_BYTES = 16 * 2**20


@contextmanager
def first_lines(node: PlanNode, places: Places, lines: int) -> Generator[PlanNode]:
    """A source that reads the first lines of its files only.

    Args:
        node: The source.
        places: What it may reach.
        lines: How many lines it gets at most; a little more where a value goes over several.

    Raises:
        BlockFailed: A file cannot be read, or what the source raised, with its own names.
    """
    with TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        names = {
            str(folder / f"{key}{_ending(url)}"): url
            for key, kind in formats(node.block).items()
            if kind == READ_URL and isinstance(url := node.config[key], str) and _ending(url)
        }
        for short, url in names.items():
            with open_url(url) as file:
                Path(short).write_bytes(b"".join(_first(file, lines)))
        by_url = {url: short for short, url in names.items()}
        config = {
            key: by_url.get(value, value) if isinstance(value, str) else value
            for key, value in node.config.items()
        }
        with within(Places((*places.roots, folder))):
            try:
                yield replace(node, config=config)
            except BlockFailed as error:
                raise _with_own_names(error, names) from error


def _ending(url: str) -> str:
    """The ending of a file of lines; nothing for any other."""
    ending = PurePosixPath(urlsplit(url).path).suffix.lower()
    return ending if ending in _OF_LINES else ""


def _first(file: BinaryIO, lines: int) -> Iterator[bytes]:
    count = size = quotes = 0
    while size < _MOST_BYTES and (line := file.readline(_MOST_BYTES)):
        yield line
        count, size, quotes = count + 1, size + len(line), quotes + line.count(b'"')
        # Not in the middle of a text that goes over several lines.
        if count >= lines and quotes % 2 == 0:
            return


def _with_own_names(error: BlockFailed, names: dict[str, str]) -> BlockFailed:
    message, hint = error.message, error.hint
    for short, url in names.items():
        message = message.replace(short, url)
        hint = hint.replace(short, url) if hint else hint
    return BlockFailed(message, hint)
