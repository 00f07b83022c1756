"""The bill of materials in a package: the model's files and what serving it needs."""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import cyclonedx.model
import cyclonedx.model.bom
import cyclonedx.model.component
from cyclonedx.model.component import ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from constellation_dagster.domain.packages import PackageError, PackageFile

# The library's decorators hide what these classes take from type checkers.
_Component: Any = cyclonedx.model.component.Component
_Bom: Any = cyclonedx.model.bom.Bom
_Hash: Any = cyclonedx.model.HashType
_Property: Any = cyclonedx.model.Property


def bill_of_materials(
    flavor: str, model: Sequence[PackageFile], requirements: Sequence[str]
) -> str:
    """A CycloneDX 1.6 document; the same materials give the same text.

    Args:
        flavor: What kind of model it is.
        model: The files of the model itself.
        requirements: Pinned packages that serving it needs.

    Raises:
        PackageError: The document is not valid, which is a fault of ours.
    """
    root = _Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name="model",
        bom_ref="model",
        properties=[_Property(name="constellation:flavor", value=flavor)],
    )
    files = [
        _Component(
            type=ComponentType.FILE,
            name=file.path,
            bom_ref=f"file:{file.path}",
            hashes=[_Hash(alg=cyclonedx.model.HashAlgorithm.SHA_256, content=file.sha256)],
        )
        for file in model
    ]
    libraries = [_library(*requirement.split("==")) for requirement in requirements]
    bom = _Bom(components=[*files, *libraries])
    bom.metadata.component = root
    bom.register_dependency(root, [*files, *libraries])
    document: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
    # The library writes when and under which random number; neither is of the materials.
    document["metadata"].pop("timestamp", None)
    del document["serialNumber"]
    identity = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid5(NAMESPACE_URL, identity)}"
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise PackageError(f"The bill of materials is not valid CycloneDX: {wrong}")
    return text


def _library(name: str, version: str) -> Any:
    url = PackageURL("pypi", name=name, version=version)
    return _Component(
        type=ComponentType.LIBRARY, name=name, version=version, purl=url, bom_ref=url.to_string()
    )


def is_model_file(path: str, artifact: str, onnx: str | None) -> bool:
    """Whether a file of a package belongs to the model rather than to what is said of it."""
    return path in (artifact, onnx) or PurePosixPath(artifact) in PurePosixPath(path).parents
