"""Blocks that make models available outside of their pipeline."""

from typing import Annotated

from pydantic import Field

from constellation_dagster.domain.config_formats import PACKAGE
from constellation_dagster.domain.model_registry import ModelRegistry
from constellation_dagster.domain.packages import ALIAS_PATTERN, NAME_PATTERN, VERSION_PATTERN
from constellation_dagster.domain.ports import Json, Model
from constellation_dagster.domain.registry import block


@block(
    kind="sink",
    resources=("models",),
    phrases=(
        "register the model",
        "make a package of the model",
        "publish the trained model",
        "save the model to deploy it",
    ),
)
def register_model(
    model: Model,
    *,
    name: Annotated[
        str,
        Field(
            json_schema_extra={"format": PACKAGE},
            pattern=f"^{NAME_PATTERN}$",
            description="The name of the model's package.",
        ),
    ],
    version: Annotated[
        str | None,
        Field(
            pattern=f"^{VERSION_PATTERN}$",
            description="Its version; the next whole number if not given.",
        ),
    ] = None,
    alias: Annotated[
        str | None,
        Field(
            pattern=f"^{ALIAS_PATTERN}$",
            description="A name that points to this version from now on, such as champion.",
        ),
    ] = None,
    card: Annotated[
        str | None,
        Field(description="The model card, as Markdown; made from what is known if not given."),
    ] = None,
    models: ModelRegistry,
) -> Json:
    """Make a package of a model, which can be deployed.

    A package has a name and a version, belongs to the pipeline's owner, and never changes. It
    returns `name`, `version` and `digest`. Without `version` a model that is the newest version
    already stays that version, and any other becomes the next one.

    ```yaml
    - id: register
      block: register_model
      config: {name: iris_species, alias: champion}
    ```

    **Mistakes it tells:** a name that is somebody else's, a version that is another model, a model
    that cannot be stored safely.
    """
    package = models.register(model, name=name, version=version, alias=alias, card=card)
    return {"name": package.name, "version": package.version, "digest": package.digest}
