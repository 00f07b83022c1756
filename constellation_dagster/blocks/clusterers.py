"""The block that finds groups of rows."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, cast

import polars as pl
from pydantic import Field

from constellation_dagster.blocks.columns import require_columns, require_complete
from constellation_dagster.blocks.features import preparation
from constellation_dagster.domain.config_formats import COLUMN, NEW_COLUMN
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.ports import Model, Table
from constellation_dagster.domain.registry import block
from constellation_dagster.domain.values import Model as FittedModel

Algorithm: TypeAlias = Literal["kmeans", "gaussian_mixture"]


class Clusters(NamedTuple):
    """Groups that were found."""

    model: Annotated[Model, Field(description="What tells the group of other rows, by predict.")]
    table: Annotated[Table, Field(description="The rows, each with its group.")]


@block(
    kind="train",
    phrases=(
        "cluster the rows",
        "find groups of similar rows",
        "segment the customers",
        "k-means clustering",
        "group into clusters",
        "train a clusterer",
    ),
)
def train_clusterer(
    table: Table,
    *,
    clusters: Annotated[int, Field(ge=2, le=1000, description="How many groups to find.")] = 3,
    features: Annotated[
        list[str] | None,
        Field(
            json_schema_extra={"format": COLUMN},
            min_length=1,
            description="The columns by which rows are alike; all if not given.",
        ),
    ] = None,
    algorithm: Annotated[
        Algorithm,
        Field(description="How: kmeans finds round groups, gaussian_mixture long ones as well."),
    ] = "kmeans",
    column: Annotated[
        str,
        Field(
            json_schema_extra={"format": NEW_COLUMN},
            min_length=1,
            description="The name of the new column.",
        ),
    ] = "cluster",
    seed: Annotated[
        int, Field(ge=0, lt=2**32, description="Another number, another trial of chance.")
    ] = 0,
) -> Clusters:
    """Find groups of rows that are alike, with scikit-learn.

    Groups are numbered from 0. Numbers are scaled, texts and truth values become one column for
    each of their values. The same table and seed give the same groups.

    ```yaml
    - id: groups
      block: train_clusterer
      config: {clusters: 3, features: [bill_length_mm, body_mass_g]}
    ```

    **Mistakes it tells:** columns that there are not, missing values, fewer different rows than
    groups, a new column that is there already, features that are dates or lists.
    """
    if features is not None:
        require_columns(table, features, key="features")
    chosen = list(dict.fromkeys(features or table.columns))
    if not chosen:
        raise BlockFailed("The table has no columns by which rows could be alike.")
    if column in table.columns:
        raise BlockFailed(
            f"column: the table has {column!r} already.", "Set `column` to another name."
        )
    require_complete(table, chosen, why="Groups are found among complete rows only")
    rows = table.select(chosen)
    prepared = preparation(rows)
    different = rows.n_unique()
    if different < clusters:
        raise BlockFailed(
            f"clusters: {different} different row(s) do not make {clusters} groups.",
            "Choose fewer.",
        )
    return _clustered(table, rows, prepared, clusters, algorithm, column, seed)


def _clustered(
    table: pl.DataFrame,
    rows: pl.DataFrame,
    prepared: Any,
    clusters: int,
    algorithm: Algorithm,
    column: str,
    seed: int,
) -> Clusters:
    from sklearn import cluster
    from sklearn.mixture import GaussianMixture
    from sklearn.pipeline import Pipeline

    # scikit-learn's own hints take n_init for a text.
    kmeans: Any = cast("Any", cluster).KMeans
    # A mixture needs dense numbers, which one-hot columns are not by themselves.
    prepared.set_params(sparse_threshold=0)
    finders: Mapping[Algorithm, Any] = {
        "kmeans": kmeans(n_clusters=clusters, n_init=10, random_state=seed),
        "gaussian_mixture": GaussianMixture(
            n_components=clusters, n_init=3, max_iter=500, random_state=seed
        ),
    }
    estimator: Any = Pipeline([("prepare", prepared), ("group", finders[algorithm])])
    estimator.fit(rows)
    found = pl.Series(column, estimator.predict(rows), dtype=pl.Int64)
    model = FittedModel(
        estimator=estimator,
        features=tuple(rows.columns),
        target=column,
        task="classification",
        classes=tuple(map(str, range(clusters))),
    )
    return Clusters(model=model, table=table.with_columns(found))
