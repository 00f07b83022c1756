"""Changes to pipelines, and edges that a language model gives."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from constellation_dagster.agent.turns import Answer
from constellation_dagster.domain.conversations import DraftProposal
from constellation_dagster.domain.facts import PipelineFact
from tests.agent.model_turns import READ, SORT, WRITE, build, context, draft, turn
from tests.agent.openai_server import OpenAIServer, openai_server, saying


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as player:
        yield player


PIPELINE = PipelineFact(
    name="house_report",
    id=str(uuid4()),
    status="published",
    spec={
        "name": "house_report",
        "nodes": [
            {"id": "load", "block": "read_csv@1", "config": {"url": "houses.csv"}, "retries": 2},
            {"id": "mean", "block": "aggregate", "config": {
                "by": ["city"], "aggregates": {"price_mean": "mean(price)"}}},
            {"id": "save", "block": "write_csv", "config": {"url": "means.csv"}},
        ],
        "edges": [
            {"source": "load.table", "target": "mean.table"},
            {"source": "load.table", "target": "save.table"},
        ],
        "schedule": {"cron": "0 6 * * *", "timezone": "UTC"},
    },
)  # fmt: skip


def edited(
    server: OpenAIServer, request: str, *steps: dict[str, Any], **more: Any
) -> DraftProposal:
    answer = {"action": "edit", "base": "house_report", "steps": steps, **more}
    server.play(saying(json.dumps(answer)))
    return draft(server, context(request, pipelines=(PIPELINE,)))


MEAN = {
    "block": "aggregate",
    "config": {"by": ["city"], "aggregates": {"price_mean": "mean(price)"}},
}
SAVE = {"block": "write_csv", "config": {"url": "means.csv"}}


def test_an_edit_keeps_nodes_and_edges(server: OpenAIServer) -> None:
    more = {"block": "write_parquet", "config": {"url": "means.parquet"}}
    request = "house_report should also write means.parquet"
    made = edited(server, request, READ, MEAN, SAVE, more)
    assert [node["id"] for node in made.spec["nodes"]] == ["load", "mean", "save", "write_parquet"]
    assert made.spec["nodes"][0]["retries"] == 2
    assert {"source": "load.table", "target": "save.table"} in made.spec["edges"]
    assert made.spec["schedule"]["cron"] == "0 6 * * *"
    assert str(made.pipeline_id) == PIPELINE.id


def test_a_model_may_tell_of_the_change_only(server: OpenAIServer) -> None:
    more = {"block": "write_parquet", "config": {"url": "means.parquet"}}
    request = "house_report should also write means.parquet"
    made = edited(server, request, more)
    assert [node["id"] for node in made.spec["nodes"]] == ["load", "mean", "save", "write_parquet"]
    # What the embedded planner did not read from the request has its place, too.
    wider = {"block": "aggregate", "config": {"by": ["city", "area"]}}
    clean: dict[str, Any] = {"block": "drop_missing", "config": {}}
    made = edited(server, "house_report by city and area of whole rows", wider, clean)
    nodes = {node["id"]: node for node in made.spec["nodes"]}
    assert list(nodes) == ["load", "mean", "drop_missing", "save"]
    assert nodes["mean"]["config"] == {
        "by": ["city", "area"],
        "aggregates": {"price_mean": "mean(price)"},
    }


def test_a_step_in_between_is_wired_in(server: OpenAIServer) -> None:
    clean: dict[str, Any] = {"block": "drop_missing", "config": {}}
    made = edited(server, "drop incomplete rows in house_report", READ, clean, MEAN, SAVE)
    edges = {edge["target"]: edge["source"] for edge in made.spec["edges"]}
    assert edges["drop_missing.table"] == "load.table"
    assert edges["mean.table"] == "drop_missing.table"


def test_explicit_edges_count_where_they_fit(server: OpenAIServer) -> None:
    edges = [
        {"source": "read_csv.table", "target": "sort_rows.table"},
        {"source": "read_csv.table", "target": "write_csv.table"},
    ]
    server.play(build(READ, SORT, WRITE, edges=edges))
    assert draft(server).spec["edges"] == edges
    server.play(build(READ, SORT, WRITE, edges=[{"source": "nowhere", "target": "write_csv"}]))
    found = {edge["target"]: edge["source"] for edge in draft(server).spec["edges"]}
    assert found["write_csv.table"] == "sort_rows.table"


def test_only_its_schedule_changes(server: OpenAIServer) -> None:
    schedule = {"cron": "0 7 * * *"}
    made = edited(server, "run house_report every day at 7", schedule=schedule)
    assert made.spec["schedule"]["cron"] == "0 7 * * *"
    assert made.spec["edges"] == PIPELINE.spec["edges"]


def test_an_edit_of_nothing_is_a_new_pipeline(server: OpenAIServer) -> None:
    edit = {"action": "edit", "base": "houses_sort_rows", "steps": [READ, SORT, WRITE]}
    server.play(saying(json.dumps(edit)))
    made = draft(server, context(pipelines=(PIPELINE,)))
    assert (made.pipeline_id, len(made.spec["nodes"])) == (None, 3)


def test_a_pipeline_that_nobody_named_is_not_changed(server: OpenAIServer) -> None:
    answer = {"action": "edit", "base": "house_report", "steps": [READ, SAVE]}
    server.play(saying(json.dumps(answer)))
    outcome = turn(server, context("leave the averages out", pipelines=(PIPELINE,)))
    assert isinstance(outcome, Answer)
    assert [question.options for question in outcome.questions] == [("house_report",)]
