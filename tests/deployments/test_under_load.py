"""A hundred thousand requests through all that can happen to a deployment; none is lost."""

import pytest

from tests.deployments.person import Deployer
from tests.deployments.test_sensors import both_are_ready, kill, replicas
from tests.load import Load
from tests.runtimes.supervised import saying
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("stack"), pytest.mark.timeout(600)]

REQUESTS = 100_000


def test_no_request_is_lost(deployer: Deployer, stack: RunningStack) -> None:
    model = deployer.model("busy_model")
    name = deployer.deploy(f"{model}@1", replicas=2)
    row = deployer.healthy(name)
    url = f"{row['url']}/v2/models/{name}/infer"
    key = {"apikey": stack.variables["SUPABASE_KEY"]}
    with Load(url, saying(200), key, connections=16, requests=REQUESTS) as load:
        # A rolling update.
        deployer.change(name, package=f"{model}@2")
        assert deployer.healthy(name)["observed"]["package"] == f"{model}@2"
        # Rolled back by hand.
        deployer.client.rpc("rollback_deployment", {"deployment": row["id"]}).execute()
        assert deployer.healthy(name)["observed"]["package"] == f"{model}@1"
        # A version that never becomes ready rolls back by itself.
        deployer.change(name, env={"FAULT": "wrong answers"})
        deployer.settled(name, "failed")
        deployer.change(name, env={})
        # A replica is killed.
        kill(stack, replicas(deployer.healthy(name))[0])
        load.wait_for(500)
        both_are_ready(deployer, name)
        # A canary proves itself, and is promoted.
        deployer.change(name, canary={"package": f"{model}@2", "percent": 20})
        wanted = deployer.healthy(name)
        while wanted["canary"] is not None:
            load.wait_for(100)
            wanted = deployer.row(name)
        promoted = deployer.healthy(name)
        assert promoted["observed"]["package"] == f"{model}@2", promoted["note"]
    assert load.report.problems == []
    assert load.report.sent == REQUESTS
    assert deployer.healthy(name)["error"] is None
    deployer.delete(name)
