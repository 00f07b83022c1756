"""What the code location holds with no stack and no secrets, and what it says of mistakes."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import CodePointer
from dagster._core.definitions.reconstruct import repository_def_from_target_def
from dagster._core.storage.defs_state.base import set_defs_state_storage
from syrupy.assertion import SnapshotAssertion

from constellation_dagster.local.programs import CODE_SERVER_THREADS
from constellation_dagster.settings import PROJECT_ROOT, SUPABASE_VARIABLES, get_settings

DG = Path(sys.executable).with_name("dg")
pytestmark = [
    # Dagster's own sensor of automation conditions has a parameter that is in beta.
    pytest.mark.filterwarnings("ignore:Parameter `owners`"),
    pytest.mark.filterwarnings("ignore:Specifying a partitions_def on an AssetCheckSpec"),
]

WINE = Path("constellation_dagster/pipelines/wine/defs.yaml")


@pytest.fixture
def no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home in which nothing runs, and nobody else's Supabase."""
    for name in os.environ:
        if name in SUPABASE_VARIABLES or name.startswith(("CONSTELLATION_", "DAGSTER_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    monkeypatch.setenv("CONSTELLATION_HOME", str(home))
    get_settings.cache_clear()
    yield home
    get_settings.cache_clear()


def load_repository() -> dg.RepositoryDefinition:
    """As Dagster's code server loads it."""
    pointer = CodePointer.from_module(
        "constellation_dagster.definitions", "defs", working_directory=str(PROJECT_ROOT)
    )
    storage: dict[str, Any] = {
        "module": "constellation_dagster.instance",
        "class": "StateStorage",
        "config": {},
    }
    with (
        dg.instance_for_test(overrides={"defs_state_storage": storage}) as instance,
        set_defs_state_storage(instance.defs_state_storage),
    ):
        repository = repository_def_from_target_def(pointer.load_target())
    assert repository is not None
    return repository


def held(repository: dg.RepositoryDefinition) -> dict[str, Any]:
    graph = repository.asset_graph
    return {
        "assets": {
            node.key.to_user_string(): f"group {node.group_name}, {', '.join(sorted(node.kinds))}"
            for node in sorted(graph.asset_nodes, key=lambda node: node.key)
        },
        "checks": sorted(key.to_user_string() for key in graph.asset_check_keys),
        "jobs": sorted(repository.job_names),
        "sensors": {
            sensor.name: f"{sensor.sensor_type.value}, {sensor.default_status.value}"
            for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name)
        },
        "schedules": sorted(schedule.name for schedule in repository.schedule_defs),
        "resources": sorted(repository.get_top_level_resources()),
    }


def test_what_the_location_holds(no_stack: Path, snapshot: SnapshotAssertion) -> None:
    assert held(load_repository()) == snapshot
    # Loading looks at nothing and leaves nothing.
    assert not no_stack.exists()


def test_everything_is_described(no_stack: Path) -> None:
    repository = load_repository()
    graph = repository.asset_graph
    assert [node.key for node in graph.asset_nodes if not node.description] == []
    assert [sensor.name for sensor in repository.sensor_defs if not sensor.description] == []


def test_dagsters_packages_match() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]
    pinned = dict(
        dependency.split("==")
        for dependency in project["dependencies"]
        if re.match(r"dagster\b", dependency)
    )
    core = pinned["dagster"]
    _, minor, patch = core.split(".")
    # Dagster's libraries carry 0.(16 + minor).patch.
    library = f"0.{16 + int(minor)}.{patch}"
    assert pinned == {name: library if pinned[name][0] == "0" else core for name in pinned}
    for name, version in pinned.items():
        assert importlib.metadata.version(name) == version


MISTAKES = """\
type: constellation_dagster.components.PipelineComponent

attributes:
  name: wine
  nodes:
    - id: load
      block: sample_data
      confg: {name: wine}
    - id: split
      retries: many
  edges:
    - {source: load.table}
"""


def test_dg_check_yaml_tells_the_lines_of_mistakes(no_stack: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT_ROOT / "constellation_dagster", project / WINE.parts[0], ignore=ignored)
    for name in ("pyproject.toml", "dagster.yaml"):
        shutil.copy(PROJECT_ROOT / name, project)
    (project / WINE).write_text(MISTAKES)
    result = subprocess.run(
        [DG, "check", "yaml"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = result.stdout + result.stderr
    assert result.returncode == 1
    assert "Traceback" not in said
    told = set(re.findall(r"defs\.yaml:(\d+) - \S+ (\S+)", said))
    assert told == {
        ("8", "attributes.nodes.0.confg"),
        ("9", "attributes.nodes.1"),
        ("10", "attributes.nodes.1.retries"),
        ("12", "attributes.edges.0"),
    }, said


def test_without_an_instance_there_are_no_published_pipelines_and_no_error() -> None:
    from constellation_dagster.definitions import defs

    assert defs().resolve_asset_graph().has(dg.AssetKey(["wine", "load"]))


@pytest.mark.usefixtures("no_stack")
def test_sensors_leave_threads_of_the_code_server_to_others() -> None:
    waiting = len(load_repository().sensor_defs)
    compose = (PROJECT_ROOT / "docker-compose.yml").read_text()
    for name, threads in CODE_SERVER_THREADS.items():
        assert int(threads) > 2 * waiting
        assert f'{name}: "{threads}"' in compose
