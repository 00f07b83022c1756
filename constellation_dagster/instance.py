"""What `dagster.yaml` points to: storage that follows the environment.

Dagster's `{env: NAME}` fails when the variable is unset, so one `dagster.yaml` could serve either
a stack on Postgres or a bare command with none. These two classes choose by `settings` instead.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, cast

from dagster._config import ConfigType
from dagster._config.field_utils import Shape
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.defs_state.blob_storage_state_storage import UPathDefsStateStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from typing_extensions import override
from upath import UPath

from constellation_dagster.settings import get_settings


class InstanceStorage(DagsterStorage, ConfigurableClass):
    """Runs, events and schedules: Postgres when the environment names one, else SQLite.

    Never instantiated: `from_config_value` returns Dagster's own storage.
    """

    @classmethod
    @override
    def config_type(cls) -> ConfigType:
        return cast("ConfigType", Shape({}))

    @classmethod
    @override
    def from_config_value(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage:
        settings = get_settings()
        if settings.dagster_postgres_url:
            # Loaded only when used: it brings in SQLAlchemy's Postgres dialect and psycopg2.
            from dagster_postgres import DagsterPostgresStorage

            return DagsterPostgresStorage(
                postgres_url=settings.dagster_postgres_url,
                should_autocreate_tables=True,
                inst_data=inst_data,
            )
        base_dir = settings.constellation_home / "dagster" / "storage"
        base_dir.mkdir(parents=True, exist_ok=True)
        return DagsterSqliteStorage(base_dir=str(base_dir), inst_data=inst_data)


class StateStorage(UPathDefsStateStorage):
    """Versions of the published pipelines' definitions, below Constellation's home."""

    @classmethod
    @override
    def config_type(cls) -> ConfigType:
        return cast("ConfigType", Shape({}))

    @classmethod
    @override
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        base_path = get_settings().constellation_home / "dagster" / "state"
        return cls(base_path=UPath(base_path), inst_data=inst_data)

    @override
    def download_state_to_path(self, key: str, version: str, path: Path) -> None:
        try:
            super().download_state_to_path(key, version, path)
        except ValueError:
            # Lost with a home whose database lives on. The rows are the truth: `pipeline_changes`
            # sees that nothing of them is loaded, and publishes them again.
            path.write_text("[]", encoding="utf-8")
