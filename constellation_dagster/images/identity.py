"""An image's id without the moment of its build, so that the same content has the same id."""

import io
import json
import tarfile
from datetime import UTC, datetime
from typing import Any

from constellation_dagster.images.finish import EPOCH

# The layers above those of the base image, in the order of the Dockerfile.
_OURS = ("dependencies", "server", "package")
# What an image says of how it runs; the rest of its configuration is about the build.
_KEPT = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Healthcheck", "WorkingDir", "Labels",
    "StopSignal", "Shell", "Volumes",
)  # fmt: skip


def without_moment(client: Any, image: Any) -> Any:
    """The same layers and settings as an image that says nothing of when it was built.

    An engine that keeps layers itself takes a configuration for layers that it has. One that
    keeps them in containerd does not, and there the image stays as it is.

    Args:
        client: A client of the engine.
        image: The image that was built; it is removed when there is the other one.
    """
    from docker.errors import DockerException

    moment = datetime.fromtimestamp(EPOCH, UTC).isoformat()
    inspected = image.attrs
    layers: list[str] = inspected["RootFS"]["Layers"]
    parts = ["base image"] * (len(layers) - len(_OURS)) + [*_OURS]
    settings = {name: inspected["Config"][name] for name in _KEPT if inspected["Config"].get(name)}
    configuration = {
        "architecture": inspected["Architecture"],
        "os": inspected["Os"],
        "created": moment,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": layers},
        "history": [{"created": moment, "created_by": part} for part in parts],
    }
    manifest = [
        {"Config": "config.json", "RepoTags": None, "Layers": [f"{i}" for i in range(len(layers))]}
    ]
    try:
        (settled,) = client.images.load(
            _tar({"config.json": configuration, "manifest.json": manifest})
        )
        if settled.attrs["RootFS"]["Layers"] != layers:
            return image
    except (DockerException, ValueError):
        return image
    if settled.id != image.id:
        # Its parents stay: they are what the next build need not do again.
        client.images.remove(image.id, noprune=True)
    return settled


def _tar(files: dict[str, object]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, value in files.items():
            content = json.dumps(value, sort_keys=True).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
