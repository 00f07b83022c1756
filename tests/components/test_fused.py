from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from upath import UPath

from constellation_dagster.components.fused import Origin, fused_assets
from constellation_dagster.domain.plan import Plan
from constellation_dagster.domain.ports import PortType
from constellation_dagster.resources.artifacts import ArtifactResource, ArtifactStore
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.settings import get_settings
from tests.small_blocks import plan_of

RESOURCES = {"io_manager": ArtifactResource(), "supabase": SupabaseResource()}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path))
    get_settings.cache_clear()
    yield tmp_path
    get_settings.cache_clear()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def plan() -> Plan:
    # `config` and `context` are names that Dagster keeps for itself.
    return plan_of(
        "p",
        {"config": "numbers", "context": "halve", "bad": "refuse", "after": "count", "n": "count"},
        "config.table > context.table",
        "context.first > bad.table",
        "bad.table > after.table",
        "context.second > n.table",
    )


def key(node: str) -> dg.AssetKey:
    return dg.AssetKey(["p", node])


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata by node of what was materialized."""
    found: dict[str, dict[str, Any]] = {}
    for event in result.all_events:
        if event.is_step_materialization:
            materialization = event.step_materialization_data.materialization
            values = {name: entry.value for name, entry in materialization.metadata.items()}
            found[materialization.asset_key.path[-1]] = values
    return found


def test_lineage_is_that_of_the_pipeline_and_its_blocks(plan: Plan) -> None:
    assets = fused_assets(plan, Origin())
    graph = dg.Definitions([assets], resources=RESOURCES).resolve_asset_graph()
    deps = {
        node: {parent.to_user_string() for parent in graph.get(key(node)).parent_keys}
        for node in ("context", "bad")
    }
    assert deps["context"] == {"p/config", "blocks/halve"}
    assert deps["bad"] == {"p/context", "blocks/refuse"}


def test_a_failure_keeps_what_does_not_depend_on_it(
    plan: Plan, instance: dg.DagsterInstance
) -> None:
    result = dg.materialize(
        [fused_assets(plan, Origin())],
        resources=RESOURCES,
        instance=instance,
        raise_on_error=False,
    )
    assert not result.success
    assert set(materialized(result)) == {"config", "context", "n"}
    failure = result.get_step_failure_events()[0].step_failure_data.error
    assert failure is not None
    assert "pipeline 'p': 1 of 5 nodes failed." in failure.message
    assert "node 'bad': There is no column 'x' among ['number']. Choose another." in failure.message
    assert "Not run: 'after'." in failure.message


def test_some_nodes_run_on_what_an_earlier_run_stored(
    plan: Plan, instance: dg.DagsterInstance
) -> None:
    assets = fused_assets(plan, Origin())
    for nodes in (["config", "context"], ["n"]):
        result = dg.materialize(
            [assets],
            resources=RESOURCES,
            instance=instance,
            selection=[key(node) for node in nodes],
        )
        assert set(materialized(result)) == set(nodes)
        if nodes == ["n"]:
            assert materialized(result)["n"]["rows"] == 2.0


def test_a_materialization_shows_rows_schema_head_and_checks(
    plan: Plan, instance: dg.DagsterInstance
) -> None:
    result = dg.materialize(
        [fused_assets(plan, Origin())],
        resources=RESOURCES,
        instance=instance,
        selection=[key("config"), key("context")],
    )
    lone = materialized(result)["config"]
    assert lone["dagster/row_count"] == 4
    assert [column.name for column in lone["dagster/column_schema"].columns] == ["number"]
    assert lone["head"].splitlines()[:3] == ["| number |", "| --- |", "| 0 |"]
    several = materialized(result)["context"]
    assert several["first/dagster/row_count"] == 2
    checks = {
        (check.asset_key.path[-1], check.check_name): check.passed
        for check in result.get_asset_check_evaluations()
    }
    assert checks == {
        ("config", "table_is_usable"): True,
        ("context", "first_is_usable"): True,
        ("context", "second_is_usable"): True,
    }


def test_checks_alone_look_at_what_is_stored(plan: Plan, instance: dg.DagsterInstance) -> None:
    assets = fused_assets(plan, Origin())
    checks = dg.AssetSelection.checks(dg.AssetCheckKey(key("config"), "table_is_usable"))
    for selection in ([key("config")], checks):
        result = dg.materialize(
            [assets], resources=RESOURCES, instance=instance, selection=selection
        )
        [check] = result.get_asset_check_evaluations()
        assert check.passed
        assert check.metadata["rows"].value == 4
        assert bool(materialized(result)) == (selection is not checks)


def test_what_a_block_logs_stands_in_the_runs_log(plan: Plan, instance: dg.DagsterInstance) -> None:
    result = dg.materialize(
        [fused_assets(plan, Origin())],
        resources=RESOURCES,
        instance=instance,
        selection=[key("config")],
    )
    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert "making 4 rows" in messages


def test_an_asset_of_ones_own_takes_a_nodes_value(
    plan: Plan, instance: dg.DagsterInstance, home: Path
) -> None:
    @dg.asset(ins={"frame": dg.AssetIn(key("config")), "halves": dg.AssetIn(key("context"))})
    def own(frame: pl.DataFrame, halves: dict[str, pl.DataFrame]) -> None:
        assert frame.height == halves["first"].height + halves["second"].height

    selection = [key("config"), key("context"), own.key]
    assets = [fused_assets(plan, Origin()), own]
    result = dg.materialize(assets, resources=RESOURCES, instance=instance, selection=selection)
    assert result.success
    stored = ArtifactStore(UPath(home / "artifacts")).read("p", "config", "table", PortType.TABLE)
    assert_frame_equal(stored, pl.DataFrame({"number": [0, 1, 2, 3]}))
