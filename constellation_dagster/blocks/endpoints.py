"""Blocks that call deployed models."""

from typing import Annotated, TypeAlias

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.tensors import as_columns, as_tensors, new_columns, no_rows
from constellation_dagster.domain.config_formats import COLUMN, DEPLOYMENT, NEW_COLUMN, PACKAGE
from constellation_dagster.domain.endpoints import Endpoints
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.suggestions import listing

Column: TypeAlias = Annotated[
    str,
    Field(
        json_schema_extra={"format": NEW_COLUMN},
        min_length=1,
        description="The name of the new column.",
    ),
]
Probabilities: TypeAlias = Annotated[
    bool, Field(description="Also add a column `<column>_<class>` for each class.")
]
Features: TypeAlias = Annotated[
    list[str] | None,
    Field(
        json_schema_extra={"format": COLUMN},
        min_length=1,
        description="Of a model with one input of several columns: these, in its order; all "
        "columns of numbers if not given.",
    ),
]
BatchRows: TypeAlias = Annotated[
    int, Field(ge=1, le=10_000, description="How many rows go into one request.")
]


@block(
    kind="infer",
    resources=("endpoints",),
    phrases=(
        "predict with the deployed model",
        "ask a deployment",
        "call the deployed model",
        "score with the endpoint",
    ),
)
def infer(
    table: Table,
    *,
    deployment: Annotated[
        str,
        Field(
            json_schema_extra={"format": DEPLOYMENT},
            min_length=1,
            description="The deployment to ask.",
        ),
    ],
    column: Column = "prediction",
    probabilities: Probabilities = False,
    features: Features = None,
    batch_rows: BatchRows = 256,
    endpoints: Endpoints,
) -> Table:
    """Add a column with what a deployed model predicts for each row.

    Rows are sent in batches, several at a time; a batch that gets no answer is sent again, and
    the rows keep their order. The columns have the names of the model's inputs.

    ```yaml
    - id: score
      block: infer
      config: {deployment: penguins, probabilities: true}
    ```

    **Mistakes it tells:** a deployment that there is not or that is stopped, columns that the
    model reads and the table lacks, missing values in them, a new column that is there already.
    """
    return _predicted(endpoints, deployment, table, column, probabilities, features, batch_rows)


@block(
    kind="infer",
    resources=("endpoints",),
    phrases=(
        "deploy a package only to predict",
        "predict with a model package",
        "batch inference with a package",
        "score with a temporary server",
    ),
)
def ephemeral_infer(
    table: Table,
    *,
    package: Annotated[
        str,
        Field(
            json_schema_extra={"format": PACKAGE},
            min_length=3,
            description="The model package, NAME@VERSION or NAME@ALIAS.",
        ),
    ],
    replicas: Annotated[
        int, Field(ge=1, le=16, description="How many servers share the rows.")
    ] = 1,
    column: Column = "prediction",
    probabilities: Probabilities = False,
    features: Features = None,
    batch_rows: BatchRows = 256,
    endpoints: Endpoints,
) -> Table:
    """Deploy a model package, add a column with what it predicts, and remove it.

    It is for a table now and then: nothing is left running. For rows that come all the time, use
    `infer` with a deployment that stays.

    ```yaml
    - id: score
      block: ephemeral_infer
      config: {package: penguins@champion}
    ```

    **Mistakes it tells:** a package that there is not, one that does not become healthy, and
    those of `infer`.
    """
    with endpoints.temporary(package, replicas=replicas) as deployment:
        return _predicted(endpoints, deployment, table, column, probabilities, features, batch_rows)


def _predicted(
    endpoints: Endpoints,
    deployment: str,
    table: pl.DataFrame,
    column: str,
    probabilities: bool,
    features: list[str] | None,
    batch_rows: int,
) -> pl.DataFrame:
    model = endpoints.model(deployment)
    new = new_columns(model, column, probabilities=probabilities)
    taken = [name for name in new if name in table.columns]
    if taken:
        raise BlockFailed(
            f"The table has {listing(taken)} already.", "Set `column` to another name."
        )
    inputs = as_tensors(table, model, features)
    if not table.height:
        return table.with_columns(no_rows(model, column, probabilities=probabilities))
    outputs = endpoints.infer(deployment, inputs, batch_rows=batch_rows)
    return table.with_columns(as_columns(outputs, model, column, probabilities=probabilities))
