"""How long a code server takes to load many pipelines, against one plain `@asset` a node.

Ours is the real path: rows in a state file → `SupabasePipelines.build_defs_from_state`, in the
whole platform's definitions. The peer says of each asset what ours says: key, group, deps,
description, metadata, code version, tags, kinds and checks, and needs none of our code for it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import dagster as dg
from pydantic import TypeAdapter

from constellation_dagster.components.fused import Origin, fused_assets
from constellation_dagster.components.supabase_pipelines import STATE_KEY
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.domain.schemas import parse_pipeline
from constellation_dagster.resources.pipeline_rows import PipelineVersion
from constellation_dagster.settings import PROJECT_ROOT, SUPABASE_VARIABLES, get_settings
from tests.bench.report import print_table

# (assets, rounds): the plain ones take minutes a round at 10,000.
SIZES = ((1_000, 3, 3), (10_000, 3, 1))
# A module with definitions, and what it imports before it builds any.
OURS = ("tests.bench.our_location", "constellation_dagster.definitions")
PLAIN = ("tests.bench.plain_assets", "dagster")
PARTS = ("imports", "compile", "build", "snapshot")

# Every node has one output, so that one check a node is the same for both.
NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "load": ("sample_data", {"name": "penguins"}),
    "impute": ("impute_missing", {"numbers": "median"}),
    "adult": ("filter_rows", {"where": "body_mass_g > 3000"}),
    "pick": ("select_columns", {"columns": ["species", "bill_length_mm", "bill_depth_mm"]}),
    "train": ("train_classifier", {"target": "species", "algorithm": "random_forest"}),
    "predict": ("predict", {}),
    "right": ("filter_rows", {"where": "species == prediction"}),
    "chart": ("chart", {"kind": "scatter", "x": "bill_length_mm", "y": "bill_depth_mm"}),
    "save": ("write_parquet", {"url": "predicted.parquet"}),
    "store": ("write_table", {"name": "predictions", "mode": "replace"}),
}
EDGES = (
    ("load.table", "impute.table"),
    ("impute.table", "adult.table"),
    ("adult.table", "pick.table"),
    ("pick.table", "train.table"),
    ("train.model", "predict.model"),
    ("pick.table", "predict.table"),
    ("predict.table", "right.table"),
    ("right.table", "chart.table"),
    ("predict.table", "save.table"),
    ("predict.table", "store.table"),
)


def _version(index: int) -> PipelineVersion:
    name = f"pipeline_{index}"
    spec = {
        "name": name,
        "nodes": [
            {"id": node, "block": block, "config": config}
            for node, (block, config) in NODES.items()
        ],
        "edges": [{"source": source, "target": target} for source, target in EDGES],
    }
    return PipelineVersion(
        pipeline_id=uuid4(), owner=uuid4(), name=name, version=1, status="published", spec=spec
    )


def _said(version: PipelineVersion) -> list[dict[str, Any]]:
    """What our assets of one pipeline say, for plain ones to repeat."""
    plan = compile_pipeline(parse_pipeline(version.spec), load_registry())
    definition = fused_assets(plan, Origin(owner=version.owner, row=version))
    checks = {spec.asset_key: spec.name for spec in definition.check_specs}
    return [
        {
            "key": spec.key.path,
            "group": spec.group_name,
            "deps": [dep.asset_key.path for dep in spec.deps],
            "description": spec.description,
            "metadata": {
                name: value for name, value in spec.metadata.items() if name.startswith("constell")
            },
            "code_version": spec.code_version,
            "tags": {k: v for k, v in spec.tags.items() if not k.startswith("dagster/kind")},
            "kinds": sorted(spec.kinds),
            "checks": [checks[spec.key]],
        }
        for spec in definition.specs
    ]


@contextmanager
def _home() -> Generator[Path]:
    """A home of neither a stack nor a person."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        (home / "dagster").mkdir()
        yield home


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in SUPABASE_VARIABLES}
    return kept | {"CONSTELLATION_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}


def _write_state(home: Path, versions: list[PipelineVersion]) -> None:
    """Puts rows where `publish_pipelines` has the code server put them."""
    text = (PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8")
    (home / "dagster" / "dagster.yaml").write_text(text, encoding="utf-8")
    file = home / "rows.json"
    file.write_bytes(TypeAdapter(list[PipelineVersion]).dump_json(versions))
    with patch.dict(os.environ, _environment(home), clear=True):
        get_settings.cache_clear()
        with dg.DagsterInstance.get() as instance:  # makes its database too
            assert instance.defs_state_storage is not None
            instance.defs_state_storage.upload_state_from_path(STATE_KEY, "1", file)
            instance.defs_state_storage.set_latest_version(STATE_KEY, "1")
    get_settings.cache_clear()


def _load(module: str, imports: str, environment: dict[str, str], least: int) -> dict[str, float]:
    program = [sys.executable, "-m", "tests.bench.load_location"]
    command = [*program, module, imports, str(time.monotonic())]
    done = subprocess.run(
        command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert loaded["assets"] >= least, f"{module} has {loaded['assets']} assets only"
    return loaded


def _loads(
    rounds: int, module: str, imports: str, environment: dict[str, str], least: int
) -> dict[str, float]:
    """The median of each figure."""
    loads = [_load(module, imports, environment, least) for _ in range(rounds)]
    return {name: median(load[name] for load in loads) for name in loads[0]}


def _row(what: str, rounds: int, loaded: dict[str, float]) -> list[str]:
    seconds = [f"{loaded[name]:.1f}" for name in ("wall", "cpu")]
    parts = [f"{loaded[name]:.2f}" for name in PARTS]
    return [what, str(rounds), *seconds, *parts, f"{loaded['megabytes']:.1f}"]


def main() -> None:
    """Measures and prints."""
    rows: list[list[str]] = []
    for size, our_rounds, plain_rounds in SIZES:
        versions = [_version(index) for index in range(size // len(NODES))]
        with _home() as home, _home() as plain_home:
            _write_state(home, versions)
            said = plain_home / "assets.json"
            dg.DagsterInstance.from_config(str(plain_home / "dagster")).dispose()  # its database
            said.write_text(json.dumps([entry for version in versions for entry in _said(version)]))
            plain_environment = _environment(plain_home) | {"BENCH_ASSETS": str(said)}
            ours = _loads(our_rounds, *OURS, _environment(home), size)
            plain = _loads(plain_rounds, *PLAIN, plain_environment, size)
        rows.append(_row(f"{size:,} nodes, ours", our_rounds, ours))
        rows.append(_row(f"{size:,} plain `@asset`", plain_rounds, plain))
        ratios = [f"{ours[name] / plain[name]:.2f}" for name in ("wall", "cpu")]
        parts = [f"{ours[name] / plain[name]:.2f}" if plain[name] else "" for name in PARTS]
        rows.append(["ratio", "", *ratios, *parts, f"{ours['megabytes'] / plain['megabytes']:.2f}"])
    print_table(
        "definitions: seconds from the start of a process to a serialized repository snapshot, "
        "medians; the parts are CPU seconds",
        ["location", "rounds", "wall", "CPU", *PARTS, "snapshot MB"],
        rows,
    )
