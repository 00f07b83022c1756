"""Supabase as the platform itself sees it: with the service key, for sensors and status writers.

Whatever acts for a person goes through `person_tables` instead, as that person.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import dagster as dg

from constellation_dagster.resources.block_rows import BlockRows
from constellation_dagster.resources.change_feed import ChangeFeed
from constellation_dagster.resources.conversation_rows import ConversationRows
from constellation_dagster.resources.deployment_rows import DeploymentRows
from constellation_dagster.resources.package_rows import PackageRows
from constellation_dagster.resources.pipeline_rows import PipelineRows
from constellation_dagster.resources.run_rows import RunRows
from constellation_dagster.resources.search_index import SearchIndex
from constellation_dagster.settings import get_settings

if TYPE_CHECKING:
    from supabase import Client


class SupabaseResource(dg.ConfigurableResource[Any]):
    """The platform's rows.

    The environment says where they are and nothing is configured here, since Dagster shows a
    resource's configuration to everybody who opens the UI.
    """

    @property
    def configured(self) -> bool:
        """Whether there is a Supabase to talk to: bare commands work without one."""
        settings = get_settings()
        return bool(settings.supabase_url and settings.supabase_service_role_key)

    @property
    def blocks(self) -> BlockRows:
        """Rows of `blocks`."""
        return BlockRows(service_client())

    @property
    def pipelines(self) -> PipelineRows:
        """Rows of `pipelines` and `pipeline_versions`."""
        return PipelineRows(service_client())

    @property
    def runs(self) -> RunRows:
        """Rows of `runs`."""
        return RunRows(service_client())

    @property
    def deployments(self) -> DeploymentRows:
        """Rows of `deployments`."""
        return DeploymentRows(service_client())

    @property
    def packages(self) -> PackageRows:
        """Rows of `model_packages` and `model_aliases`."""
        return PackageRows(service_client())

    @property
    def conversations(self) -> ConversationRows:
        """Rows of `conversations`, `messages` and `drafts`."""
        return ConversationRows(service_client())

    @property
    def search_index(self) -> SearchIndex:
        """Rows of `embeddings`."""
        return SearchIndex(service_client())

    @property
    def feed(self) -> ChangeFeed:
        """The change feed."""
        return ChangeFeed(get_settings().require_database())


def service_client() -> "Client":
    """The client with the service key; never sign a person in on it.

    Raises:
        SettingMissing: Neither the environment nor a running stack names a Supabase.
    """
    return _service_client(*get_settings().require_service())


@lru_cache(maxsize=1)
def _service_client(url: str, key: str) -> "Client":
    # Half a second that loading definitions does without.
    from supabase import ClientOptions, create_client

    options = ClientOptions(auto_refresh_token=False, persist_session=False)
    return create_client(url, key, options)
