"""`constellation demo`: the main job, from rows to results, as a frontend would do it.

Everything here is plain supabase-py and what the Dagster UI shows; nothing is done behind them.
"""

import time
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from constellation_dagster.domain.errors import ConstellationError

EMAIL, PASSWORD = "demo@constellation.local", "a-demo-needs-no-secret"  # noqa: S105

PIPELINE = "penguins"
NODES = {
    "load": ("sample_data", {"name": "penguins"}),
    "impute": ("impute_missing", {}),
    "split": ("split_rows", {"test_fraction": 0.25, "stratify": "species", "seed": 7}),
    "train": ("train_classifier", {"target": "species", "algorithm": "random_forest"}),
    "evaluate": ("evaluate_model", {}),
    "predict": ("predict", {}),
    "chart": (
        "chart",
        {"kind": "scatter", "x": "bill_length_mm", "y": "bill_depth_mm", "color": "species"},
    ),
    "parquet": ("write_parquet", {"url": "penguins_predicted.parquet"}),
    "table": ("write_table", {"name": "penguin_predictions", "mode": "replace"}),
}
EDGES = {
    "load.table": ["impute.table"],
    "impute.table": ["split.table", "chart.table"],
    "split.train": ["train.table"],
    "split.test": ["evaluate.table", "predict.table"],
    "train.model": ["evaluate.model", "predict.model"],
    "predict.table": ["parquet.table", "table.table"],
}

BROKEN = "penguins_broken"
BROKEN_NODES = {
    "load": ("sampel_data", {"name": "penguins"}),
    "split": ("split_rows", {"test_fractoin": 0.25}),
    "train": ("train_classifier", {"algorithm": "oracle"}),
    "lonely": ("evaluate_model", {}),
}
BROKEN_EDGES = {"load.table": ["split.table"], "split.trian": ["train.table"]}
