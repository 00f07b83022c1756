"""A model that has been taken into a package, before the rest of the package is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from constellation_dagster.domain.packages import Flavor, Signature, TensorSpec

Arrays: TypeAlias = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Artifact:
    """What a source has put into the package's folder, and what it knows of it.

    Attributes:
        flavor: What kind of model it is.
        path: The model's file or folder in the package.
        packages: Names of the Python packages that serving it needs.
        facts: What the model card says of it, by what it is.
        inputs: Its inputs; empty when only an example can tell.
        outputs: Its outputs; empty when only an answer can tell.
        answer: Gives such an answer.
        classes: Of a classifier, the columns of its probabilities.
        example: Inputs that it is known to take, of one row or a few.
        probes: More rows, by which two forms of the model are compared.
        twin: Makes the same model as ONNX, for a signature; None where that cannot be.
        pinned: Requirements that came with the model, with their versions.
    """

    flavor: Flavor
    path: str
    packages: tuple[str, ...]
    facts: Mapping[str, str]
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    answer: Callable[[Arrays], Arrays] | None = None
    classes: tuple[str, ...] = ()
    example: Arrays | None = None
    probes: Arrays | None = None
    twin: Callable[[Signature], bytes] | None = None
    pinned: tuple[str, ...] = field(default=())
