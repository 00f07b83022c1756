"""The Docker engine that builds images and runs replicas."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from constellation_dagster.domain.replicas import RuntimeUnavailable
from constellation_dagster.settings import get_settings

USUAL_SOCKET = "unix:///var/run/docker.sock"
# The longest that the engine may be silent: it says nothing while it packs a layer.
SILENCE_SECONDS = 300


class DockerResource(dg.ConfigurableResource[Any]):
    """The engine of this machine; `DOCKER_HOST` names another one."""

    @contextmanager
    def client(self) -> Generator[Any]:
        """A client of the engine (`docker.DockerClient`), closed again at the end.

        Raises:
            RuntimeUnavailable: No engine answers, or it stopped doing so in between.
        """
        with docker_client() as client:
            yield client


@contextmanager
def docker_client() -> Generator[Any]:
    """The same for those that Dagster lends nothing."""
    import docker
    from docker.errors import DockerException
    from requests.exceptions import ConnectionError as EngineGone

    address = get_settings().docker_host
    environment = {**os.environ, "DOCKER_HOST": address or USUAL_SOCKET}
    try:
        client: Any = docker.from_env(environment=environment, timeout=SILENCE_SECONDS)
    except DockerException as error:
        raise _unavailable(address, error) from error
    try:
        yield client
    except EngineGone as error:
        raise _unavailable(address, error) from error
    finally:
        client.close()


def _unavailable(address: str | None, error: Exception) -> RuntimeUnavailable:
    where = address or USUAL_SOCKET
    if "Permission denied" in str(error):
        return RuntimeUnavailable(
            f"The Docker engine at {where} does not let this user in. Add the user to the group "
            "that owns the socket (`sudo usermod -aG docker $USER`, then log in again)."
        )
    advice = (
        "Check DOCKER_HOST, or unset it to use the engine of this machine"
        if address
        else "Install and start one (Debian, Ubuntu: apt-get install docker.io), or set "
        "DOCKER_HOST to where one is"
    )
    return RuntimeUnavailable(
        f"No Docker engine answers at {where}. {advice}. Deployments with `runtime: process` "
        "need none."
    )
