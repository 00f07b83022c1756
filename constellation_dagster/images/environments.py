"""Environments of blocks that need more than the platform has: an image, or a folder with a venv.

Both are made of the same requirements, once for each set of them.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from constellation_dagster.images.context import BuildContext
from constellation_dagster.images.dockerfile import environment_dockerfile
from constellation_dagster.images.engine import Log, base_image, build_of, find_build, run_build
from constellation_dagster.images.errors import ImageBuildFailed
from constellation_dagster.images.targets import target_of
from constellation_dagster.images.wheels import explained, require_names, resolve_wheels
from constellation_dagster.packaging.requirements import pinned
from constellation_dagster.resources.docker import docker_client
from constellation_dagster.settings import Settings

REPOSITORY = "constellation/environments"

# What a module of blocks imports of ours needs, and what tells the run how it goes.
_EVERY_NODE = (
    "croniter", "dagster-pipes", "loguru", "numpy", "pillow", "polars", "pydantic", "pyyaml",
    "typing-extensions", "universal-pathlib",
)  # fmt: skip
_MODELS = ("scikit-learn", "skops")


def environment_requirements(block: Sequence[str], *, models: bool) -> tuple[str, ...]:
    """What a block's environment holds: its own requirements, and what passing values needs.

    Args:
        block: The block's requirements.
        models: Whether a port of the block carries models.

    Raises:
        ImageBuildFailed: One is no requirement.
    """
    require_names(block)
    own = {canonicalize_name(Requirement(line).name) for line in block}
    ours = pinned((*_EVERY_NODE, *_MODELS) if models else _EVERY_NODE)
    needed = [line for line in ours if canonicalize_name(Requirement(line).name) not in own]
    return tuple(sorted({*block, *needed}))


def environment_image(
    block: Sequence[str], requirements: Sequence[str], settings: Settings, log: Log
) -> str:
    """The id of an image with these requirements, built if there is none.

    Args:
        block: The block's own requirements, for people.
        requirements: All of them (`environment_requirements`).
        settings: Name the base image.
        log: Gets every line of a build.

    Raises:
        ImageBuildFailed: A requirement cannot be had, or the build failed.
        RuntimeUnavailable: No engine answers.
    """
    cache = settings.constellation_home / "cache"
    with docker_client() as client:
        base = base_image(client, settings.base_image, log)
        target = target_of(client, base, cache / "base-images")
        wheelhouse = resolve_wheels(requirements, target, cache / "wheels")
        dockerfile = environment_dockerfile(block, settings.base_image, wheelhouse.pip)
        context = BuildContext(dockerfile, wheelhouse)
        build = build_of(context, base)
        image = find_build(client, build)
        if image is None:
            log(f"Building an environment with {', '.join(block)}.")
            image = run_build(client, context, build, log, fresh=False)
            image.tag(REPOSITORY, build[:12])
        return image.id


def environment_venv(
    block: Sequence[str], requirements: Sequence[str], settings: Settings, log: Log
) -> Path:
    """The Python of a venv with these requirements, made if there is none.

    Args:
        block: The block's own requirements, for people.
        requirements: All of them (`environment_requirements`).
        settings: Say where it is kept.
        log: Gets what happens.

    Raises:
        ImageBuildFailed: A requirement cannot be had.
    """
    key = hashlib.sha256(json.dumps([sys.version, *requirements]).encode()).hexdigest()[:16]
    folder = settings.constellation_home / "cache" / "environments" / key
    python = folder / "bin" / "python"
    complete = folder / "complete"
    with _one_at_a_time(folder.with_suffix(".lock")):
        if not complete.exists():
            log(f"Making an environment with {', '.join(block)}.")
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
            _run([sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input",
                  "--python", str(python), "install", "--progress-bar=off",
                  "--only-binary=:all:", *requirements])  # fmt: skip
            complete.touch()
    return python


def _run(command: Iterable[str]) -> None:
    result = subprocess.run(
        list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode:
        version = f"Python {sys.version_info.major}.{sys.version_info.minor} on this machine"
        raise ImageBuildFailed(explained(result.stdout, version))


@contextmanager
def _one_at_a_time(lock: Path) -> Generator[None]:
    """Two runs may want the same environment; the second waits and then finds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
