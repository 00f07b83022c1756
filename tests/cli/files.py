"""Pipelines as files."""

from pathlib import Path
from typing import Any

import yaml

LOAD = {"id": "load", "block": "sample_data", "config": {"name": "iris"}}


def pipeline_file(folder: Path, name: str, **changes: Any) -> Path:
    """A file with a pipeline of one node, or with what is changed."""
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"name": name, "nodes": [LOAD]} | changes))
    return path
