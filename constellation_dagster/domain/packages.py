"""What a model package is: a manifest and the files that it lists, under one digest.

A package is a folder. `manifest.json` says what is in it; every other file is listed there with
its size and hash, so the manifest's digest stands for all of it. Names and versions are not part
of it: they point to a digest, and the same content has the same digest.
"""

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from constellation_dagster.domain.digests import digest_of
from constellation_dagster.domain.plain_errors import PackageError

MANIFEST = "manifest.json"
EXAMPLE = "example.json"
REQUIREMENTS = "requirements.txt"
MODEL_CARD = "README.md"
SBOM = "sbom.cdx.json"

# As pipelines are named, so that a package's name can be part of a URL, an image and a partition.
NAME_PATTERN = r"[a-z][a-z0-9_]{0,62}"
VERSION_PATTERN = r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}"
ALIAS_PATTERN = r"[a-z][a-z0-9_]{0,62}"
_REF = re.compile(rf"({NAME_PATTERN})@({VERSION_PATTERN})")

Datatype: TypeAlias = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
    "FP32", "FP64", "BYTES",
]  # fmt: skip
"""Datatypes of the Open Inference Protocol, version 2; BYTES is text or bytes."""

Flavor: TypeAlias = Literal["onnx", "sklearn", "mlflow", "python"]


class TensorSpec(BaseModel):
    """One input or output of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="Its name in requests and responses.")
    datatype: Datatype = Field(description="Type of its elements.")
    shape: tuple[Annotated[int, Field(ge=-1)], ...] = Field(
        description="Its dimensions; -1 is any. A first dimension of -1 counts rows."
    )


class Signature(BaseModel):
    """What a model takes and gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[TensorSpec, ...] = Field(min_length=1, description="Tensors of a request.")
    outputs: tuple[TensorSpec, ...] = Field(min_length=1, description="Tensors of a response.")

    @property
    def batchable(self) -> bool:
        """Whether rows of several requests can be put together: all tensors have a row axis."""
        return all(t.shape[:1] == (-1,) for t in (*self.inputs, *self.outputs))


class PackageFile(BaseModel):
    """One file of a package, other than the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, description="Relative to the package, with '/'.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(pattern=r"[0-9a-f]{64}", description="Hash of its content.")


class PackageManifest(BaseModel):
    """What is in a package and how it is served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    flavor: Flavor = Field(description="What kind of model it was registered as.")
    artifact: str = Field(description="The model as registered: a file or folder of the package.")
    onnx: str | None = Field(
        default=None,
        description="The same model as ONNX, where it converts and agrees on the example.",
    )
    serve: Literal["artifact", "onnx"] = Field(
        description="Which of the two answers requests: the faster one."
    )
    signature: Signature = Field(description="What it takes and gives.")
    classes: tuple[str, ...] = Field(
        default=(), description="Of a classifier, the columns of its probabilities."
    )
    tolerance: float = Field(
        default=1e-4,
        ge=0,
        description="How far a number may be from the expected response: absolute and relative.",
    )
    python: str = Field(pattern=r"3\.[0-9]+", description="The Python version it was made with.")
    requirements: tuple[str, ...] = Field(description="Pinned packages that serving it needs.")
    files: tuple[PackageFile, ...] = Field(description="All other files, sorted by path.")

    @property
    def digest(self) -> str:
        """`sha256:` and the hash of the manifest in canonical JSON: sorted keys, no spaces."""
        return digest_of(self.model_dump(mode="json"))


def package_ref(name: str, version: str) -> str:
    """`name@version`, as partitions and commands write it."""
    return f"{name}@{version}"


def parse_package_ref(ref: str) -> tuple[str, str]:
    """Name, and version or alias.

    Raises:
        PackageError: It is not of the form `name@version`.
    """
    match = _REF.fullmatch(ref)
    if match is None:
        raise PackageError(
            f"{ref!r} names no package: write NAME@VERSION or NAME@ALIAS, such as penguins@1 or "
            "penguins@champion. A name has lower-case letters, digits and '_'."
        )
    return match[1], match[2]
