from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

from constellation_dagster.settings import PROJECT_ROOT, SUPABASE_VARIABLES, get_settings


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance of dagster.yaml with nothing in the environment."""
    for name in (*SUPABASE_VARIABLES, "CONSTELLATION_DAGSTER_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    reference = InstanceRef.from_dir(str(tmp_path), config_dir=str(PROJECT_ROOT))
    with dg.DagsterInstance.from_ref(reference) as instance:
        yield instance
    get_settings.cache_clear()


def test_without_a_stack_runs_are_kept_in_the_home(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    storage = instance._ref.storage if instance._ref else None  # pyright: ignore[reportPrivateUsage]
    assert isinstance(storage, DagsterSqliteStorage)
    assert Path(storage.base_dir) == tmp_path / "home" / "dagster" / "storage"


def test_state_comes_back_and_lost_state_is_empty(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    storage = instance.defs_state_storage
    assert storage is not None
    written, read = tmp_path / "written", tmp_path / "read"
    written.write_text('[{"a": 1}]')
    storage.upload_state_from_path("SupabasePipelines", "1", written)
    storage.download_state_to_path("SupabasePipelines", "1", read)
    assert read.read_text() == '[{"a": 1}]'
    storage.download_state_to_path("SupabasePipelines", "lost", read)
    assert read.read_text() == "[]"
