"""The standard library of blocks."""

from constellation_dagster.blocks.charts import chart
from constellation_dagster.blocks.cleaning import cast_columns, drop_missing
from constellation_dagster.blocks.clusterers import train_clusterer
from constellation_dagster.blocks.database import upsert_table
from constellation_dagster.blocks.documents import (
    read_json,
    read_text,
    write_csv,
    write_json,
    write_text,
)
from constellation_dagster.blocks.endpoints import ephemeral_infer, infer
from constellation_dagster.blocks.evaluation import (
    cross_validate,
    feature_importance,
    metrics_table,
)
from constellation_dagster.blocks.grouping import aggregate
from constellation_dagster.blocks.image_files import read_image, write_image
from constellation_dagster.blocks.images import (
    image_statistics,
    resize_image,
    tile_image,
    to_grayscale,
)
from constellation_dagster.blocks.joins import concatenate, join_tables
from constellation_dagster.blocks.models import evaluate_model, predict, train_classifier
from constellation_dagster.blocks.ordering import deduplicate, limit_rows, sample_rows, sort_rows
from constellation_dagster.blocks.queries import sql
from constellation_dagster.blocks.registration import register_model
from constellation_dagster.blocks.regressors import train_regressor
from constellation_dagster.blocks.reports import html_report
from constellation_dagster.blocks.shaping import derive_column, pivot, rename_columns
from constellation_dagster.blocks.sinks import write_parquet, write_table
from constellation_dagster.blocks.sources import read_csv, read_parquet, read_table, sample_data
from constellation_dagster.blocks.summaries import count_values, describe_table
from constellation_dagster.blocks.text import count_words, text_statistics
from constellation_dagster.blocks.transforms import (
    filter_rows,
    impute_missing,
    select_columns,
    split_rows,
)
from constellation_dagster.blocks.web import fetch_json

__all__ = [
    "aggregate",
    "cast_columns",
    "chart",
    "concatenate",
    "count_values",
    "count_words",
    "cross_validate",
    "deduplicate",
    "derive_column",
    "describe_table",
    "drop_missing",
    "ephemeral_infer",
    "evaluate_model",
    "feature_importance",
    "fetch_json",
    "filter_rows",
    "html_report",
    "image_statistics",
    "impute_missing",
    "infer",
    "join_tables",
    "limit_rows",
    "metrics_table",
    "pivot",
    "predict",
    "read_csv",
    "read_image",
    "read_json",
    "read_parquet",
    "read_table",
    "read_text",
    "register_model",
    "rename_columns",
    "resize_image",
    "sample_data",
    "sample_rows",
    "select_columns",
    "sort_rows",
    "split_rows",
    "sql",
    "text_statistics",
    "tile_image",
    "to_grayscale",
    "train_classifier",
    "train_clusterer",
    "train_regressor",
    "upsert_table",
    "write_csv",
    "write_image",
    "write_json",
    "write_parquet",
    "write_table",
    "write_text",
]
