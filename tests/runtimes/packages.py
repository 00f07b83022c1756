"""Packages for tests of what serves them, made by hand: nothing is trained or converted."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from constellation_dagster.domain.packages import (
    EXAMPLE,
    MANIFEST,
    MODEL_CARD,
    REQUIREMENTS,
    PackageFile,
    PackageManifest,
    Signature,
    TensorSpec,
)

OBEDIENT = Path(__file__).with_name("obedient_model.py")


@dataclass(frozen=True)
class Package:
    """A package in a folder."""

    folder: Path
    manifest: PackageManifest

    @property
    def digest(self) -> str:
        return self.manifest.digest


def obedient_package(
    folder: Path, requirements: tuple[str, ...] = (), code: str | None = None
) -> Package:
    """A package of the model in `obedient_model`: one text in, one text out."""
    example = {
        "request": {"inputs": [_tensor("command", "say hello")]},
        "response": {"outputs": [_tensor("answer", "hello")]},
    }
    files = {
        EXAMPLE: json.dumps(example),
        MODEL_CARD: "# A model that does as it is told\n",
        REQUIREMENTS: "".join(f"{line}\n" for line in requirements),
        "model.py": code or OBEDIENT.read_text(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    manifest = PackageManifest(
        flavor="python",
        artifact="model.py",
        serve="artifact",
        signature=Signature(
            inputs=(TensorSpec(name="command", datatype="BYTES", shape=(-1,)),),
            outputs=(TensorSpec(name="answer", datatype="BYTES", shape=(-1,)),),
        ),
        python="3.11",
        requirements=requirements,
        files=tuple(_listed(name, text.encode()) for name, text in sorted(files.items())),
    )
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return Package(folder, manifest)


def _tensor(name: str, value: str) -> dict[str, object]:
    return {"name": name, "datatype": "BYTES", "shape": [1], "data": [value]}


def _listed(path: str, content: bytes) -> PackageFile:
    return PackageFile(path=path, size=len(content), sha256=hashlib.sha256(content).hexdigest())
