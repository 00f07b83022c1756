"""What a block that registers models is lent."""

from dataclasses import dataclass
from typing import Protocol

from constellation_dagster.domain.values import Model


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a package of a model."""

    name: str
    version: str
    digest: str
    """`sha256:…`, which says exactly what it is."""


class ModelRegistry(Protocol):
    """The model packages of the pipeline's owner."""

    def register(
        self, model: Model, *, name: str, version: str | None, alias: str | None, card: str | None
    ) -> RegisteredModel:
        """Makes a package of a model and gives it a name and a version.

        Args:
            model: A fitted model.
            name: The package's name.
            version: The version; the next whole number if None, or the newest one where that is
                the same model already.
            alias: An alias that points to it from then on.
            card: The model card, as Markdown; made from what is known if None.

        Raises:
            BlockFailed: The name is somebody else's, the version is another model, or the model
                cannot be packaged.
        """
        ...
