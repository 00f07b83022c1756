"""The layers: imports point down only."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "constellation_dagster"

MODELS = {"serving", "packaging", "images", "runtimes"}
BELOW = {
    "settings",
    "agent_settings",
    "instance",
    "domain",
    "blocks",
    "resources",
    "components",
    "agent",
} | MODELS
PLATFORM = {"assets", "jobs", "sensors"}
# What each layer may import of ours, besides itself.
LAYERS: dict[str, set[str]] = {
    "agent_settings": {"domain"},
    "settings": {"domain", "agent_settings"},
    "domain": set(),
    "blocks": {"domain"},
    "resources": {"settings", "domain"},
    "components": {"settings", "domain", "blocks", "resources"} | MODELS,
    "agent": {"settings", "agent_settings", "domain", "blocks", "resources"},
    "serving": {"domain"},
    "packaging": {"settings", "domain", "resources", "serving"},
    "images": {"settings", "domain", "resources", "packaging", "serving"},
    "runtimes": {"settings", "domain", "resources", "packaging", "images", "local"},
    "assets": BELOW | PLATFORM,
    "jobs": BELOW | PLATFORM,
    "sensors": BELOW | PLATFORM,
    "instance": {"settings", "domain"},
    "services": {"settings", "domain", "resources", "agent"},
    "local": {"settings", "domain", "resources"},
    "cli": {"settings", "domain", "resources", "local"} | MODELS,
    "definitions": BELOW | PLATFORM | {"pipelines"},
    "pipelines": BELOW,
}


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: a relative import"
            # `from constellation_dagster import blocks` imports the layer as well.
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def _layer(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_part_of_the_package_is_a_layer() -> None:
    assert {_layer(file) for file in FILES} - {"__init__"} <= set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_from_below(layer: str) -> None:
    allowed = LAYERS[layer] | {layer}
    wrong = [
        f"{file.relative_to(PACKAGE)}:{line} imports {name}"
        for file in FILES
        if _layer(file) == layer
        for line, name in _imports(file)
        if name.startswith("constellation_dagster.") and name.split(".")[1] not in allowed
    ]
    assert wrong == []


def test_the_package_itself_imports_nothing() -> None:
    assert list(_imports(PACKAGE / "__init__.py")) == []


def _modules_after_importing(layer: str) -> set[str]:
    """What a fresh process has imported once it has imported every module of a layer."""
    names = [
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        for file in FILES
        if _layer(file) == layer
    ]
    code = f"import sys\nfor name in {names!r}: __import__(name)\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    return set(result.stdout.split())


HEAVY = {"dagster", "sklearn", "pandas", "altair", "vl_convert", "pyarrow", "skops", "supabase", "psycopg", "httpx",
         "fastapi", "openai", "docker", "redis"}  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "forbidden"),
    [
        ("domain", HEAVY | {"sqlalchemy", "fsspec", "upath", "requests"}),
        # Blocks import what takes a second when they run, so that every process starts quickly.
        ("blocks", HEAVY),
    ],
)
def test_a_fresh_process_holds_nothing_from_above(layer: str, forbidden: set[str]) -> None:
    modules = _modules_after_importing(layer)
    assert {name.split(".")[0] for name in modules} & forbidden == set()
    ours = {name.split(".")[1] for name in modules if name.startswith("constellation_dagster.")}
    assert ours <= LAYERS[layer] | {layer}
