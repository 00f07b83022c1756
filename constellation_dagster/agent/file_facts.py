"""Looks at the files that a person's pipelines may read: what columns they have, how large they are.

Only the beginning of a file is read, of a bounded number of files. What cannot be read is left
out: the person is told when a pipeline reads it.
"""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, cast

import PIL.Image
import polars as pl

from constellation_dagster.blocks.records import as_table, find_records
from constellation_dagster.blocks.urls import open_url, within
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.facts import ColumnFact, ColumnType, FileFact
from constellation_dagster.domain.places import Places

MOST_FILES = 200
MOST_LOOKED_AT = 5_000
"""Names in the folders, of which most may be no files that pipelines read."""
MOST_BYTES = 256 * 1024
"""Of one file."""
_MOST_JSON_BYTES = 4 * 1024 * 1024
_MOST_COLUMNS = 200
_SAMPLES = 3
_LONGEST_SAMPLE = 60
_NULLS = ["NA", "NaN", "null"]
_UNREADABLE = (
    BlockFailed,
    OSError,
    ValueError,
    SyntaxError,
    RecursionError,
    csv.Error,
    pl.exceptions.PolarsError,
    # A panic of polars on a damaged file is none of Exception.
    pl.exceptions.PanicException,
    PIL.Image.DecompressionBombError,
)


def read_file_facts(places: Places) -> tuple[FileFact, ...]:
    """What the person's folders hold, in the order of the names.

    Args:
        places: The folders, as the blocks of the person's pipelines are held to them.
    """
    facts: list[FileFact] = []
    with within(places):
        for name in _names(places):
            try:
                fact = _READERS[Path(name).suffix.lower()](name)
            except _UNREADABLE:
                continue
            facts.append(fact)
            if len(facts) == MOST_FILES:
                break
    return tuple(sorted(facts, key=lambda fact: fact.path))


def _names(places: Places) -> Iterator[str]:
    """Paths as a pipeline writes them: those in the first folder are relative to it."""
    looked_at = 0
    for number, root in enumerate(places.roots):
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                looked_at += 1
                if looked_at > MOST_LOOKED_AT:
                    return
                path = Path(folder, name)
                # Neither hidden files nor pipes, from which reading might never return.
                if name.startswith(".") or path.suffix.lower() not in _READERS:
                    continue
                if path.is_file():
                    yield path.relative_to(root).as_posix() if number == 0 else str(path)


def _csv(name: str) -> FileFact:
    with open_url(name) as file:
        text = _beginning(file)
    separator = _separator(text.partition("\n")[0])
    frame = pl.read_csv(
        BytesIO(text.encode()),
        separator=separator,
        null_values=_NULLS,
        try_parse_dates=True,
        infer_schema_length=None,
        truncate_ragged_lines=True,
    )
    note = "" if separator == "," else f"separator {separator!r}"
    return FileFact(path=name, kind="table", columns=columns_of(frame), note=note)


def _separator(header: str) -> str:
    counts = {separator: header.count(separator) for separator in (",", ";", "\t", "|")}
    best = max(counts, key=lambda separator: counts[separator])
    return best if counts[best] else ","


def _parquet(name: str) -> FileFact:
    with open_url(name) as file:
        frame = pl.read_parquet(file, n_rows=20)
    return FileFact(path=name, kind="table", columns=columns_of(frame))


def _json(name: str) -> FileFact:
    with open_url(name) as file:
        content = file.read(_MOST_JSON_BYTES + 1)
    if len(content) > _MOST_JSON_BYTES:
        return FileFact(path=name, kind="json", note="large")
    document = json.loads(content.decode("utf-8-sig"))
    try:
        records = find_records(document, None, url=name)
    except BlockFailed:
        keys = ", ".join(cast("dict[str, object]", document)) if isinstance(document, dict) else ""
        return FileFact(path=name, kind="json", note=f"an object of {keys}"[:200] if keys else "")
    return FileFact(path=name, kind="json", columns=columns_of(as_table(records[:100])))


def _json_lines(name: str) -> FileFact:
    with open_url(name) as file:
        lines = [json.loads(line) for line in _beginning(file).splitlines() if line.strip()]
    records = find_records(lines[:100], None, url=name)
    return FileFact(path=name, kind="json", columns=columns_of(as_table(records)))


def _image(name: str) -> FileFact:
    # Opening reads no more than the header.
    with open_url(name) as file, PIL.Image.open(file) as image:
        width, height, bands = *image.size, image.getbands()
    return FileFact(path=name, kind="image", note=f"{width} x {height}, {'+'.join(bands)}")


def _text(name: str) -> FileFact:
    with open_url(name) as file:
        first = _beginning(file).strip().partition("\n")[0]
    return FileFact(path=name, kind="text", note=first[:_LONGEST_SAMPLE])


def _beginning(file: BinaryIO) -> str:
    """The first whole lines of a file."""
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        # The last line may be cut, even within a letter.
        content = content[:MOST_BYTES].rpartition(b"\n")[0]
    return content.decode("utf-8-sig")


def columns_of(frame: pl.DataFrame) -> tuple[ColumnFact, ...]:
    """What there is to know of a table's columns."""
    return tuple(
        ColumnFact(name=series.name, type=_column_type(series.dtype), samples=_samples(series))
        for series in frame.iter_columns()
    )[:_MOST_COLUMNS]


def _column_type(dtype: pl.DataType) -> ColumnType:
    if dtype.is_numeric():
        return "number"
    if dtype == pl.Boolean:
        return "boolean"
    return "date" if dtype.is_temporal() else "text"


def _samples(series: pl.Series) -> tuple[str, ...]:
    values = series.drop_nulls().unique(maintain_order=True).head(_SAMPLES)
    return tuple(str(value)[:_LONGEST_SAMPLE] for value in values)


_READERS: Mapping[str, Callable[[str], FileFact]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".json": _json,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"), _image),
    **dict.fromkeys((".txt", ".md", ".log"), _text),
}
