"""Blocks with requirements of their own: the same with Docker as without."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from upath import UPath

from constellation_dagster.components.fused import Origin, fused_assets
from constellation_dagster.domain.ports import PortType
from constellation_dagster.resources.artifacts import ArtifactResource, ArtifactStore
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.settings import get_settings
from tests.docker.cleaning import clean_engine
from tests.roman_blocks import roman_plan

RESOURCES = {"io_manager": ArtifactResource(), "supabase": SupabaseResource()}
NO_ENGINE = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Environments are made once for all tests."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    with clean_engine() as client:
        yield client


@pytest.fixture(params=["venv", pytest.param("docker", marks=pytest.mark.docker)])
def home(
    request: pytest.FixtureRequest, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.setenv("CONSTELLATION_HOME", str(shared_home))
    if request.param == "venv":
        monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    else:
        request.getfixturevalue("engine")
    get_settings.cache_clear()
    yield shared_home
    get_settings.cache_clear()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(instance: dg.DagsterInstance, add: int = 1) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [fused_assets(roman_plan(add), Origin())],
        resources=RESOURCES,
        instance=instance,
        raise_on_error=False,
    )


def logged(instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult) -> str:
    return "\n".join(entry.user_message for entry in instance.all_logs(result.run_id))


@pytest.mark.timeout(600)
def test_it_has_what_the_platform_has_not(home: Path, instance: dg.DagsterInstance) -> None:
    assert importlib.util.find_spec("roman") is None
    result = run(instance)
    assert result.success
    table = ArtifactStore(UPath(home / "artifacts")).read("p", "roman", "table", PortType.TABLE)
    assert table["roman"].to_list() == ["I", "II", "III", "IV", "I", "II"]

    # Its metadata and its log are where those of other nodes are.
    event = instance.get_latest_materialization_event(dg.AssetKey(["p", "roman"]))
    assert event is not None
    assert event.asset_materialization is not None
    metadata = {name: v.value for name, v in event.asset_materialization.metadata.items()}
    assert metadata["table/dagster/row_count"] == 6
    assert metadata["metrics/longest"] == 3.0
    lines = logged(instance, result)
    assert "making 4 rows" in lines
    assert "writing 2 tables" in lines


@pytest.mark.timeout(600)
def test_a_users_mistake_is_told_as_ever(home: Path, instance: dg.DagsterInstance) -> None:
    result = run(instance, add=-1)
    assert not result.success
    lines = logged(instance, result)
    assert "node 'roman': Romans had no negative numbers. Add more." in lines
    assert "Traceback" not in lines


@pytest.mark.timeout(600)
def test_a_bug_is_told_by_its_own_name_and_place(home: Path, instance: dg.DagsterInstance) -> None:
    lines = logged(instance, run(instance, add=5000))
    assert "node 'roman': OutOfRangeError: number out of range" in lines
    assert "roman_blocks.py" in lines


@pytest.mark.docker
def test_no_container_is_left(engine: Any) -> None:
    names = [container.name for container in engine.containers.list(all=True)]
    assert not [name for name in names if name.startswith("constellation-node-")]
