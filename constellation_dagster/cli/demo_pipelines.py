"""The pipelines of `constellation demo`, as a frontend would hold them."""

from collections.abc import Mapping, Sequence
from typing import Any

Nodes = Mapping[str, tuple[str, Mapping[str, Any]]]
Edges = Sequence[tuple[str, str]]

PIPELINE = "penguins"
NODES: Nodes = {
    "load": ("sample_data", {"name": "penguins"}),
    "impute": ("impute_missing", {}),
    "split": ("split_rows", {"test_fraction": 0.25, "stratify": "species", "seed": 7}),
    "train": (
        "train_classifier",
        {
            "target": "species",
            "features": ["bill_length_mm", "bill_depth_mm"],
            "algorithm": "random_forest",
        },
    ),
    "evaluate": ("evaluate_model", {}),
    "register": ("register_model", {"name": "penguins", "alias": "champion"}),
    "predict": ("predict", {}),
    "chart": (
        "chart",
        {"kind": "scatter", "x": "bill_length_mm", "y": "bill_depth_mm", "color": "species"},
    ),
    "save": ("write_parquet", {"url": "penguins_predicted.parquet"}),
    "store": ("write_table", {"name": "penguin_predictions", "mode": "replace"}),
}
EDGES: Edges = [
    ("load.table", "impute.table"),
    ("impute.table", "split.table"),
    ("impute.table", "chart.table"),
    ("split.train", "train.table"),
    ("split.test", "evaluate.table"),
    ("split.test", "predict.table"),
    ("train.model", "evaluate.model"),
    ("train.model", "predict.model"),
    ("train.model", "register.model"),
    ("predict.table", "save.table"),
    ("predict.table", "store.table"),
]

BROKEN = "penguins_broken"
BROKEN_NODES: Nodes = {
    "load": ("sampel_data", {"name": "penguins"}),
    "split": ("split_rows", {"test_fractoin": 0.25}),
    "train": ("train_classifier", {"target": "species", "algorithm": "oracle"}),
    "evaluate": ("evaluate_model", {}),
}
BROKEN_EDGES: Edges = [
    ("load.table", "split.table"),
    ("split.trian", "train.table"),
    ("split.test", "evaluate.model"),
]

DEPLOYMENT = "penguins"
SCORING = "penguins_scored"
SCORING_NODES: Nodes = {
    "load": ("sample_data", {"name": "penguins"}),
    "impute": ("impute_missing", {}),
    "score": ("infer", {"deployment": DEPLOYMENT, "column": "guess", "probabilities": True}),
    "wrong": ("filter_rows", {"where": "guess != species"}),
    "save": ("write_parquet", {"url": "penguins_scored.parquet"}),
}
SCORING_EDGES: Edges = [
    ("load.table", "impute.table"),
    ("impute.table", "score.table"),
    ("score.table", "wrong.table"),
    ("score.table", "save.table"),
]
