"""Our server of models beside others, one model, one machine, one run: `make bench-serving`.

A logistic regression of the iris data (scikit-learn, and ONNX by skl2onnx) answers one row a
request. Each server has one worker and runs on one core, the load (wrk) on another. Each round
starts every server anew, one after another, so that what else the machine does meets them all.
"""

import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np

from constellation_dagster.serving.integrity import verify_for_serving
from constellation_dagster.serving.predictors import load_predictor
from constellation_dagster.serving.protocol import Codec
from tests.bench.report import print_table
from tests.bench.serving_load import load
from tests.bench.serving_servers import (
    PEERS,
    V2,
    Served,
    cpu_seconds,
    echoes,
    memory_mb,
    servers,
    started,
)
from tests.serving.packages import Package, onnx_package

ROUNDS = 3
SECONDS = 4
CLIENTS = (1, 32, 256)
CPU_CLIENTS = 32


@dataclass
class Figures:
    """What was measured of one server, a value a round."""

    cold: list[float] = field(default_factory=list[float])
    memory: list[float] = field(default_factory=list[float])
    cpu_ms: list[float] = field(default_factory=list[float])
    per_second: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    p50: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    p99: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: int = 0


def main() -> None:
    """Measures and prints."""
    assert PEERS.exists(), "run `make bench-serving`, which installs the peers"
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        package = onnx_package(folder / "package")
        models = folder / "mlflow"
        script = Path(__file__).with_name("serving_peers") / "models.py"
        subprocess.run(
            [PEERS / "bin" / "python", script, package.folder / "model.onnx", models],
            check=True, capture_output=True,
        )  # fmt: skip
        served, fixed = servers(package, models), echoes(_answer(package))
        found = _measured([*served, *fixed], folder / "log")
        bare = {each.name: found.pop(each.name) for each in fixed}
        _print_servers(found)
        _print_ratios(found)
        _print_echoes(bare, found)
        _print_limits(package)


def _measured(all_served: Sequence[Served], log: Path) -> dict[str, Figures]:
    figures: dict[str, Figures] = {served.name: Figures() for served in all_served}
    for _ in range(ROUNDS):
        for served in all_served:
            _round(served, figures[served.name], log)
    return figures


def _round(served: Served, figures: Figures, log: Path) -> None:
    server_core, load_core = sorted(os.sched_getaffinity(0))[:2]
    with started(served, server_core, log) as (process, cold):
        figures.cold.append(cold)
        load(served.url, served.body, CPU_CLIENTS, 1, load_core)
        for clients in CLIENTS:
            before = cpu_seconds(process)
            seen = load(served.url, served.body, clients, SECONDS, load_core)
            if clients == CPU_CLIENTS:
                used = cpu_seconds(process) - before
                figures.cpu_ms.append(used * 1000 / seen.requests)
            figures.per_second[clients].append(seen.per_second)
            figures.p50[clients].append(seen.p50_ms)
            figures.p99[clients].append(seen.p99_ms)
            figures.errors += seen.errors
        figures.memory.append(memory_mb(process))


def _print_servers(found: dict[str, Figures]) -> None:
    rows = [
        [
            name,
            *(_cell(figures, clients) for clients in CLIENTS),
            f"{median(figures.cpu_ms):.3f}",
            f"{median(figures.cold):.2f}",
            f"{median(figures.memory):.0f}",
            str(figures.errors),
        ]
        for name, figures in found.items()
    ]
    print_table(
        f"serving: one row a request; requests/s, and p50 / p99 in ms; medians of {ROUNDS}",
        ["server", *_clients(), "CPU ms a request", "cold s",
         "MB", "errors"],
        rows,
    )  # fmt: skip


def _clients() -> list[str]:
    """The heads of the columns that `_cell` fills."""
    return [f"{clients} client{'s' if clients > 1 else ''}" for clients in CLIENTS]


def _cell(figures: Figures, clients: int) -> str:
    return (
        f"{median(figures.per_second[clients]):,.0f}, "
        f"{median(figures.p50[clients]):.2f} / {median(figures.p99[clients]):.1f}"
    )


def _print_ratios(found: dict[str, Figures]) -> None:
    ours = found["constellation"]
    rows = [
        [
            name,
            *(f"{median(ours.per_second[n]) / median(figures.per_second[n]):.1f}" for n in CLIENTS),
            f"{median(figures.p99[256]) / median(ours.p99[256]):.1f}",
            f"{median(figures.cpu_ms) / median(ours.cpu_ms):.1f}",
            f"{median(figures.cold) / median(ours.cold):.1f}",
            f"{median(figures.memory) / median(ours.memory):.1f}",
        ]
        for name, figures in found.items()
        if figures is not ours
    ]
    print_table(
        "serving, ratios: how many times better ours is",
        ["than", *(f"requests/s, {n}" for n in CLIENTS), "p99, 256", "CPU", "cold start", "memory"],
        rows,
    )


def _print_echoes(bare: dict[str, Figures], found: dict[str, Figures]) -> None:
    ours = found["constellation"]
    rows = [
        [
            name,
            *(_cell(figures, clients) for clients in CLIENTS),
            f"{median(figures.cpu_ms):.3f}",
            f"{median(figures.memory):.0f}",
            f"{median(ours.per_second[32]) / median(figures.per_second[32]):.2f}",
        ]
        for name, figures in bare.items()
    ]
    print_table(
        "serving, limits: HTTP that answers something fixed of the same length",
        ["echo", *_clients(), "CPU ms a request", "MB",
         "our inference / echo, 32"],
        rows,
    )  # fmt: skip


def _print_limits(package: Package) -> None:
    """CPU time of the parts of a request, in this process."""
    manifest = verify_for_serving(package.folder, package.digest)
    predictor = load_predictor(package.folder, manifest)
    codec = Codec(manifest.signature, "iris", "1")
    body = V2.encode()
    request = codec.decode(body)
    outputs = predictor.predict(request.inputs)
    batch = {"x": np.repeat(request.inputs["x"], 32, axis=0)}
    parts: list[tuple[str, Callable[[], object], int]] = [
        ("the model, a row alone", lambda: predictor.predict(request.inputs), 1),
        ("the model, in a batch of 32", lambda: predictor.predict(batch), 32),
        ("parsed alone, by orjson", lambda: json_loads(body), 1),
        ("read and checked", lambda: codec.decode(body), 1),
        ("written", lambda: codec.encode(request, outputs), 1),
    ]
    print_table(
        "serving, limits: CPU µs a row",
        ["part", "µs"],
        [[name, f"{_microseconds(work) / rows:.2f}"] for name, work, rows in parts],
    )


def json_loads(body: bytes) -> object:
    """What any server has to do at least."""
    import orjson

    return orjson.loads(body)


def _microseconds(work: Callable[[], object]) -> float:
    rounds: list[float] = []
    for _ in range(9):
        began = time.process_time()
        for _ in range(2000):
            work()
        rounds.append((time.process_time() - began) * 1e6 / 2000)
    return median(rounds)


def _answer(package: Package) -> str:
    """What our server answers, for the echoes."""
    manifest = verify_for_serving(package.folder, package.digest)
    codec = Codec(manifest.signature, "iris", "1")
    request = codec.decode(V2.encode())
    outputs = load_predictor(package.folder, manifest).predict(request.inputs)
    body = codec.encode(request, outputs)[0].decode()
    assert json.loads(body)["outputs"][0]["data"] == [0]
    return body


if __name__ == "__main__":
    main()
