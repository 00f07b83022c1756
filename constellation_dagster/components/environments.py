"""Nodes whose blocks need more packages than the platform has run in an environment of their own.

With a Docker engine that is a container, without one a process of a venv; either way through
Dagster Pipes, with inputs and outputs as files in the formats of their ports.
"""

import importlib.util
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import dagster as dg

import constellation_dagster
from constellation_dagster.components.runner import call_here
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.errors import BlockFailed, ConstellationError
from constellation_dagster.domain.plan import PlanNode
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.replicas import RuntimeUnavailable
from constellation_dagster.resources.formats import FORMATS
from constellation_dagster.settings import get_settings

_CHILD = Path(__file__).with_name("node_child.py")
# What of ours a block may use.
_SHARED = ("__init__.py", "domain", "blocks", "resources/__init__.py", "resources/formats.py")
_INSIDE = "/work"
_TMP = "/tmp"  # noqa: S108  (the container's own)


class EnvironmentFailed(ConstellationError):
    """A block's environment cannot be made, or the block cannot run in one."""


class Environments:
    """Calls the blocks of one run, each where it has what it needs."""

    def __init__(self, context: dg.AssetExecutionContext, *, confined: bool) -> None:
        """Environments for a run.

        Args:
            context: The run's; it gets what the blocks log.
            confined: Whether blocks are held to the file roots, as those of people's pipelines are.
        """
        # Dagster's Pipes ask an asset's own context for what is deprecated there.
        self._context = context.op_execution_context
        self._confined = confined
        self._settings = get_settings()

    def call(
        self, node: PlanNode, inputs: Mapping[str, Any], resources: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Calls a node's block, as `runner.NodeCall`.

        Raises:
            ConstellationError: What the block raised, or its environment cannot be had.
        """
        if not node.block.requirements:
            return call_here(node, inputs, resources)
        if node.block.resources:
            raise EnvironmentFailed(
                f"block {node.block.ref!r} has requirements and asks for "
                f"{', '.join(node.block.resources)}, which cannot be lent to another process. "
                "Make two blocks of it."
            )
        with tempfile.TemporaryDirectory(prefix="constellation-node-") as name:
            folder = Path(name)
            _write_code(node.block, folder / "code")
            self._write_task(node, inputs, folder)
            self._run(node.block, folder)
            return _read_result(node.block, folder)

    def _write_task(self, node: PlanNode, inputs: Mapping[str, Any], folder: Path) -> None:
        files: dict[str, list[str]] = {}
        for port in node.block.inputs:
            if port.name not in inputs:
                continue
            form = FORMATS[port.type]
            given = cast("Sequence[Any]", inputs[port.name] if port.many else [inputs[port.name]])
            names = [f"input-{port.name}-{index}{form.suffix}" for index in range(len(given))]
            for file_name, value in zip(names, given, strict=True):
                with (folder / file_name).open("wb") as file:
                    form.dump(value, file)
            files[port.name] = names
        task = {
            "module": node.block.function.__module__,
            "block": node.block.ref,
            "config": dict(node.config),
            "inputs": files,
            "places": [str(root) for root in self._settings.file_roots] if self._confined else None,
        }
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")

    def _run(self, block: AnyBlock, folder: Path) -> None:
        from constellation_dagster.images.environments import (
            environment_image,
            environment_requirements,
            environment_venv,
        )
        from constellation_dagster.images.errors import ImageBuildFailed

        carried = {port.type for port in (*block.inputs, *block.outputs)}
        try:
            # In the version of Dagster that is pinned it warns of its own method.
            warnings.filterwarnings("ignore", message=r".*PipesMessageReader\.expected_writer")
            needed = environment_requirements(block.requirements, models=PortType.MODEL in carried)
            log = self._context.log.info
            try:
                image = environment_image(block.requirements, needed, self._settings, log)
            except RuntimeUnavailable:
                python = environment_venv(block.requirements, needed, self._settings, log)
                self._run_process(python, folder)
            else:
                self._run_container(image, folder)
        except ImageBuildFailed as error:
            raise EnvironmentFailed(f"block {block.ref!r}: {error}") from error

    def _run_process(self, python: Path, folder: Path) -> None:
        dg.PipesSubprocessClient().run(
            context=self._context,
            command=[str(python), "-P", str(folder / "code" / _CHILD.name), str(folder)],
            env={"PYTHONPATH": str(folder / "code"), "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def _run_container(self, image: str, folder: Path) -> None:
        from dagster_docker import PipesDockerClient

        name = f"constellation-node-{uuid4().hex[:12]}"
        try:
            PipesDockerClient().run(
                context=self._context,
                image=image,
                command=["python", "-P", f"{_INSIDE}/code/{_CHILD.name}", _INSIDE],
                env={
                    "PYTHONPATH": f"{_INSIDE}/code",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "HOME": _TMP,
                },
                container_kwargs={
                    "name": name,
                    # As this process, so that both may read what the other writes.
                    "user": f"{os.getuid()}:{os.getgid()}",
                    "volumes": self._volumes(folder),
                    "read_only": True,
                    "tmpfs": {_TMP: "rw,nosuid,nodev"},
                    "cap_drop": ["ALL"],
                    "security_opt": ["no-new-privileges:true"],
                },
            )
        finally:
            _remove(name)

    def _volumes(self, folder: Path) -> dict[str, dict[str, str]]:
        volumes = {str(folder): {"bind": _INSIDE, "mode": "rw"}}
        for root in self._settings.file_roots:
            if root.is_dir():
                volumes[str(root)] = {"bind": str(root), "mode": "rw"}
        return volumes


def _write_code(block: AnyBlock, target: Path) -> None:
    """The block's module with all that is beside it, and what of ours it is made with."""
    target.mkdir()
    ours = Path(constellation_dagster.__file__).parent
    for part in _SHARED:
        _copy(ours / part, target / ours.name / part)
    _copy(_CHILD, target / _CHILD.name)
    package = block.function.__module__.partition(".")[0]
    if package == ours.name:
        return
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise EnvironmentFailed(
            f"block {block.ref!r}: its module {block.function.__module__!r} is in no file that an "
            "environment could be given. Put it into a package."
        )
    folders = list(spec.submodule_search_locations or ())
    for source in map(Path, folders or [spec.origin or ""]):
        _copy(source, target / source.name)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _remove(container: str) -> None:
    from docker.errors import NotFound

    from constellation_dagster.resources.docker import docker_client

    with docker_client() as client:
        try:
            client.containers.get(container).remove(force=True, v=True)
        except NotFound:
            return


def _read_result(block: AnyBlock, folder: Path) -> Mapping[str, Any]:
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if result:
        raise _raised(result)
    outputs: dict[str, Any] = {}
    for port in block.outputs:
        form = FORMATS[port.type]
        with (folder / f"output-{port.name}{form.suffix}").open("rb") as file:
            outputs[port.name] = form.load(file)
    return outputs


def _raised(result: Mapping[str, str]) -> Exception:
    """What the block raised there, as it is told when it is raised here."""
    if result["kind"] == "BlockFailed":
        return BlockFailed(result["message"], result["hint"])
    if result["kind"] == "ConstellationError":
        return ConstellationError(result["message"])
    # Its class may be of a package that is not here; its name is what a person looks for.
    error = type(result["kind"], (Exception,), {})(result["message"])
    error.add_note(result["traceback"])
    return error
