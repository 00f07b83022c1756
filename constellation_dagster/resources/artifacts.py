"""Where the values of nodes are stored, each in the format of its port's type."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster import UPathIOManager
from pydantic import TypeAdapter
from typing_extensions import override
from upath import UPath

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.ports import PortType
from constellation_dagster.resources.formats import FORMATS
from constellation_dagster.settings import get_settings


class ArtifactMissing(ConstellationError):
    """A stored value that a node needs is not there."""


class ArtifactStore:
    """Reads and writes the values of nodes below one fsspec URL.

    Layout: `<base>/<pipeline>/<node>/<port><suffix>`.
    """

    def __init__(self, base: UPath) -> None:
        self.base = base

    def path(self, pipeline: str, node: str, port: str, port_type: PortType) -> UPath:
        """Where one output of a node is stored."""
        return self.base / pipeline / node / f"{port}{FORMATS[port_type].suffix}"

    def write(self, pipeline: str, node: str, port: str, port_type: PortType, value: Any) -> UPath:
        """Stores a value; readers see the old one or the new one, never a part."""
        path = self.path(pipeline, node, port, port_type)
        path.parent.mkdir(parents=True, exist_ok=True)
        dump = FORMATS[port_type].dump
        if path.protocol not in ("", "file"):
            with path.open("wb") as file:  # an object store shows a whole object or none
                dump(value, file)
            return path
        # The run id would do for one writer, but two runs of a pipeline may write at once.
        temporary = path.parent / f".{path.name}.{uuid4().hex}"
        try:
            with temporary.open("wb") as file:
                dump(value, file)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def read(self, pipeline: str, node: str, port: str, port_type: PortType) -> Any:
        """Loads a stored value.

        Raises:
            ArtifactMissing: Nothing is stored there.
            ArtifactUnsafe: It is a model with types that are not trusted.
        """
        path = self.path(pipeline, node, port, port_type)
        try:
            with path.open("rb") as file:
                return FORMATS[port_type].load(file)
        except FileNotFoundError as error:
            raise ArtifactMissing(
                f"pipeline {pipeline!r}, node {node!r}, port {port!r}: nothing is stored at "
                f"{path}. Materialize {pipeline}/{node} first, or select it too."
            ) from error


class PortIOManager(UPathIOManager):
    """Dagster's way to the artifact store: an asset's value is `{port: value}`.

    The asset's metadata `constellation/ports` (`{port: type}`) tells the formats, so that an asset
    of a person's own that takes a node's asset as input gets its value: the value of the only
    port, or a dict of all.
    """

    def __init__(self, store: ArtifactStore) -> None:
        super().__init__(base_path=store.base)
        self.store = store

    @override
    def dump_to_path(self, context: dg.OutputContext, obj: Mapping[str, Any], path: UPath) -> None:
        pipeline, node = context.asset_key.path
        for port, port_type in _port_types(context.definition_metadata).items():
            self.store.write(pipeline, node, port, port_type, obj[port])

    @override
    def load_from_path(self, context: dg.InputContext, path: UPath) -> Any:
        pipeline, node = context.asset_key.path
        upstream = context.upstream_output
        ports = _port_types(upstream.definition_metadata if upstream else None)
        values = {
            port: self.store.read(pipeline, node, port, port_type)
            for port, port_type in ports.items()
        }
        return next(iter(values.values())) if len(values) == 1 else values


_PORT_TYPES = TypeAdapter(dict[str, PortType])


def _port_types(metadata: Mapping[str, Any] | None) -> dict[str, PortType]:
    ports = (metadata or {}).get("constellation/ports")
    return _PORT_TYPES.validate_python(getattr(ports, "data", ports) or {})


class ArtifactResource(dg.ConfigurableIOManagerFactory[PortIOManager]):
    """The I/O manager of every node; `CONSTELLATION_ARTIFACTS_URL` says where it stores."""

    @override
    def create_io_manager(self, context: dg.InitResourceContext) -> PortIOManager:
        return PortIOManager(ArtifactStore(UPath(get_settings().artifacts_url)))
