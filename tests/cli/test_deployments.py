"""`constellation deploy` and `deployment` as a person uses them, on a running stack."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments.person import Deployer
from tests.end_to_end.person import new_name
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def operator(stack: RunningStack) -> Deployer:
    """The person that the command line acts as."""
    return Deployer.operator(stack)


@pytest.fixture(scope="module")
def model(operator: Deployer) -> str:
    return operator.model("obedient")


@pytest.fixture(scope="module")
def name(operator: Deployer, model: str) -> Iterator[str]:
    """A healthy deployment of version 1."""
    name = new_name("birds")
    said = told(operator.stack.run("deploy", f"{model}@1", "--name", name, "--wait"))
    lines = said.splitlines()
    assert f"{name}: healthy, 1 of 1 ready" in lines
    assert re.fullmatch(rf"{name}: http://127\.0\.0\.1:\d+/endpoints/{name}", lines[-1])
    yield name
    assert f"{name}: deleted" in told(operator.stack.run("deployment", "delete", name))


def told(result: subprocess.CompletedProcess[str]) -> str:
    """What a command said that did what it was asked."""
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """What a command said that refused."""
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "Traceback" not in said
    return said


def test_what_is_deployed_is_shown(stack: RunningStack, name: str, model: str) -> None:
    listed = told(stack.run("deployment", "list", COLUMNS="250"))
    assert re.search(rf"{name} +│ healthy +│ {model}@1 +│ 1 of 1 +│ process", listed)
    shown = told(stack.run("deployment", "status", name))
    assert f"traffic   100 % to {model}@1 (champion, 1 replica)" in shown
    assert re.search(rf"│ {name}-[0-9a-f]{{12}}-0 │ ready", shown)
    assert '"status": "healthy"' in told(stack.run("deployment", "status", name, "--json"))
    logs = told(stack.run("deployment", "logs", name, "--lines", "3"))
    assert "the model is being loaded" in logs


def test_a_bad_change_is_told_and_taken_back(
    operator: Deployer, name: str, model: str, tmp_path: Path
) -> None:
    stack = operator.stack
    said = refused(
        stack.run("deploy", f"{model}@2", "--name", name, "--env", "FAULT=wrong answers", "--wait")
    )
    assert "The model does not answer its own example" in said
    assert f"{model}@1 goes on answering." in said
    assert operator.says(name, "hello") == "hello"
    said = told(stack.run("deployment", "rollback", name, "--wait"))
    assert f"{name}: back to revision 1, package {model}@1" in said
    assert f"{name}: healthy, 1 of 1 ready" in said


def test_a_canary_by_hand(operator: Deployer, name: str, model: str) -> None:
    stack = operator.stack
    told(stack.run("deploy", f"{model}@2", "--name", name, "--canary", "20", "--wait"))
    shown = told(stack.run("deployment", "status", name))
    assert f"traffic   80 % to {model}@1" in shown
    assert f"traffic   20 % to {model}@2 (canary, 1 replica)" in shown
    told(stack.run("deployment", "rollback", name, "--wait"))
    assert operator.row(name)["canary"] is None
    told(stack.run("deploy", f"{model}@2", "--name", name, "--canary", "20", "--wait"))
    assert f"{name}: {model}@2" in told(stack.run("deployment", "promote", name, "--wait"))
    assert operator.row(name)["observed"]["package"] == f"{model}@2"


def test_secrets_and_other_wishes(
    operator: Deployer, name: str, model: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    told(
        operator.stack.run(
            "deploy", f"{model}@1", "--name", name, "--replicas", "2", "--env", "COLOUR=blue",
            "--secret", f"token=@{file}", "--memory-mb", "500", "--latency-budget-ms", "80",
            "--wait",
        )
    )  # fmt: skip
    row = operator.row(name)
    assert (row["replicas"], row["env"]) == (2, {"COLOUR": "blue"})
    assert (row["resources"], row["latency_budget_ms"]) == ({"memory_mb": 500}, 80)
    assert operator.ask(name, "secret token").json()["outputs"][0]["data"] == ["abc"]
    assert operator.ask(name, "variable COLOUR").json()["outputs"][0]["data"] == ["blue"]


def test_stop_start_and_restart(operator: Deployer, name: str) -> None:
    stack = operator.stack
    assert f"{name}: stopped" in told(stack.run("deployment", "stop", name, "--wait"))
    assert operator.ask(name, "say x").status_code == 503
    assert "nothing of it runs" in stack.run("deployment", "logs", name).stderr
    assert f"{name}: healthy" in told(stack.run("deployment", "start", name, "--wait"))
    before = {replica["id"] for replica in operator.row(name)["observed"]["replicas"]}
    told(stack.run("deployment", "restart", name, "--wait"))
    after = {replica["id"] for replica in operator.row(name)["observed"]["replicas"]}
    assert not before & after


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["deploy", "nothing@1", "--name", "x"], "there is no package 'nothing@1' of yours"),
        (["deploy", "nothing", "--name", "X"], "- name begins with a lower-case letter"),
        (["deploy", "nothing@1", "--name", "x", "--canary", "9"], "on trial beside nothing"),
        (["deploy", "nothing@1", "--name", "x", "--env", "A"], "'A' is not"),
        (["deploy", "nothing@1", "--name", "x", "--secret", "a=b"], "seen by everybody"),
        (["deploy", "nothing@1", "--name", "x", "--secret", "a=@/none"], "cannot be read"),
        (["deployment", "status", "nope"], "You have no deployment 'nope'."),
        (["deployment", "delete", "nope"], "You have no deployment 'nope'."),
    ],
)
def test_mistakes_are_told(stack: RunningStack, arguments: list[str], said: str) -> None:
    assert said in refused(stack.run(*arguments))
