"""Names, schedules and tags."""

import pytest
from dagster._utils.schedules import is_valid_cron_string

from constellation_dagster.domain.compiler import RESERVED_NAMES
from constellation_dagster.domain.errors import PipelineInvalid
from tests.domain.compiling import EDGES, NODES, Nodes, compiled, data, only


@pytest.mark.parametrize(
    "bad", ["Clean", "1clean", "clean!", "clean-", "cle an", "x" * 64, "", "á"]
)
@pytest.mark.parametrize("edges_too", [True, False])
def test_a_bad_node_id_is_one_mistake(bad: str, edges_too: bool) -> None:
    edges = [edge.replace("clean.", f"{bad}.") for edge in EDGES]
    nodes: Nodes = {(bad if id_ == "clean" else id_): node for id_, node in NODES.items()}
    if edges_too:
        assert only(data(nodes, edges)).startswith("[bad_name]")
    elif "clean" in bad.lower():
        assert only(data(nodes)).startswith("[bad_name]")


@pytest.mark.parametrize("bad", ["My-Pipe", "", "2go", "ö", "a\n"])
def test_a_bad_pipeline_name(bad: str) -> None:
    assert only(data(name=bad)).startswith("[bad_name]")
    assert "Write 'my_pipe', for example." in only(data(name="My-Pipe"))


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_a_reserved_name_is_one_for_pipelines_only(name: str) -> None:
    assert only(data(name=name)).startswith("[reserved_name]")
    nodes: Nodes = {(name if id_ == "clean" else id_): node for id_, node in NODES.items()}
    compiled(data(nodes, [edge.replace("clean.", f"{name}.") for edge in EDGES]))


def test_a_doubled_node_id() -> None:
    content = data()
    content["nodes"].append(content["nodes"][1])
    assert only(content) == (
        "[duplicate_node] pipeline 'p', node 'clean': 2 nodes have the id 'clean'. "
        "Give each its own."
    )


def test_no_nodes() -> None:
    assert only(data({}, [])) == "[no_nodes] pipeline 'p': it has no nodes. Add at least one."


@pytest.mark.parametrize(
    ("schedule", "code", "part"),
    [
        ({"cron": "0 6 * *"}, "bad_cron", "has 4 fields instead of five"),
        ({"cron": ""}, "bad_cron", "has 0 fields instead of five"),
        ({"cron": "0 0 6 * * *"}, "bad_cron", "has 6 fields instead of five"),
        ({"cron": "0 25 * * *"}, "bad_cron", "cannot be read"),
        ({"cron": "@fortnightly"}, "bad_cron", "cannot be read"),
        ({"cron": "0 0 31 2 *"}, "bad_cron", "a day that February never has"),
        ({"cron": "@daily", "timezone": "Europe/Berln"}, "bad_timezone", "mean 'Europe/Berlin'?"),
        ({"cron": "@daily", "timezone": "/etc/passwd"}, "bad_timezone", "is not known"),
    ],
)
def test_a_bad_schedule(schedule: dict[str, str], code: str, part: str) -> None:
    message = only(data(schedule=schedule))
    assert message.startswith(f"[{code}]")
    assert part in message


@pytest.mark.parametrize(
    "cron",
    ["0 6 * * 1-5", "*/5 * * * *", "@hourly", "0 0 1,15 * mon", "0 0 l * *", "0 0 * * 7",
     "0 6 * * 8", "60 * * * *", "* * * * * *", "0 0 30 2 *", "a b c d e", "0 0 31 4 *"],
)  # fmt: skip
def test_schedules_are_judged_as_dagster_judges_them(cron: str) -> None:
    try:
        compiled(data(schedule={"cron": cron}))
        accepted = True
    except PipelineInvalid:
        accepted = False
    assert accepted == is_valid_cron_string(cron)


@pytest.mark.parametrize(
    "tags",
    [{"a b": "c"}, {"a": "b c"}, {"dagster/kind": "x"}, {"constellation/run": "x"}, {"": ""}],
)
def test_a_bad_tag(tags: dict[str, str]) -> None:
    assert only(data(tags=tags)).startswith("[bad_tag]")
    compiled(data(tags={"team": "red", "corp/cost-center": "12"}))
