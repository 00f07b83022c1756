"""What a partition of `generated_pipelines` tells of a draft."""

from typing import Any
from uuid import uuid4

import dagster as dg
import pytest

from constellation_dagster.assets.generated_pipelines import draft_events
from constellation_dagster.domain.conversations import DraftProposal, Provenance, Question
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.samples import (
    SampleColumn,
    SampleOutput,
    SampleProblem,
    SampleResult,
    SkippedNode,
)

MADE = Provenance(
    planner="model", model="small", prompt_version="3", tokens_in=7, cost=0.5, request="Load it."
)
SPEC = {"name": "flowers", "nodes": [{"id": "load", "block": "sample_data"}], "edges": []}


def proposal(**changes: Any) -> DraftProposal:
    return DraftProposal(spec=SPEC, diagram="flowchart LR", provenance=MADE).model_copy(
        update=changes
    )


def told(draft: DraftProposal) -> tuple[dg.AssetMaterialization, dict[str, bool]]:
    """The materialization and what the checks said, all of one partition."""
    first, *others = draft_events(key := uuid4(), draft)
    assert isinstance(first, dg.AssetMaterialization)
    checks: dict[str, bool] = {}
    for event in others:
        assert isinstance(event, dg.AssetCheckEvaluation)
        assert event.partition == first.partition == str(key)
        checks[event.check_name] = event.passed
    return first, checks


def test_a_ready_draft_tells_its_story_and_passes() -> None:
    event, checks = told(proposal(sample={"ok": True, "outputs": {}, "problems": []}))
    values = {label: value.value for label, value in event.metadata.items()}
    assert values["request"] == "Load it."
    assert str(values["pipeline"]).startswith("```yaml\nname: flowers\n")
    assert values["diagram"] == "```mermaid\nflowchart LR\n```"
    assert (values["model"], values["prompt version"]) == ("small", "3")
    assert (values["tokens in"], values["rounds"], values["cost"]) == (7, 1, 0.5)
    assert checks == {"compiles": True, "config_complete": True, "sample_run": True}


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"problems": (Problem(code="cycle", message="It goes round."),)}, "compiles"),
        ({"questions": (Question(text="Which file?"),)}, "config_complete"),
        ({"sample": {"ok": False, "problems": [{"message": "No file."}]}}, "sample_run"),
    ],
)
def test_what_is_open_fails_a_check_of_its_own(changes: dict[str, Any], failed: str) -> None:
    _, checks = told(proposal(**changes))
    assert [name for name, passed in checks.items() if not passed] == [failed]


def test_a_sample_run_that_was_not_tried_is_not_judged() -> None:
    assert told(proposal())[1] == {"compiles": True, "config_complete": True}


def test_a_fence_in_what_people_wrote_ends_nothing() -> None:
    event, _ = told(proposal(diagram="a ``` b"))
    assert event.metadata["diagram"].value == "````mermaid\na ``` b\n````"


def test_a_sample_is_shown_as_tables_and_its_data_is_no_markup() -> None:
    table = SampleOutput(
        type="Table",
        rows=2,
        columns=(SampleColumn(name="size", type="Int64"), SampleColumn(name="a|b", type="String")),
        head=((1, "<b>"), (None, "two\nlines")),
    )
    sample = SampleResult(
        ok=False,
        outputs={"load.table": table, "draw.image": SampleOutput(type="Image", shape=(2, 3))},
        problems=(SampleProblem(node="draw", message="No *such* column."),),
        skipped=(SkippedNode(node="save", why="It writes."),),
    )
    event, checks = told(proposal(sample=sample.as_json()))
    assert checks["sample_run"] is False
    assert str(event.metadata["sample"].value).splitlines() == [
        "`load.table`: Table, 2 rows, 2 columns",
        "",
        r"| size (Int64) | a\|b (String) |",
        "| --- | --- |",
        r"| 1 | \<b\> |",
        "| None | two lines |",
        "",
        "`draw.image`: Image, 2 x 3",
        "",
        "Problems:",
        r"- node 'draw': No \*such\* column.",
        "",
        "Not run:",
        "- `save`: It writes.",
    ]
