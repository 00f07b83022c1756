"""Drafts as text, complete or not."""

from constellation_dagster.domain.draft_text import draft_changes, draft_yaml
from constellation_dagster.domain.pipeline_yaml import load_yaml

LOAD = {"id": "load", "block": "sample_data", "config": {"name": "iris"}}
SPEC = {"name": "flowers", "nodes": [LOAD], "edges": []}


def test_a_complete_draft_is_written_as_its_pipeline_is() -> None:
    assert load_yaml(draft_yaml(SPEC)).name == "flowers"


def test_an_incomplete_draft_can_be_read_too() -> None:
    assert draft_yaml({"name": "flowers", "nodes": []}) == "name: flowers\nnodes: []\n"


def test_changes_are_told_line_by_line() -> None:
    changed = SPEC | {"nodes": [LOAD | {"config": {"name": "wine"}}]}
    lines = draft_changes(SPEC, changed).splitlines()
    assert lines[:2] == ["--- flowers (as it is)", "+++ flowers (draft)"]
    assert [line.replace(" ", "") for line in lines if line[0] in "+-"][2:] == [
        "-name:iris",
        "+name:wine",
    ]


def test_all_of_a_new_pipeline_is_new() -> None:
    lines = draft_changes(None, SPEC).splitlines()
    assert all(line.startswith("+") for line in lines[3:])
    assert "+name: flowers" in lines


def test_a_draft_that_changes_nothing_says_nothing() -> None:
    assert draft_changes(SPEC, SPEC) == ""
