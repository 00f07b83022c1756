"""Values that flow between blocks and that no library has a type for."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Model:
    """A fitted model, together with what is needed to use it rightly."""

    estimator: Any
    """The fitted scikit-learn estimator; it takes a pandas frame with the columns `features`."""
    features: tuple[str, ...]
    """The columns that it reads, in order."""
    target: str
    """The column that it predicts."""
    task: Literal["classification", "regression"]
    """Whether it predicts one of some classes or a number."""
    classes: tuple[str, ...] = ()
    """The classes as text, in the estimator's order; empty for a regression."""


@dataclass(frozen=True)
class File:
    """A file that a block has written."""

    url: str
    """Where it is."""
    size: int
    """Its size in bytes."""
    sha256: str
    """The hash of its content, in hex."""
