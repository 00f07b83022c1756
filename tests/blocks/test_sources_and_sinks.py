"""Blocks that bring data in and out."""

import hashlib
import http.server
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

from constellation_dagster.blocks import (
    read_csv,
    read_parquet,
    read_table,
    sample_data,
    write_parquet,
    write_table,
)
from constellation_dagster.blocks.urls import open_url
from constellation_dagster.domain.errors import BlockFailed


@pytest.mark.parametrize(
    ("name", "shape", "target", "missing"),
    [
        ("penguins", (344, 8), "species", 19),
        ("iris", (150, 5), "target", 0),
        ("wine", (178, 14), "target", 0),
        ("breast_cancer", (569, 31), "target", 0),
        ("diabetes", (442, 11), "target", 0),
    ],
)
def test_sample_data(
    name: Literal["penguins", "iris", "wine", "breast_cancer", "diabetes"],
    shape: tuple[int, int],
    target: str,
    missing: int,
) -> None:
    table = sample_data(name=name)
    assert table.shape == shape
    assert target in table.columns
    assert sum(table.null_count().row(0)) == missing
    # Any filter can name the columns as they are.
    assert all(column.isidentifier() for column in table.columns)


CSV = "a;b;c;when\n1;x;;2026-01-31\n2.5;NA;z;2026-02-01\n"


def test_read_csv(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(b"\xef\xbb\xbf" + CSV.encode())
    for url in (str(file), file.as_uri()):
        table = read_csv(url=url, separator=";")
        assert table.schema == {"a": pl.Float64, "b": pl.String, "c": pl.String, "when": pl.Date}
        assert table["b"].to_list() == ["x", None]
        assert table["c"].to_list() == [None, "z"]
    plain = read_csv(url=str(file), separator=";", null_values=[], parse_dates=False)
    assert plain["b"].to_list() == ["x", "NA"]
    assert plain["when"].dtype == pl.String
    headless = read_csv(url=str(file), separator=";", has_header=False)
    assert headless.columns == ["column_0", "column_1", "column_2", "column_3"]
    assert headless.height == 3


def test_a_type_that_shows_late_in_a_csv_file(tmp_path: Path) -> None:
    file = tmp_path / "late.csv"
    file.write_text("a\n" + "1\n" * 20_000 + "x\n")
    assert read_csv(url=str(file))["a"].dtype == pl.String


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"a,b\n1,2\n1,2,3\n", "cannot be read as CSV"),
        (b"a\n\xff\xfe\xfa\n", "cannot be read as CSV"),
    ],
)
def test_mistakes_with_csv_files(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(content)
    with pytest.raises(BlockFailed, match=message):
        read_csv(url=str(file))


def test_parquet_goes_out_and_comes_in(tmp_path: Path) -> None:
    table = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    target = tmp_path / "new" / "folder" / "table.parquet"
    for url in (str(target), target.as_uri()):
        written = write_parquet(table, url=url)
        assert written.url == url
        assert written.size == target.stat().st_size
        assert written.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
        assert read_parquet(url=url).equals(table)
    assert read_parquet(url=str(target), columns=["b"]).columns == ["b"]
    assert [file.name for file in target.parent.iterdir()] == ["table.parquet"]
    with pytest.raises(
        BlockFailed, match=r"columns: the table does not have a column 'B'.*mean 'b'"
    ):
        read_parquet(url=str(target), columns=["B"])


def test_mistakes_with_parquet_files(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    file.write_bytes(b"no parquet")
    with pytest.raises(BlockFailed, match="cannot be read as Parquet"):
        read_parquet(url=str(file))
    with pytest.raises(BlockFailed, match="cannot be read as Parquet"):
        read_parquet(url=str(file), columns=["a"])
    with pytest.raises(BlockFailed, match=r"There is no file .*Did you mean .*table.parquet'"):
        read_parquet(url=str(tmp_path / "tabel.parquet"))


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"old")

    def write_half() -> None:
        with open_url(str(file), "wb") as out:
            out.write(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("{folder}", "is a folder, not a file"),
        ("{folder}/a/b/c.csv", "There is no file"),
        ("nonsense://x/y.csv", "URL 'nonsense://x/y.csv' cannot be used: Unsupported filesystem"),
        ("s3://bucket/key.csv", "URLs that begin with 's3:' need another Python package: .*s3fs"),
        ("http://127.0.0.1:9/x.csv", "cannot be read"),
        ("a\0b", "cannot be used"),
    ],
)
def test_mistakes_with_urls(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(BlockFailed, match=message):
        read_csv(url=url.format(folder=tmp_path))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BlockFailed, match=r"cannot be written|is a folder|may not be written"):
        write_parquet(pl.DataFrame({"a": [1]}), url=str(tmp_path / "file" / "x.parquet"))
    with pytest.raises(BlockFailed, match="is a folder, not a file"):
        write_parquet(pl.DataFrame({"a": [1]}), url=str(tmp_path))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_files_of_the_web(tmp_path: Path, web: str) -> None:
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    assert read_csv(url=f"{web}/data.csv").rows() == [(1, 2)]
    with pytest.raises(BlockFailed, match="There is no file"):
        read_csv(url=f"{web}/dota.csv")


class Tables:
    """Tables in memory."""

    def __init__(self) -> None:
        self.frames = {"houses": pl.DataFrame({"price": [1, 2, 3], "rooms": [4, 5, 6]})}

    def read(self, table: str, *, columns: Sequence[str] | None, limit: int | None) -> pl.DataFrame:
        frame = self.frames[table]
        return frame.select(columns or frame.columns).head(limit or frame.height)

    def write(self, table: str, frame: pl.DataFrame, *, mode: Literal["append", "replace"]) -> int:
        old = self.frames[table]
        self.frames[table] = frame if mode == "replace" else pl.concat([old, frame])
        return frame.height

    def upsert(self, table: str, frame: pl.DataFrame, *, keys: Sequence[str]) -> int:
        others = self.frames[table].join(frame, on=list(keys), how="anti")
        return self.write(table, pl.concat([others, frame]), mode="replace") - others.height


def test_tables() -> None:
    tables = Tables()
    houses = read_table(name="houses", tables=tables)
    assert houses.shape == (3, 2)
    few = read_table(name="houses", columns=["rooms"], limit=2, tables=tables)
    assert few.rows() == [(4,), (5,)]
    assert write_table(houses, name="houses", tables=tables) == {"rows": 3}
    assert tables.frames["houses"].height == 6
    assert write_table(houses, name="houses", mode="replace", tables=tables) == {"rows": 3}
    assert tables.frames["houses"].height == 3
    with pytest.raises(BlockFailed, match="the table has no columns"):
        write_table(pl.DataFrame(), name="houses", tables=tables)


def test_a_runner_lends_the_tables() -> None:
    result = read_table.call({}, {"name": "houses", "limit": 1}, {"tables": Tables()})
    table = result["table"]
    assert isinstance(table, pl.DataFrame)
    assert table.height == 1
    assert "tables" not in read_table.config_model.model_fields
