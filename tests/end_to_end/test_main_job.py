"""A row becomes a running pipeline, for real."""

from typing import Any

import polars as pl
import pytest

from tests.end_to_end.person import Person, graphql, new_name, wait_for
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

ASSET = """
query Asset($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset {
  definition { groupName kinds hasMaterializePermission jobNames
    dependencyKeys { path } assetChecksOrError { ... on AssetChecks { checks { name } } } }
  assetMaterializations(limit: 1) { runId metadataEntries { label
    ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue } } } } } }
"""
LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
"""


def asset(stack: RunningStack, *path: str) -> dict[str, Any]:
    return graphql(stack, ASSET, path=list(path))["assetOrError"]


def test_the_block_library_stands_in_rows(person: Person) -> None:
    def all_there() -> list[dict[str, Any]] | None:
        rows = person.rows(person.client.table("blocks").select("*"))
        return rows if len(rows) >= 14 else None

    rows = {row["name"]: row for row in wait_for(all_there, "14 blocks")}
    split = rows["split_rows"]
    assert [port["name"] for port in split["outputs"]] == ["train", "test"]
    assert split["config_schema"]["properties"]["test_fraction"]["description"]
    assert "```yaml" in split["doc"]


def test_rows_become_assets_that_run_and_leave_results(person: Person, stack: RunningStack) -> None:
    name, table = new_name("penguins"), person.make_table("species text, prediction text")
    pipeline = person.publish(
        name,
        {
            "load": ("sample_data", {"name": "penguins"}),
            "impute": ("impute_missing", {}),
            "split": ("split_rows", {"test_fraction": 0.25, "stratify": "species"}),
            "train": ("train_classifier", {"target": "species"}),
            "evaluate": ("evaluate_model", {}),
            "predict": ("predict", {}),
            "pick": ("select_columns", {"columns": ["species", "prediction"]}),
            "chart": ("chart", {"kind": "bar", "x": "species"}),
            "save": ("write_parquet", {"url": f"{name}/out.parquet"}),
            "store": ("write_table", {"name": table, "mode": "replace"}),
        },
        [
            "load.table > impute.table",
            "impute.table > split.table",
            "impute.table > chart.table",
            "split.train > train.table",
            "split.test > evaluate.table",
            "split.test > predict.table",
            "train.model > evaluate.model",
            "train.model > predict.model",
            "predict.table > pick.table",
            "pick.table > save.table",
            "pick.table > store.table",
        ],
    )
    row = person.ended(person.ask_for_run(pipeline))
    assert row["status"] == "succeeded", row["error"]
    assert {entry["status"] for entry in row["progress"].values()} == {"succeeded"}
    assert row["progress"]["load"]["rows"] == {"table": 344}
    accuracy = row["progress"]["evaluate"]["metrics"]["metrics"]["accuracy"]
    assert accuracy > 0.9

    # The UI tells the same story.
    evaluate = asset(stack, name, "evaluate")
    assert evaluate["definition"]["groupName"] == name
    assert {"path": ["blocks", "evaluate_model"]} in evaluate["definition"]["dependencyKeys"]
    [materialization] = evaluate["assetMaterializations"]
    assert materialization["runId"] == row["dagster_run_id"]
    shown = {entry["label"]: entry for entry in materialization["metadataEntries"]}
    assert shown["metrics/accuracy"]["floatValue"] == accuracy
    checks = asset(stack, name, "load")["definition"]["assetChecksOrError"]["checks"]
    assert checks == [{"name": "table_is_usable"}]

    # So do the results, which are the person's own.
    stored = person.rows(person.client.table(table).select("*"))
    file = stack.home / "files" / name / "out.parquet"
    assert pl.read_parquet(file).height == len(stored) == 86
    assert {entry["owner"] for entry in stored} == {person.id}
    stranger = Person(stack.person(), stack)
    assert stranger.rows(stranger.client.table(table).select("*")) == []


def test_a_broken_pipeline_tells_all_its_problems_and_stops_nobody(person: Person) -> None:
    broken = person.draw(
        new_name("broken"),
        {
            "load": ("sampel_data", {}),
            "split": ("split_rows", {"test_fractoin": 0.2}),
            "train": ("train_classifier", {"target": "species", "algorithm": "oracle"}),
        },
        ["load.table > split.table", "split.trian > train.table"],
    )
    good = person.draw(new_name("good"), {"load": ("sample_data", {"name": "iris"})})
    for pipeline in (broken, good):
        person.client.rpc("approve_pipeline", {"pipeline": pipeline}).execute()
    row = person.settled(broken)
    assert row["status"] == "invalid"
    assert [problem["code"] for problem in row["problems"]] == [
        "unknown_block",
        "unknown_config_key",
        "bad_config",
        "unknown_port",
    ]
    assert person.settled(good)["status"] == "published"


def test_a_yaml_pipelines_name_is_taken(person: Person) -> None:
    row = person.approve(person.draw("wine", {"load": ("sample_data", {"name": "iris"})}))
    assert row["status"] == "invalid"
    assert [problem["code"] for problem in row["problems"]] == ["name_taken"]


def test_some_nodes_may_be_asked_for_and_wrong_ones_are_told(person: Person) -> None:
    nodes = {
        "load": ("sample_data", {"name": "iris"}),
        "chart": ("chart", {"kind": "histogram", "x": "sepal_length"}),
    }
    pipeline = person.publish(new_name("some"), nodes, ["load.table > chart.table"])
    row = person.ended(person.ask_for_run(pipeline, nodes_selected=["load"]))
    assert row["status"] == "succeeded"
    assert set(row["progress"]) == {"load"}
    wrong = person.ended(person.ask_for_run(pipeline, nodes_selected=["laod"]))
    assert wrong["status"] == "failed"
    assert "node 'laod'" in wrong["error"]["message"]
    assert "Did you mean 'load'?" in wrong["error"]["message"]


def test_a_run_launched_from_the_ui_gets_a_row_too(person: Person, stack: RunningStack) -> None:
    name = new_name("ui")
    pipeline = person.publish(name, {"load": ("sample_data", {"name": "iris"})})
    params = {
        "selector": {
            "repositoryName": "__repository__",
            "repositoryLocationName": "constellation_dagster",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [name, "load"]}],
        },
        "runConfigData": {},
    }
    launched = graphql(stack, LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run = launched["run"]["runId"]

    def row_of_run() -> dict[str, Any] | None:
        rows = person.rows(person.client.table("runs").select("*").eq("pipeline_id", pipeline))
        return rows[0] if rows and rows[0]["status"] == "succeeded" else None

    row = wait_for(row_of_run, "row of a run from the UI")
    assert row["dagster_run_id"] == run
    assert row["owner"] == person.id


def test_blocks_read_tables_as_the_pipelines_owner(person: Person, stack: RunningStack) -> None:
    table = person.make_table("n integer")
    person.client.table(table).insert([{"n": n} for n in range(3)]).execute()
    stranger = Person(stack.person(), stack)
    stranger.client.table(table).insert({"n": 99}).execute()
    pipeline = person.publish(new_name("mine"), {"read": ("read_table", {"name": table})})
    row = person.ended(person.ask_for_run(pipeline))
    assert row["progress"]["read"]["rows"] == {"table": 3}
    wrong = person.publish(new_name("wrong"), {"read": ("read_table", {"name": f"{table}x"})})
    row = person.ended(person.ask_for_run(wrong))
    assert f"There is no table '{table}x'" in row["error"]["message"]
    assert f"Did you mean '{table}'?" in row["error"]["message"]


def test_a_pipeline_of_rows_reads_no_file_of_the_host(person: Person, stack: RunningStack) -> None:
    secrets = stack.home / "secrets.json"
    pipeline = person.publish(new_name("nosy"), {"read": ("read_csv", {"url": str(secrets)})})
    row = person.ended(person.ask_for_run(pipeline))
    assert row["status"] == "failed"
    assert "lies outside the folders that may be used here" in row["error"]["message"]


def test_an_edit_is_a_new_version_and_an_archived_pipeline_is_gone(
    person: Person, stack: RunningStack
) -> None:
    name = new_name("edited")
    pipeline = person.publish(name, {"load": ("sample_data", {"name": "iris"})})
    config = {"config": {"name": "penguins"}}
    person.client.table("nodes").update(config).eq("pipeline_id", pipeline).execute()
    assert person.approve(pipeline)["version"] == 2
    row = person.ended(person.ask_for_run(pipeline))
    assert (row["version"], row["progress"]["load"]["rows"]) == (2, {"table": 344})
    person.client.rpc("archive_pipeline", {"pipeline": pipeline}).execute()
    wait_for(lambda: asset(stack, name, "load").get("definition") is None, "the asset's end")
