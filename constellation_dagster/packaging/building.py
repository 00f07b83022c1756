"""From a model that was taken in to a whole package: answers, twin, papers, manifest."""

import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.packages import (
    EXAMPLE,
    MANIFEST,
    MODEL_CARD,
    REQUIREMENTS,
    SBOM,
    PackageError,
    PackageFile,
    PackageManifest,
    Signature,
)
from constellation_dagster.packaging.artifact import Arrays, Artifact
from constellation_dagster.packaging.bom import bill_of_materials, is_model_file
from constellation_dagster.packaging.cards import model_card
from constellation_dagster.packaging.examples import (
    Example,
    GivenExample,
    arrays_of,
    example_json,
    inputs_told,
    outputs_told,
    require_expected,
    zeros,
)
from constellation_dagster.packaging.onnx_files import PACKAGES as ONNX_PACKAGES
from constellation_dagster.packaging.requirements import pinned
from constellation_dagster.packaging.twins import milliseconds, with_twin
from constellation_dagster.serving.predictors import Predictor, load_predictor

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Built:
    """A package in a folder.

    Attributes:
        manifest: What is in it.
        measured: What was measured while it was made: of this machine, so no part of it.
    """

    manifest: PackageManifest
    measured: Mapping[str, Any]


def build_package(
    artifact: Artifact,
    folder: Path,
    *,
    example: GivenExample | None,
    card: str | None,
    requirements: tuple[str, ...] = (),
) -> Built:
    """Completes a package around the model that is in its folder.

    Args:
        artifact: That model.
        folder: The package's folder.
        example: A request that the model takes; made up where the artifact knows one.
        card: The model card, as Markdown; made from what is known if None.
        requirements: More packages that serving it needs.

    Raises:
        PackageError: The model does not answer the example, or what it needs is not installed.
    """
    signature, inputs = _first_answer(artifact, example)
    manifest = PackageManifest(
        flavor=artifact.flavor,
        artifact=artifact.path,
        serve="artifact",
        signature=signature,
        classes=artifact.classes,
        tolerance=TOLERANCE,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=(),
        files=(),
    )
    measured: dict[str, Any] = {}
    if artifact.twin is not None:
        manifest = with_twin(artifact, folder, manifest, inputs, measured)
    answered, predictor = _answer(folder, manifest, inputs)
    measured[f"{manifest.serve}_ms"] = milliseconds(predictor, inputs)
    if example is not None and example.response is not None:
        require_expected(answered, example.response, manifest.signature, TOLERANCE)
    packages = ONNX_PACKAGES if manifest.serve == "onnx" else artifact.packages
    own = () if manifest.serve == "onnx" else artifact.pinned
    manifest = manifest.model_copy(update={"requirements": pinned(packages, (*own, *requirements))})
    _write(folder, EXAMPLE, example_json(answered, manifest.signature))
    _write(folder, REQUIREMENTS, "".join(f"{line}\n" for line in manifest.requirements))
    _write(folder, MODEL_CARD, card if card is not None else model_card(manifest, artifact.facts))
    model = [
        file for file in _files(folder) if is_model_file(file.path, artifact.path, manifest.onnx)
    ]
    _write(folder, SBOM, bill_of_materials(artifact.flavor, model, manifest.requirements))
    manifest = manifest.model_copy(update={"files": tuple(_files(folder))})
    # Its own validation once more: model_copy does none.
    manifest = PackageManifest.model_validate(manifest.model_dump())
    _write(folder, MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return Built(manifest, measured)


def _first_answer(artifact: Artifact, given: GivenExample | None) -> tuple[Signature, Arrays]:
    """The signature, with what only an answer can tell, and the example's inputs."""
    declared = given.signature if given is not None else None
    taken = artifact.inputs
    if declared is not None:
        taken = declared.inputs
    elif not taken:
        if given is None:
            raise PackageError(
                "Nothing says what the model takes: give an example, as JSON with a request. "
                "See docs/models.md."
            )
        taken = inputs_told(given.request)
    outputs = declared.outputs if declared is not None else artifact.outputs
    draft = Signature(inputs=taken, outputs=outputs or taken)
    if given is not None:
        inputs = arrays_of(given.request, draft)
    else:
        inputs = artifact.example if artifact.example is not None else zeros(taken)
    if outputs:
        return draft, inputs
    assert artifact.answer is not None  # whoever leaves outputs out says how to get them
    try:
        answer = artifact.answer(inputs)
    except ConstellationError:
        raise
    # The model's own code: whatever it raises, the example was not for it.
    except Exception as error:
        raise _unanswered(error, given is not None) from error
    return Signature(inputs=taken, outputs=outputs_told(answer)), inputs


def _answer(folder: Path, manifest: PackageManifest, inputs: Arrays) -> tuple[Example, Predictor]:
    predictor = load_predictor(folder, manifest)
    try:
        outputs = predictor.predict(inputs)
    # Likewise the model's own code.
    except Exception as error:
        raise _unanswered(error, given=False) from error
    return Example(inputs, outputs), predictor


def _unanswered(error: Exception, given: bool) -> PackageError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    what = (
        "The model does not answer the example"
        if given
        else ("The model does not answer an example that was made up for it")
    )
    how = "Correct it." if given else "Give one that it takes, as JSON with a request."
    return PackageError(f"{what}: {type(error).__name__}: {reason}. {how}")


def _write(folder: Path, name: str, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(data)


def _files(folder: Path) -> list[PackageFile]:
    found: list[PackageFile] = []
    for path in folder.rglob("*"):
        if path.is_file() and path != folder / MANIFEST:
            with path.open("rb") as content:
                sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            found.append(
                PackageFile(
                    path=path.relative_to(folder).as_posix(),
                    size=path.stat().st_size,
                    sha256=sha256,
                )
            )
    return sorted(found, key=lambda file: file.path)
