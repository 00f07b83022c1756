"""What is found out about files."""

import json
import os
from pathlib import Path

import PIL.Image
import polars as pl
import pytest

from constellation_dagster.agent import file_facts
from constellation_dagster.agent.file_facts import read_file_facts
from constellation_dagster.domain.facts import FileFact
from constellation_dagster.domain.places import Places

TABLE = pl.DataFrame({"price": [1.5, 2.0], "city": ["Rome", "Oslo"], "sold": [True, False]})


def look(*roots: Path) -> dict[str, FileFact]:
    return {fact.path: fact for fact in read_file_facts(Places(roots))}


def types(fact: FileFact) -> dict[str, str]:
    return {column.name: column.type for column in fact.columns}


def test_columns_and_types_of_tables(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    TABLE.write_csv(tmp_path / "data/a.csv")
    TABLE.write_parquet(tmp_path / "b.parquet")
    (tmp_path / "c.json").write_text(json.dumps(TABLE.to_dicts()))
    (tmp_path / "d.ndjson").write_text("\n".join(map(json.dumps, TABLE.to_dicts())))
    (tmp_path / "e.csv").write_text("day;x\n2026-01-02;NA\n")
    facts = look(tmp_path)
    assert list(facts) == ["b.parquet", "c.json", "d.ndjson", "data/a.csv", "e.csv"]
    for name in ("b.parquet", "c.json", "d.ndjson", "data/a.csv"):
        assert types(facts[name]) == {"price": "number", "city": "text", "sold": "boolean"}
    assert facts["data/a.csv"].columns[1].samples == ("Rome", "Oslo")
    assert facts["e.csv"].note == "separator ';'"
    assert types(facts["e.csv"])["day"] == "date"


def test_images_and_texts(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    (tmp_path / "b.txt").write_text("First line.\nSecond line.")
    facts = look(tmp_path)
    assert (facts["a.png"].kind, facts["a.png"].note) == ("image", "4 x 3, R+G+B")
    assert (facts["b.txt"].kind, facts["b.txt"].note) == ("text", "First line.")


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    for name in ("a.png", "b.parquet", "c.json", "d.csv", "e.ndjson", "f.tiff"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00PAR1{broken")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "good.csv").write_text("a\n1\n")
    (tmp_path / "x.exe").touch()
    os.mkfifo(tmp_path / "pipe.csv")
    assert list(look(tmp_path)) == ["good.csv"]


def test_nothing_outside_the_folders_is_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (root / "link.csv").symlink_to(tmp_path / "secret.csv")
    (root / "folder").symlink_to(tmp_path)
    (root / ".hidden.csv").write_text("a\n1\n")
    assert look(root) == {}


def test_only_the_first_folder_is_named_relatively(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text("a\n1\n")
    facts = look(tmp_path / "one", tmp_path / "two", tmp_path / "none")
    assert set(facts) == {"a.csv", str(tmp_path / "two/a.csv")}


def test_numbers_and_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_facts, "MOST_FILES", 3)
    monkeypatch.setattr(file_facts, "MOST_BYTES", 100)
    # Past what is read there is an error, and the cut is within a letter.
    (tmp_path / "0.csv").write_bytes(b"a,b\n" + b"1,2\n" * 23 + "ä".encode() * 30 + b"\xff\n")
    for number in range(1, 9):
        (tmp_path / f"{number}.csv").write_text("a\n1\n")
    facts = look(tmp_path)
    assert list(facts) == ["0.csv", "1.csv", "2.csv"]
    assert types(facts["0.csv"]) == {"a": "number", "b": "number"}
