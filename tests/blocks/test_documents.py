"""Blocks that read and write JSON, CSV and text."""

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from constellation_dagster.blocks.documents import (
    read_json,
    read_text,
    write_csv,
    write_json,
    write_text,
)
from constellation_dagster.blocks.urls import within
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places

RECORDS: list[dict[str, Any]] = [
    {"n": 1, "x": 1, "who": "a", "tags": ["é"], "big": 2**70, "odd": 1, "yes": True},
    {"n": None, "x": 2.5, "who": None, "tags": {"k": 1}, "odd": "two", "late": 3},
]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (json.dumps(RECORDS), None),
        ("\n".join(map(json.dumps, RECORDS)) + "\n\n", None),
        ("\ufeff" + json.dumps({"data": {"items": RECORDS}}), "data.items"),
    ],
)
def test_read_json(tmp_path: Path, text: str, path: str | None) -> None:
    file = tmp_path / "data.json"
    file.write_text(text, encoding="utf-8")
    table = read_json(url=str(file), records_path=path)
    assert table.rows() == [
        (1, 1.0, "a", '["é"]', str(2**70), "1", True, None),
        (None, 2.5, None, '{"k": 1}', None, "two", None, 3),
    ]
    assert table.columns == ["n", "x", "who", "tags", "big", "odd", "yes", "late"]


def test_an_object_is_one_record_and_no_records_are_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text('{"a": 1, "b": [1, 2]}')
    assert read_json(url=str(file)).rows() == [(1, "[1, 2]")]
    file.write_text("[]")
    assert read_json(url=str(file)).shape == (0, 0)


@pytest.mark.parametrize(
    ("content", "path", "message"),
    [
        (b" \n", None, "is empty"),
        (b"[1,", None, "cannot be read as JSON"),
        (b'{"a": 1}\n{"a": \n', None, "cannot be read as JSON"),
        (b'[{"a": NaN}]', None, "NaN is no value of JSON"),
        (b"\xff", None, "not in UTF-8"),
        (b"[" * 200_000, None, "nested too deeply|cannot be read as JSON"),
        (b"7", None, "holds no records"),
        (b'[{"a": 1}, 2]', None, "entry 2 of the list is no object"),
        (b'{"items": [{"a": 1}]}', None, "Set records_path to where they are: 'items'"),
        (b'{"items": []}', "item", "there is no 'item' in .*Did you mean 'items'"),
        (b'{"items": []}', "items.x", "there is no object with 'x'"),
    ],
)
def test_mistakes_with_json(tmp_path: Path, content: bytes, path: str | None, message: str) -> None:
    file = tmp_path / "data.json"
    file.write_bytes(content)
    with pytest.raises(BlockFailed, match=message):
        read_json(url=str(file), records_path=path)


def test_tables_go_out(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"a": [1.5, float("nan"), None], "d": [date(2026, 1, 31), None, None], "t": ["é;", "", "x"]}
    )
    file = tmp_path / "new" / "out"
    written = write_json(table, url=str(file))
    assert written.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert written.size == file.stat().st_size
    expected = [
        {"a": 1.5, "d": "2026-01-31", "t": "é;"},
        {"a": None, "d": None, "t": ""},
        {"a": None, "d": None, "t": "x"},
    ]
    assert json.loads(file.read_bytes()) == expected
    write_json(table, url=str(file), lines=True)
    assert [json.loads(line) for line in file.read_text("utf-8").splitlines()] == expected
    write_csv(table.head(1), url=str(file), separator=";")
    assert file.read_text("utf-8") == 'a;d;t\n1.5;2026-01-31;"é;"\n'


def test_text_goes_out_and_comes_in(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    assert write_text("ä\nb", url=str(file)).size == 4
    assert read_text(url=file.as_uri()) == "ä\nb"
    file.write_bytes(b"a\xff")
    with pytest.raises(BlockFailed, match="no text in UTF-8: byte 1"):
        read_text(url=str(file))


def test_csv_cannot_hold_lists(tmp_path: Path) -> None:
    with pytest.raises(BlockFailed, match="cannot be written as CSV"):
        write_csv(pl.DataFrame({"a": [[1]]}), url=str(tmp_path / "a.csv"))


@pytest.mark.parametrize("url", ["../outside", "/etc/outside", "file:///etc/x", "memory://x"])
@pytest.mark.parametrize(
    ("block", "value"),
    [(write_json, pl.DataFrame()), (write_csv, pl.DataFrame()), (write_text, "")],
)
def test_sinks_stay_where_they_may(tmp_path: Path, block: AnyBlock, value: Any, url: str) -> None:
    inside = tmp_path / "files"
    with within(Places((inside,))):
        with pytest.raises(BlockFailed, match=r"lies outside|may not be used here"):
            cast("Any", block)(value, url=url)
        cast("Any", block)(value, url="in/side")
    assert [file.name for file in tmp_path.iterdir()] == ["files"]


def test_what_the_web_does_not_take() -> None:
    with pytest.raises(BlockFailed, match=r"cannot be written: places of its kind"):
        write_text("x", url="http://127.0.0.1:9/x.txt")
