"""Runs on a sample: real processes, with real limits."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import polars as pl
import psutil
import psycopg
import pytest

from constellation_dagster.blocks.sources import sample_data
from constellation_dagster.components.sampling import sample_run
from constellation_dagster.domain.registry import Registry, load_registry
from constellation_dagster.domain.samples import HEAD_ROWS, SampleResult
from constellation_dagster.settings import get_settings
from tests.sample_blocks import REGISTRY

OWNER = UUID("22222222-2222-2222-2222-222222222222")
Nodes = dict[str, tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the person's pipelines may use."""
    roots = tmp_path / "files"
    roots.mkdir()
    sample_data(name="penguins").write_csv(roots / "penguins.csv")
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONSTELLATION_FILE_ROOTS", str(roots))
    get_settings.cache_clear()
    yield roots
    get_settings.cache_clear()


def spec(nodes: Nodes, *edges: str) -> dict[str, Any]:
    """`{id: (block, config)}` and edges written as `a.table > b.table`."""
    pairs = [edge.split(" > ") for edge in edges]
    return {
        "name": "p",
        "nodes": [
            {"id": node, "block": block, "config": config}
            for node, (block, config) in nodes.items()
        ],
        "edges": [{"source": source, "target": target} for source, target in pairs],
    }


def run(
    nodes: Nodes, *edges: str, registry: Registry = REGISTRY, owner: UUID = OWNER, **limits: Any
) -> SampleResult:
    result = sample_run(spec(nodes, *edges), registry=registry, owner=owner, **limits)
    kept = json.dumps(result.as_json(), allow_nan=False)
    assert SampleResult.model_validate_json(kept) == result
    return result


def one(block: str, **limits: Any) -> SampleResult:
    """A run of one node below a source."""
    nodes: Nodes = {"load": ("count_up", {}), "bad": (block, {}), "after": ("look_around", {})}
    return run(nodes, "load.table > bad.table", "bad.table > after.table", **limits)


READ = ("read_csv", {"url": "penguins.csv"})
DRAW = ("chart", {"kind": "scatter", "x": "bill_length_mm", "y": "body_mass_g"})


def test_what_the_outputs_look_like_is_told(files: Path) -> None:
    nodes: Nodes = {
        "load": READ,
        "clean": ("drop_missing", {}),
        "train": ("train_classifier", {"target": "species"}),
        "draw": DRAW,
        "save": ("write_csv", {"url": "clean.csv"}),
    }
    edges = [f"clean.table > {node}.table" for node in ("train", "draw", "save")]
    result = run(nodes, "load.table > clean.table", *edges, registry=load_registry())
    assert result.problems == ()
    assert result.ok
    assert (result.rows, result.outputs["load.table"].rows) == (200, 200)
    clean = result.outputs["clean.table"]
    assert [(c.name, c.type) for c in clean.columns[:3]] == [
        ("species", "String"),
        ("island", "String"),
        ("bill_length_mm", "Float64"),
    ]
    assert len(clean.head) == HEAD_ROWS
    assert clean.head[0][:3] == ("Adelie", "Torgersen", 39.1)
    assert "'species'" in (result.outputs["train.model"].text or "")
    assert len(result.outputs["draw.image"].shape or ()) == 2
    assert [node.node for node in result.skipped] == ["save"]
    assert "writes" in result.skipped[0].why
    assert [file.name for file in files.iterdir()] == ["penguins.csv"]


def test_a_wrong_column_is_told_with_its_node() -> None:
    nodes: Nodes = {
        "load": READ,
        "clean": ("drop_missing", {"columns": ["specis"]}),
        "draw": DRAW,
        "sort": ("sort_rows", {"by": ["island"]}),
    }
    edges = ("load.table > clean.table", "clean.table > draw.table", "load.table > sort.table")
    result = run(nodes, *edges, registry=load_registry())
    assert not result.ok
    [problem] = result.problems
    assert problem.node == "clean"
    assert "specis" in problem.message
    assert "species" in problem.message
    # What does not depend on it is run all the same, and what does is not.
    assert list(result.outputs) == ["load.table", "sort.table"]
    assert [(node.node, node.why) for node in result.skipped] == [("draw", "Node 'clean' failed.")]


def test_files_elsewhere_are_refused(files: Path) -> None:
    (files.parent / "outside.csv").write_text("a\n1\n")
    urls = {"a": "/etc/passwd", "b": "../outside.csv", "c": "file:///etc/passwd"}
    nodes: Nodes = {node: ("read_csv", {"url": url}) for node, url in urls.items()}
    result = run(nodes, registry=load_registry())
    assert [problem.node for problem in result.problems] == list(urls)
    assert all("outside the folders" in problem.message for problem in result.problems)
    assert result.outputs == {}


def test_of_a_large_file_the_first_lines_are_read(files: Path) -> None:
    lines = (f'{number},"two\nlines"\n' for number in range(1_500_000))
    (files / "large.csv").write_text("number,text\n" + "".join(lines))
    (files / "bad.csv").write_text("a,b\n1,2\n1,2,3\n")
    nodes: Nodes = {
        "bad": ("read_csv", {"url": "bad.csv"}),
        "large": ("read_csv", {"url": "large.csv"}),
    }
    result = run(nodes, registry=load_registry(), rows=100)
    assert result.outputs["large.table"].head[1] == (1, "two\nlines")
    assert result.outputs["large.table"].rows == 100
    [problem] = result.problems
    assert problem.node == "bad"
    assert "The file 'bad.csv' cannot be read as CSV" in problem.message
    assert "/" not in problem.message


def test_an_endless_node_is_stopped() -> None:
    began = time.monotonic()
    result = one("wait_forever", seconds=2)
    [problem] = result.problems
    assert problem.node == "bad"
    assert "stopped after 2 seconds" in problem.message
    assert list(result.outputs) == ["load.table"]
    assert [node.node for node in result.skipped] == ["after"]
    assert time.monotonic() - began < 60
    assert not [p for p in psutil.process_iter(["cmdline"]) if _is_child(p)]


def _is_child(process: psutil.Process) -> bool:
    mine = psutil.Process().pid
    command = " ".join(process.info["cmdline"] or ())
    return "sample_child.py" in command and process.ppid() == mine


@pytest.mark.parametrize("block", ["hoard", "hoard_in_rust"])
def test_a_node_that_takes_all_memory_is_stopped(block: str) -> None:
    result = one(block, memory_bytes=2**30)
    [problem] = result.problems
    assert problem.node == "bad"
    assert "more than the 1024 MiB of memory" in problem.message


def test_a_process_that_dies_is_told_in_words() -> None:
    [problem] = one("die").problems
    assert problem.node == "bad"
    assert "SIGKILL" in problem.message
    assert "Traceback" not in problem.message


def test_too_few_rows_are_tried_again_with_more() -> None:
    nodes: Nodes = {"load": ("count_up", {"rows": 1000}), "need": ("need_rows", {"rows": 300})}
    result = run(nodes, "load.table > need.table", rows=10)
    assert result.ok
    assert (result.rows, result.outputs["need.table"].rows) == (500, 500)


def test_a_short_table_is_tried_once() -> None:
    nodes: Nodes = {"load": ("count_up", {"rows": 10}), "need": ("need_rows", {"rows": 300})}
    result = run(nodes, "load.table > need.table", rows=10)
    assert [problem.message for problem in result.problems] == ["10 rows are too few."]
    assert result.rows == 10


def test_a_source_that_can_be_asked_for_few_rows_is() -> None:
    result = run({"load": ("count_few", {})}, rows=7)
    assert result.outputs["load.table"].rows == 7


def test_no_keys_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OPENAI_API_KEY", "SUPABASE_SERVICE_ROLE_KEY", "DATABASE_URL", "GOOGLE_API_KEY")
    for name in names:
        monkeypatch.setenv(name, "postgresql://secret")
    nodes: Nodes = {"load": ("count_up", {}), "look": ("look_around", {})}
    result = run(nodes, "load.table > look.table")
    seen = result.outputs["look.json"].text or ""
    assert not [name for name in names if name in seen]


def test_what_a_database_does_not_take_is_replaced() -> None:
    nodes: Nodes = {"load": ("count_up", {}), "odd": ("say_odd_things", {})}
    text = run(nodes, "load.table > odd.table").outputs["odd.text"].text
    assert text is not None
    assert text.startswith("\ufffd?long")
    assert len(text) == 500


def test_what_acts_outside_is_not_run_nor_what_is_below() -> None:
    nodes: Nodes = {
        "load": READ,
        "clean": ("drop_missing", {}),
        "ask": ("infer", {"deployment": "penguins"}),
        "draw": DRAW,
        "train": ("train_classifier", {"target": "species"}),
        "register": ("register_model", {"name": "penguins"}),
    }
    result = run(
        nodes,
        "load.table > clean.table",
        "clean.table > ask.table",
        "ask.table > draw.table",
        "clean.table > train.table",
        "train.model > register.model",
        registry=load_registry(),
    )
    assert result.ok
    assert {node.node for node in result.skipped} == {"ask", "draw", "register"}
    assert list(result.outputs) == ["load.table", "clean.table", "train.model"]


def test_what_does_not_compile_is_not_run() -> None:
    result = run({"load": ("cont_up", {})})
    assert not result.ok
    assert "cont_up" in str(result.problems[0])
    assert result.outputs == {}


def test_tables_are_read_as_the_person_and_never_written(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    get_settings.cache_clear()
    other = uuid4()
    with psycopg.connect(database_url) as connection:
        connection.execute("create table public.houses (owner uuid, number bigint)")
        connection.execute("alter table public.houses enable row level security")
        connection.execute("grant all on public.houses to authenticated")
        connection.execute(
            "create policy own on public.houses to authenticated using (owner = auth.uid())"
        )
        for owner, number in ((OWNER, 1), (OWNER, 2), (other, 3)):
            connection.execute("insert into public.houses values (%s, %s)", (owner, number))
    config = {"name": "houses", "columns": ["number"]}
    both = Registry.of([*load_registry(), *REGISTRY])
    result = run(
        {"load": ("read_table", config), "bad": ("write_in_secret", {})},
        "load.table > bad.table",
        registry=both,
    )
    assert result.outputs["load.table"].head == ((1,), (2,))
    assert [(p.node, "does not write" in p.message) for p in result.problems] == [("bad", True)]
    with psycopg.connect(database_url) as connection:
        rows = pl.Series([row[0] for row in connection.execute("select number from houses")])
    assert sorted(rows) == [1, 2, 3]
