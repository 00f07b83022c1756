"""For which Python and platform an image's wheels have to be."""

import json
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constellation_dagster.images.errors import ImageBuildFailed

# What the server is written for.
OLDEST_PYTHON = (3, 11)

_PROBE = (
    "import json, platform, sys; "
    "print(json.dumps([list(sys.version_info[:2]), platform.machine(), *platform.libc_ver()]))"
)
# Where nobody can be asked: as old as the oldest systems that are still cared for.
_ASSUMED_GLIBC = "2.28"
# Names from before they had the version in them.
_LEGACY = {"2.17": "manylinux2014", "2.12": "manylinux2010", "2.5": "manylinux1"}
_OLDEST_GLIBC = {"x86_64": 5}
_MUSL = ("musllinux_1_1", "musllinux_1_2")


@dataclass(frozen=True)
class Target:
    """A Python on a platform.

    Attributes:
        python: Its version, such as `3.11`.
        machine: The processor, such as `x86_64`.
        glibc: Version of the C library, such as `2.36`; None for musl.
    """

    python: str
    machine: str
    glibc: str | None

    @property
    def platforms(self) -> tuple[str, ...]:
        """All platform tags of wheels that work there, newest first."""
        if self.glibc is None:
            names = list(_MUSL)
        else:
            newest = int(self.glibc.split(".")[1])
            names: list[str] = []
            for minor in range(newest, _OLDEST_GLIBC.get(self.machine, 17) - 1, -1):
                names.append(f"manylinux_2_{minor}")
                if legacy := _LEGACY.get(f"2.{minor}"):
                    names.append(legacy)
        return tuple(f"{name}_{self.machine}" for name in (*names, "linux"))

    def __str__(self) -> str:
        library = f"glibc {self.glibc}" if self.glibc else "musl"
        return f"Python {self.python} on {self.machine} with {library}"


def assumed_target(base: str, python: str) -> Target:
    """What to expect of a base image where there is no engine to look into it.

    Args:
        base: Its name; `python:3.12-slim` tells the version.
        python: The version where the name does not.
    """
    named = re.search(r"python:(3\.\d+)", base)
    glibc = None if "alpine" in base else _ASSUMED_GLIBC
    return Target(named[1] if named else python, platform.machine(), glibc)


def target_of(client: Any, image: Any, cache: Path) -> Target:
    """Asks the Python in a base image; once for each image.

    Args:
        client: A client of the engine that has it.
        image: The image, as the SDK gives it.
        cache: Folder for the answers.

    Raises:
        ImageBuildFailed: It has no Python, or one that is too old.
    """
    from docker.errors import APIError, ContainerError

    answers = cache / f"{image.id.removeprefix('sha256:')}.json"
    if answers.exists():
        return Target(**json.loads(answers.read_text()))
    name = image.tags[0] if image.tags else image.id
    try:
        said: bytes = client.containers.run(
            image.id,
            ["-c", _PROBE],
            entrypoint="python3",
            remove=True,
            network_mode="none",
        )
    except (APIError, ContainerError) as error:
        raise ImageBuildFailed(
            f"The base image {name!r} has no python3 that runs: {error}. Set "
            "CONSTELLATION_BASE_IMAGE to one that has, such as python:3.11-slim."
        ) from error
    version, machine, library, library_version = json.loads(said)
    if tuple(version) < OLDEST_PYTHON:
        raise ImageBuildFailed(
            f"The base image {name!r} has Python {'.'.join(map(str, version))}, and the server "
            "needs 3.11 or newer. Set CONSTELLATION_BASE_IMAGE to a newer one."
        )
    glibc = library_version if library == "glibc" else None
    target = Target(".".join(map(str, version)), machine, glibc)
    cache.mkdir(parents=True, exist_ok=True)
    draft = answers.with_suffix(".draft")
    draft.write_text(json.dumps(vars(target)))
    draft.replace(answers)
    return target
