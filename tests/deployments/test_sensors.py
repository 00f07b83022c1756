"""Rows become endpoints, and stay so, on a running stack."""

import os
import signal
import time
from typing import Any

import pytest

from constellation_dagster.local.guard import Record
from constellation_dagster.local.home import Home
from tests.deployments.person import Deployer
from tests.end_to_end.person import graphql, wait_for
from tests.runtimes.supervised import saying
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]

MATERIALIZED = """query Materialized($name: [String!]) {
  assetNodeOrError(assetKey: {path: ["deployments"]}) { ... on AssetNode {
    assetMaterializations(partitions: $name) {
      runId metadataEntries { label ... on UrlMetadataEntry { url }
        ... on FloatMetadataEntry { floatValue } ... on MarkdownMetadataEntry { mdStr } } }
    assetChecksOrError { ... on AssetChecks { checks {
      name executionForLatestMaterialization { status evaluation { description } } } } }
  } } }"""
RUNS = """query Runs($name: String!) { runsOrError(
  filter: {tags: [{key: "constellation/deployment", value: $name}]}) { ... on Runs {
    results { runId status } } } }"""
PARTITIONS = """query { assetNodeOrError(assetKey: {path: ["deployments"]}) {
  ... on AssetNode { partitionKeys } } }"""


def node(stack: RunningStack, **variables: Any) -> dict[str, Any]:
    return graphql(stack, MATERIALIZED, **variables)["assetNodeOrError"]


def kill(stack: RunningStack, replica: str) -> None:
    """As `kill -9` does."""
    record = Record.load(Home(stack.home).records / f"replica-{replica}.json")
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)


def both_are_ready(deployer: Deployer, name: str) -> None:
    def ask() -> bool:
        return [replica.state for replica in deployer.runtime.replicas(name)] == ["ready"] * 2

    wait_for(ask, "two replicas")


def replicas(row: dict[str, Any]) -> list[str]:
    return [replica["id"] for replica in row["observed"]["replicas"]]


def test_the_life_of_a_deployment(deployer: Deployer) -> None:
    model = deployer.model("life_of_a_model")
    stack = deployer.stack
    name = deployer.deploy(f"{model}@1", replicas=2, latency_budget_ms=1000)
    row = deployer.healthy(name)
    assert row["url"] == f"{stack.variables['CONSTELLATION_ENDPOINTS_URL']}/{name}"
    assert deployer.says(name, "hello") == "hello"

    def materialized() -> dict[str, Any] | None:
        found = node(stack, name=[name])["assetMaterializations"]
        return found[0] if found else None

    told = {
        entry["label"]: entry
        for entry in wait_for(materialized, "materialization")["metadataEntries"]
    }
    assert told["url"]["url"] == row["url"]
    assert 0 < told["p50_ms"]["floatValue"] <= told["p99_ms"]["floatValue"]
    assert "data:image/png;base64," in told["latency"]["mdStr"]
    assert f"{model}@1" in told["traffic"]["mdStr"]

    deployer.change(name, package=f"{model}@2")
    assert deployer.healthy(name)["observed"]["package"] == f"{model}@2"
    deployer.change(name, env={"FAULT": "wrong answers"})
    row = deployer.settled(name, "failed")
    assert "does not answer its own example" in row["error"]["message"]
    assert deployer.says(name, "hello") == "hello"

    deployer.client.rpc("rollback_deployment", {"deployment": row["id"]}).execute()
    deployer.healthy(name)
    deployer.delete(name)
    deployer.gone(name)

    def forgotten() -> bool:
        return name not in graphql(stack, PARTITIONS)["assetNodeOrError"]["partitionKeys"]

    wait_for(forgotten, "end of the partition")


def test_checks_say_what_a_client_sees(deployer: Deployer) -> None:
    name = deployer.deploy(f"{deployer.model('checked_model')}@1")
    deployer.healthy(name)

    def checked() -> dict[str, str] | None:
        checks = node(deployer.stack, name=[name])["assetChecksOrError"]["checks"]
        done = {
            check["name"]: check["executionForLatestMaterialization"]["status"]
            for check in checks
            if check["executionForLatestMaterialization"]
        }
        return done if len(done) == 6 and "IN_PROGRESS" not in done.values() else None

    assert wait_for(checked, "six checks") == dict.fromkeys(
        [
            "endpoint_is_healthy", "answers_its_example", "within_latency_budget",
            "canary_errors", "canary_latency", "canary_agreement",
        ],
        "SUCCEEDED",
    )  # fmt: skip
    deployer.delete(name)


def test_a_replica_that_dies_comes_back_and_one_that_is_gone_is_replaced(
    deployer: Deployer,
) -> None:
    name = deployer.deploy(f"{deployer.model('mortal_model')}@1", replicas=2)
    row = deployer.healthy(name)
    first, second = replicas(row)
    url = f"{row['url']}/v2/models/{name}/infer"
    with deployer.load(url, saying(200)) as load:
        load.wait_for(50)
        kill(deployer.stack, first)
        load.wait_for(200)
        both_are_ready(deployer, name)
        # The router takes two seconds to trust it again.
        time.sleep(4)
        # Not killed but taken away, as somebody does by mistake.
        deployer.runtime.stop(second, 10)
        both_are_ready(deployer, name)
        load.wait_for(200)
    assert load.report.problems == []
    assert deployer.healthy(name)["error"] is None
    deployer.delete(name)


def test_what_nobody_wants_is_removed(deployer: Deployer) -> None:
    """A replica that a killed process has started, of a deployment that is gone by now."""
    name = deployer.deploy(f"{deployer.model('stray_model')}@1")
    spec = deployer.spec(deployer.healthy(name))
    deployer.delete(name)
    deployer.gone(name)
    deployer.runtime.start(spec, f"{name}-{spec.spec_hash}-7", {})
    assert deployer.runtime.replicas(name)
    wait_for(lambda: not deployer.runtime.replicas(name), "end of the stray")


def test_an_alias_is_followed(deployer: Deployer) -> None:
    model = deployer.model("followed_model")

    def point(version: str) -> None:
        arguments = {"name": model, "alias": "champion", "version": version}
        deployer.client.rpc("set_model_alias", arguments).execute()

    point("1")
    name = deployer.deploy(f"{model}@champion")
    assert deployer.healthy(name)["observed"]["package"] == f"{model}@1"
    point("2")
    assert deployer.healthy(name)["observed"]["package"] == f"{model}@2"
    deployer.delete(name)


def test_a_canary_is_judged_by_its_traffic(deployer: Deployer) -> None:
    model = deployer.model("tried_model")
    name = deployer.deploy(f"{model}@1")
    row = deployer.healthy(name)
    deployer.change(name, canary={"package": f"{model}@2", "percent": 50})
    deployer.healthy(name)
    with deployer.load(f"{row['url']}/v2/models/{name}/infer", saying(200)) as load:
        wait_for(lambda: deployer.row(name)["canary"] is None, "verdict")
        row = deployer.healthy(name)
    assert load.report.problems == []
    assert row["package"] == f"{model}@2"
    assert row["note"].startswith(f"The canary {model}@2 was promoted: 0 of the canary's")
    deployer.delete(name)


def test_a_temporary_deployment_ends_by_itself(deployer: Deployer) -> None:
    package = f"{deployer.model('temporary_model')}@1"
    name = deployer.deploy(package, expires_at="2026-01-01T00:00:00Z")
    wait_for(lambda: deployer.row_or_none(name) is None, "end of the row")
    deployer.gone(name)


def test_none_at_all_is_stopped(deployer: Deployer) -> None:
    name = deployer.deploy(f"{deployer.model('idle_model')}@1", replicas=0)
    deployer.settled(name, "stopped")
    assert deployer.ask(name, "say x").status_code == 503
    deployer.change(name, replicas=1)
    deployer.healthy(name)
    deployer.delete(name)
