"""The Python of the documentation, run as it stands there."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.registry import Registry
from constellation_dagster.settings import PROJECT_ROOT
from tests.docs.pages import PAGES, Fence, fences
from tests.end_to_end.person import Person
from tests.stack_fixture import COMMAND, RunningStack

PYTHON = fences("python")
OF_A_CLIENT = [fence for fence in PYTHON if "client." in fence.text]
[BLOCK] = [fence for fence in PYTHON if "@block" in fence.text]
[ENTRY_POINTS] = fences("toml")


def run(fence: Fence, names: dict[str, Any]) -> None:
    """Runs an example where the names of earlier ones on its page are known."""
    # As many lines before it as on its page, so that a traceback points there.
    source = "\n" * (fence.line - 1) + fence.text
    exec(compile(source, str(fence.page), "exec"), names)


def test_every_example_is_run() -> None:
    assert [fence.place for fence in PYTHON if fence not in (*OF_A_CLIENT, BLOCK)] == []


@pytest.mark.xdist_group("stack")
@pytest.mark.timeout(300)
def test_what_a_supabase_client_does(stack: RunningStack) -> None:
    person = Person(stack.person(), stack)
    pipelines: set[str] = set()
    for page in PAGES:
        names: dict[str, Any] = {"client": person.client}
        for fence in OF_A_CLIENT:
            if fence.page == page:
                run(fence, names)
        if "pipeline" in names:
            pipelines.add(names["pipeline"])
    # Both pages are about the same pipeline, drawn in two ways.
    [pipeline] = pipelines
    row = person.settled(pipeline)
    assert (row["name"], row["status"], row["version"]) == ("penguins", "published", 1)
    runs = person.rows(person.client.table("runs").select("id").eq("pipeline_id", pipeline))
    assert len(runs) == 2
    ended = [person.ended(run["id"]) for run in runs]
    assert [row["status"] for row in ended] == ["succeeded"] * 2
    assert ended[0]["progress"]["clean"]["rows"] == {"table": 344}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package of the page about blocks, installed in a folder."""
    [(group, entries)] = tomllib.loads(ENTRY_POINTS.text)["project"]["entry-points"].items()
    [(name, module)] = entries.items()
    file = tmp_path / f"{module.replace('.', '/')}.py"
    file.parent.mkdir()
    file.write_text(BLOCK.text)
    (file.parent / "__init__.py").touch()
    (file.parent / "broken.py").write_text("import what_is_not_there\n")
    information = tmp_path / "my_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        f"[{group}]\n{name} = {module}\nbroken = my_package.broken\n"
    )
    return file


def test_a_block_of_ones_own(package: Path) -> None:
    spec = importlib.util.spec_from_file_location("prices_of_the_documentation", package)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where inspect finds its source, and get_type_hints its names.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    by_price: Any = module.by_price
    assert by_price.ref == "by_price@1"
    assert [port.name for port in by_price.outputs] == ["cheap", "dear"]
    # It stays a function.
    parts = by_price(pl.DataFrame({"price": [1.0, 200.0]}), limit=10.0)
    assert (parts.cheap.height, parts.dear.height) == (1, 1)
    with pytest.raises(BlockFailed, match="There is no column 'price'"):
        by_price(pl.DataFrame({"prize": [1.0]}))
    assert Registry.of([by_price]).get("by_price") is by_price


def test_an_installed_package_brings_its_blocks_and_a_broken_one_is_named(package: Path) -> None:
    result = subprocess.run(
        [COMMAND, "block", "list"],
        env={**os.environ, "PYTHONPATH": str(package.parents[1]), "COLUMNS": "200"},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "by_price@1" in result.stdout
    assert "Part a table by its column" in result.stdout
    assert "read_csv@1" in result.stdout
    assert "my_package.broken" in result.stderr
    assert "what_is_not_there" in result.stderr
    assert "Traceback" not in result.stderr
