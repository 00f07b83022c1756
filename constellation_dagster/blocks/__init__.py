"""The standard library of blocks."""

from constellation_dagster.blocks.charts import chart
from constellation_dagster.blocks.cleaning import cast_columns, drop_missing
from constellation_dagster.blocks.endpoints import ephemeral_infer, infer
from constellation_dagster.blocks.grouping import aggregate
from constellation_dagster.blocks.joins import concatenate, join_tables
from constellation_dagster.blocks.models import evaluate_model, predict, train_classifier
from constellation_dagster.blocks.ordering import deduplicate, limit_rows, sample_rows, sort_rows
from constellation_dagster.blocks.queries import sql
from constellation_dagster.blocks.registration import register_model
from constellation_dagster.blocks.shaping import derive_column, pivot, rename_columns
from constellation_dagster.blocks.sinks import write_parquet, write_table
from constellation_dagster.blocks.sources import read_csv, read_parquet, read_table, sample_data
from constellation_dagster.blocks.summaries import count_values, describe_table
from constellation_dagster.blocks.transforms import (
    filter_rows,
    impute_missing,
    select_columns,
    split_rows,
)

__all__ = [
    "aggregate",
    "cast_columns",
    "chart",
    "concatenate",
    "count_values",
    "deduplicate",
    "derive_column",
    "describe_table",
    "drop_missing",
    "ephemeral_infer",
    "evaluate_model",
    "filter_rows",
    "impute_missing",
    "infer",
    "join_tables",
    "limit_rows",
    "pivot",
    "predict",
    "read_csv",
    "read_parquet",
    "read_table",
    "register_model",
    "rename_columns",
    "sample_data",
    "sample_rows",
    "select_columns",
    "sort_rows",
    "split_rows",
    "sql",
    "train_classifier",
    "write_parquet",
    "write_table",
]
