"""`constellation pipeline` and `run` as a person uses them, on a running stack."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.cli.files import LOAD, pipeline_file
from tests.end_to_end.person import new_name
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

NOBODYS_RUN = "00000000-0000-0000-0000-000000000000"


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipelines")


@pytest.fixture(scope="module")
def name(stack: RunningStack, folder: Path) -> str:
    """A published pipeline of one node."""
    name = new_name("flowers")
    file = pipeline_file(folder, name, description="[/b] *is* |no| [red]markup[/red]")
    said = told(stack.run("pipeline", "apply", "--wait", str(file)))
    assert f"{name}: version 1 is published" in said
    return name


def test_a_run_from_its_request_to_its_end(stack: RunningStack, name: str) -> None:
    run, *shown = told(stack.run("pipeline", "run", name, "--wait")).splitlines()
    assert f"pipeline '{name}', version 1: succeeded, Dagster run" in shown[0]
    assert re.search(r"load +│ succeeded +│ table 150 ", "\n".join(shown))
    assert told(stack.run("run", "show", run)).splitlines() == shown
    assert told(stack.run("run", "show", "--wait", run)).splitlines() == shown


def test_an_exported_pipeline_applied_again_is_the_same(
    stack: RunningStack, folder: Path, name: str
) -> None:
    exported = folder / "exported.yaml"
    exported.write_text(told(stack.run("pipeline", "export", name)))
    checked = told(stack.run("pipeline", "check", str(exported)))
    original = told(stack.run("pipeline", "check", str(folder / f"{name}.yaml")))
    assert checked.rpartition(", ")[2] == original.rpartition(", ")[2]
    said = told(stack.run("pipeline", "apply", "--wait", str(exported)))
    assert f"{name}: version 1 is published" in said
    assert checked.rpartition(", ")[2].strip() in said
    assert told(stack.run("pipeline", "export", name)) == exported.read_text()


def test_a_draft_is_listed_and_does_not_run(stack: RunningStack, folder: Path, name: str) -> None:
    draft = new_name("draft")
    said = told(stack.run("pipeline", "apply", "--draft", str(pipeline_file(folder, draft))))
    assert "version" not in said
    rows = told(stack.run("pipeline", "list", COLUMNS="200"))
    assert re.search(rf"{draft} +│ draft +│ +│", rows)
    assert re.search(rf"{name} +│ published +│ 1 +│ +│ \[/b\] \*is\* \|no\| \[red\]markup", rows)
    said = refused(stack.run("pipeline", "run", draft))
    assert f"pipeline '{draft}' is draft: it cannot run. Approve it first" in said


def test_an_invalid_pipeline_tells_every_problem(stack: RunningStack, folder: Path) -> None:
    broken = pipeline_file(
        folder,
        new_name("broken"),
        nodes=[
            {"id": "load", "block": "sampel_data"},
            {"id": "split", "block": "split_rows", "config": {"test_fractoin": 0.2}},
        ],
        edges=[{"source": "load.table", "target": "split.tabel"}],
    )
    said = refused(stack.run("pipeline", "apply", "--wait", str(broken)))
    assert "there is no block 'sampel_data'. Did you mean 'sample_data'?" in said
    assert "Did you mean 'test_fraction'?" in said
    assert "has no input 'tabel'. Did you mean 'split.table'" in said
    # What the command line says without a stack is the same.
    problems = refused(stack.run("pipeline", "check", str(broken))).splitlines()[1:]
    assert problems
    assert all(problem.strip() in said for problem in problems)


def test_what_is_not_there_is_told(stack: RunningStack, name: str) -> None:
    for command in ("run", "export"):
        said = refused(stack.run("pipeline", command, f"{name}s"))
        assert f"You have no pipeline '{name}s'. Did you mean '{name}'?" in said
    assert f"You have no run '{NOBODYS_RUN}'" in refused(stack.run("run", "show", NOBODYS_RUN))
    said = refused(stack.run("run", "show", "last"))
    assert "'last' is not the id of a run; `pipeline run` prints it." in said
    said = refused(stack.run("pipeline", "run", name, "--node", "laod", "--wait"))
    assert f"pipeline '{name}': failed" in said
    assert "node 'laod': There is no such node. Did you mean 'load'?" in said


def test_what_the_database_refuses_is_told(stack: RunningStack, folder: Path) -> None:
    taken = new_name("taken")
    person = stack.person()
    person.rpc("save_pipeline", {"spec": {"name": taken, "nodes": [LOAD]}}).execute()
    said = refused(stack.run("pipeline", "apply", str(pipeline_file(folder, taken))))
    assert f"'{taken}'" in said


def test_a_wrong_password_is_told(stack: RunningStack) -> None:
    said = refused(stack.run("pipeline", "list", CONSTELLATION_PASSWORD="wrong"))
    assert "does not know 'you@constellation.local' with this password" in said
    assert "Check CONSTELLATION_EMAIL and CONSTELLATION_PASSWORD." in said


def test_up_and_migrate_change_nothing(stack: RunningStack) -> None:
    assert "it was running already" in stack.run("up", "--detach").stderr
    result = stack.run("migrate")
    assert (result.returncode, result.stderr.strip()) == (0, "0 applied")
