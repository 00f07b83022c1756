"""The runtimes, the router and the rows of this installation, put together."""

from collections.abc import Callable, Mapping

from constellation_dagster.domain.replicas import Runtime, RuntimeName
from constellation_dagster.packaging.store import PackageStore
from constellation_dagster.resources.deployment_rows import DeploymentRows
from constellation_dagster.resources.router import Router
from constellation_dagster.resources.supabase import service_client
from constellation_dagster.runtimes.docker import DockerRuntime
from constellation_dagster.runtimes.images import image_of
from constellation_dagster.runtimes.process import ProcessRuntime
from constellation_dagster.runtimes.reconciler import Reconciler
from constellation_dagster.settings import Settings

Log = Callable[[str], object]


def open_runtimes(settings: Settings) -> Mapping[RuntimeName, Runtime]:
    """All runtimes; whether one can be used is seen when it is."""
    home = settings.constellation_home
    return {
        "process": ProcessRuntime(home, PackageStore.of(settings).fetch),
        "docker": DockerRuntime(home),
    }


def open_router(settings: Settings) -> Router:
    """The router of this installation.

    Raises:
        SettingMissing: There is none.
    """
    return Router(settings.require_router_admin())


def open_reconciler(settings: Settings, rows: DeploymentRows, log: Log) -> Reconciler:
    """What makes deployments of this installation what their rows say.

    Args:
        settings: Say where everything is.
        rows: The rows.
        log: Gets a line for each step.

    Raises:
        SettingMissing: There is no router, no server of locks, or no front door.
    """
    return Reconciler(
        rows=rows,
        runtimes=open_runtimes(settings),
        router=open_router(settings),
        redis_url=settings.require_redis(),
        endpoints_url=settings.require_endpoints(),
        image_of=lambda package: image_of(package, settings, service_client(), log),
        log=log,
    )
