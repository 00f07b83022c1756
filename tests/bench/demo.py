"""How long `constellation up --detach`, `constellation demo` and `constellation down` take.

Twice in one home of their own: first when there is nothing in it yet, then again. What is
downloaded once per user, such as PostgREST, is in its cache in both.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tests.bench.report import print_table
from tests.stack_fixture import COMMAND, StackHome, end_all

# What `demo` prints when it begins a part.
_DEMO_PART = re.compile(r"(blocks|pipeline|run|model|score|mistakes|chat|approve|done) ")
_READY = re.compile(r"✓ (\S+) +([\d.]+) s")

Parts = list[tuple[str, float]]


def _run(home: StackHome, *arguments: str) -> tuple[float, list[tuple[float, str]]]:
    """Runs a command; returns its seconds, and its lines with the moment each came."""
    began = time.monotonic()
    process = subprocess.Popen(
        [COMMAND, *arguments],
        env=home.environment(PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = [(time.monotonic() - began, line) for line in process.stdout]
    assert process.wait() == 0, "".join(line for _, line in lines)
    return time.monotonic() - began, lines


def _ready(lines: Iterable[tuple[float, str]]) -> Parts:
    """When each part of the stack was ready, by its own word."""
    found = (_READY.match(line) for _, line in lines)
    return [(f"up: {match[1]} ready", float(match[2])) for match in found if match]


def _demo_parts(lines: Iterable[tuple[float, str]]) -> Parts:
    """How long each part of the demo took."""
    begun = [(at, match[1]) for at, line in lines if (match := _DEMO_PART.match(line))]
    parts = [(f"demo: {name}", after - at) for (at, name), (after, _) in pairwise(begun)]
    return [("demo: import, sign in", begun[0][0]), *parts]


def _round(home: StackHome) -> Parts:
    up, up_lines = _run(home, "up", "--detach")
    demo, demo_lines = _run(home, "demo")
    down, _ = _run(home, "down")
    return [
        *_ready(up_lines),
        ("up", up),
        *_demo_parts(demo_lines),
        ("demo", demo),
        ("up + demo", up + demo),
        ("down", down),
    ]


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = StackHome(Path(name) / "home")
        try:
            cold, second = dict(_round(home)), dict(_round(home))
        finally:
            home.run("down")
            end_all(home.processes())
    print_table(
        "demo: seconds; `ready` counts from the beginning of `up`",
        ["what", "fresh home", "same home again"],
        [[what, f"{seconds:.1f}", f"{second[what]:.1f}"] for what, seconds in cold.items()],
    )
