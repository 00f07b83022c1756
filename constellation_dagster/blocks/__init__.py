"""The standard library of blocks."""

from constellation_dagster.blocks.charts import chart
from constellation_dagster.blocks.endpoints import ephemeral_infer, infer
from constellation_dagster.blocks.models import evaluate_model, predict, train_classifier
from constellation_dagster.blocks.registration import register_model
from constellation_dagster.blocks.sinks import write_parquet, write_table
from constellation_dagster.blocks.sources import read_csv, read_parquet, read_table, sample_data
from constellation_dagster.blocks.transforms import (
    filter_rows,
    impute_missing,
    select_columns,
    split_rows,
)

__all__ = [
    "chart",
    "ephemeral_infer",
    "evaluate_model",
    "filter_rows",
    "impute_missing",
    "infer",
    "predict",
    "read_csv",
    "read_parquet",
    "read_table",
    "register_model",
    "sample_data",
    "select_columns",
    "split_rows",
    "train_classifier",
    "write_parquet",
    "write_table",
]
