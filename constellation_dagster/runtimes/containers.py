"""How a replica's container is made: what it may do, and by what it is recognised."""

import hashlib
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from constellation_dagster.domain.packages import parse_package_ref
from constellation_dagster.domain.replicas import ReplicaSpec
from constellation_dagster.images.dockerfile import PORT, USER

HOME_LABEL = "org.constellation.home"
REPLICA_LABEL = "org.constellation.replica"
DEPLOYMENT_LABEL = "org.constellation.deployment"
SPEC_LABEL = "org.constellation.spec"
PACKAGE_LABEL = "org.constellation.package"

SECRETS = "/run/secrets"

# Below those that the kernel gives to outgoing connections, so that a replica that is started
# again by the engine finds its port free.
_PORTS = range(20_000, 30_000)
_PROCESSES = 512
_TMP_MB = 256
_HEALTH_SECONDS = 10
_SECOND = 1_000_000_000


def home_id(home: Path) -> str:
    """Twelve hex digits for a stack: an engine may have containers of several."""
    return hashlib.sha256(str(home).encode()).hexdigest()[:12]


def container_name(home: str, replica: str) -> str:
    """Names are unique in an engine, replicas only in a stack."""
    return f"constellation-{home}-{replica}"


def network_name(home: str) -> str:
    """The network of a stack's containers."""
    return f"constellation-{home}"


def network_options(home: str) -> dict[str, Any]:
    """Arguments of the SDK for a network in which containers do not see each other."""
    return {
        "name": network_name(home),
        "driver": "bridge",
        "check_duplicate": True,
        "options": {"com.docker.network.bridge.enable_icc": "false"},
        "labels": {HOME_LABEL: home},
    }


def container_options(
    spec: ReplicaSpec, replica: str, *, home: str, port: int, secrets: Path, start_seconds: float
) -> dict[str, Any]:
    """Arguments of the SDK for a replica's container.

    Args:
        spec: What it runs.
        replica: Its id.
        home: Which stack's (`home_id`).
        port: Where it is reached on this machine's loopback.
        secrets: Folder with the files that it finds in `CONSTELLATION_SECRETS_DIR`.
        start_seconds: How long it may take to become ready before it counts as unhealthy.
    """
    from docker.types import LogConfig

    memory = f"{spec.memory_mb}m" if spec.memory_mb is not None else None
    return {
        "image": spec.image,
        "command": server_options(spec),
        "name": container_name(home, replica),
        "labels": {
            HOME_LABEL: home,
            REPLICA_LABEL: replica,
            DEPLOYMENT_LABEL: spec.deployment,
            SPEC_LABEL: spec.spec_hash,
            PACKAGE_LABEL: spec.package,
        },
        "environment": {**spec.env, "CONSTELLATION_SECRETS_DIR": SECRETS},
        "user": USER,
        "read_only": True,
        "tmpfs": {"/tmp": f"rw,nosuid,nodev,noexec,size={_TMP_MB}m,mode=1777"},  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": _PROCESSES,
        "mem_limit": memory,
        # As much as memory itself is no swap.
        "memswap_limit": memory,
        "nano_cpus": round(spec.cpu * _SECOND) if spec.cpu is not None else None,
        "network": network_name(home),
        "ports": {f"{PORT}/tcp": ("127.0.0.1", port)},
        "volumes": {str(secrets): {"bind": SECRETS, "mode": "ro"}},
        "restart_policy": {"Name": "unless-stopped"},
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        "healthcheck": {
            "interval": _HEALTH_SECONDS * _SECOND,
            "timeout": _HEALTH_SECONDS * _SECOND,
            "retries": 3,
            "start_period": round(start_seconds * _SECOND),
        },
        "detach": True,
    }


def server_options(spec: ReplicaSpec) -> list[str]:
    """What the image's command is given: who it is and how it gathers requests."""
    _, version = parse_package_ref(spec.package)
    options: Mapping[str, object] = {
        "--name": spec.deployment,
        "--version": version,
        "--batch-size": spec.batch_size,
        "--batch-delay-ms": spec.batch_delay_ms,
        "--queue-size": spec.queue_size,
        "--request-timeout": spec.request_timeout_s,
    }
    return [word for name, value in options.items() for word in (name, str(value))]


def free_port() -> int:
    """A port of loopback that nobody listens on, now."""
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"all ports from {_PORTS[0]} to {_PORTS[-1]} are taken")
