"""What a block that calls deployed models is lent."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from constellation_dagster.domain.packages import Signature

Tensors: TypeAlias = Mapping[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class EndpointModel:
    """What an endpoint says about its model.

    Attributes:
        signature: What it takes and gives.
        classes: Of a classifier, the columns of its `probabilities`.
    """

    signature: Signature
    classes: tuple[str, ...] = ()


class Endpoints(Protocol):
    """The deployments that the pipeline's owner may use."""

    def model(self, deployment: str) -> EndpointModel:
        """Ask a deployment what its model takes and gives.

        Raises:
            BlockFailed: There is no such deployment, or it does not answer.
        """
        ...

    def infer(self, deployment: str, inputs: Tensors, *, batch_rows: int) -> Tensors:
        """Send rows in batches, several at a time, and put the answers together in their order.

        Args:
            deployment: Its name.
            inputs: Arrays by the names of the signature; the first dimension counts rows.
            batch_rows: How many rows go into a request.

        Raises:
            BlockFailed: The endpoint refused the rows, or did not answer after retries.
        """
        ...

    def temporary(self, package: str, *, replicas: int) -> AbstractContextManager[str]:
        """Deploy a package, give the deployment's name, and take it away at the end.

        Raises:
            BlockFailed: There is no such package, or it did not become healthy.
        """
        ...
