"""What the pages say is what there is."""

import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
import yaml
from pydantic import AliasChoices

from constellation_dagster.agent_settings import AgentSettings
from constellation_dagster.components import PipelineComponent
from constellation_dagster.components.pipeline_component import TYPE_NAME, PipelineAttributes
from constellation_dagster.domain.compiler import compile_pipeline
from constellation_dagster.domain.pipeline_yaml import load_yaml
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.domain.schemas import PipelineCreateSchema
from constellation_dagster.settings import PROJECT_ROOT, Settings
from tests.docs.command_names import command_names
from tests.docs.pages import PAGES, Fence, fences, named

EVERYTHING = "\n".join(page.read_text() for page in PAGES)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def rows_below(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its head."""
    text = (PROJECT_ROOT / page).read_text()
    _, _, below = text.partition(f"\n{heading}\n")
    lines = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert lines is not None, f"{page}: no table below {heading}"
    rows = [line.strip("| ").split(" | ") for line in lines[0].splitlines()]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_settings_are_those_there_are() -> None:
    told = rows_below("docs/operating.md", "## Settings")
    expected: list[list[str]] = []
    fields = {**Settings.model_fields, **AgentSettings.model_fields}
    for name, field in fields.items():
        alias = field.validation_alias
        variable = alias.choices[0] if isinstance(alias, AliasChoices) else name.upper()
        expected.append([f"`{variable}`", str(field.description)])
    assert told == expected


def test_every_block_stands_in_its_kind() -> None:
    told = {
        kind: re.findall("`([^`]+)`", names)
        for kind, names in rows_below("docs/blocks.md", "## The library")
    }
    expected: defaultdict[str, list[str]] = defaultdict(list)
    for block in load_registry():
        if block.function.__module__.startswith("constellation_dagster."):
            expected[block.kind].append(block.name)
    assert {kind: sorted(names) for kind, names in told.items()} == {
        kind: sorted(set(names)) for kind, names in expected.items()
    }


def test_every_port_type_is_told() -> None:
    told = [row[0].strip("`") for row in rows_below("docs/blocks.md", "## Port types")]
    assert told == [port_type.value for port_type in PortType]


@pytest.mark.parametrize("command", sorted(command_names()))
def test_every_command_is_mentioned(command: str) -> None:
    assert re.search(rf"constellation {command}\b", EVERYTHING)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{link} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings]
            assert anchor in slugs, f"{link}: no such heading"


def test_every_page_can_be_reached() -> None:
    linked = {link.partition("#")[0] for link in LINK.findall(PAGES[0].read_text())}
    assert {named(page) for page in PAGES[1:]} <= linked


@pytest.mark.parametrize("fence", fences("yaml"), ids=lambda fence: fence.place)
def test_yaml_is_what_it_claims_to_be(fence: Fence) -> None:
    data = yaml.safe_load(fence.text)
    assert (
        data["type"]
        == TYPE_NAME
        == f"{PipelineComponent.__module__.rsplit('.', 1)[0]}.{PipelineComponent.__name__}"
    )
    attributes = PipelineAttributes.model_validate(data["attributes"])
    spec = PipelineCreateSchema.model_validate(attributes.model_dump(exclude={"owner"}))
    assert compile_pipeline(spec, load_registry()).pipeline.name == spec.name
    # And what the command line makes of the same text.
    assert load_yaml(fence.text) == spec


@pytest.mark.parametrize("file", sorted((PROJECT_ROOT / "docs/examples").glob("*.yaml")), ids=named)
def test_examples_compile(file: Path) -> None:
    compile_pipeline(load_yaml(file.read_text()), load_registry())


@pytest.mark.parametrize("fence", fences("toml"), ids=lambda fence: fence.place)
def test_toml_is_toml(fence: Fence) -> None:
    assert tomllib.loads(fence.text)


def test_every_fence_is_looked_at() -> None:
    languages = {*("console", "python", "yaml", "toml", "mermaid")}
    found = set(re.findall(r"^```(\w*)\n(?:.*\n)*?^```$", EVERYTHING, re.MULTILINE))
    assert found <= languages
