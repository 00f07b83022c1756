"""The Dagster UI as an operator sees it after the demo.

`CONSTELLATION_SCREENSHOTS=docs/images` keeps the pictures, for the README.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

GROUP = "constellation_dagster@__repository__:penguins"
NODES = [
    "load",
    "impute",
    "split",
    "train",
    "evaluate",
    "predict",
    "register",
    "chart",
    "save",
    "store",
]


def open_page(page: Page, stack: RunningStack, path: str) -> None:
    page.goto(f"{stack.variables['CONSTELLATION_DAGSTER_URL']}{path}")


def test_the_pipelines_lineage(page: Page, demonstrated: RunningStack, pictures: Path) -> None:
    open_page(page, demonstrated, "/locations/constellation_dagster/asset-groups/penguins/lineage")
    graph = page.locator("svg foreignObject")
    for node in NODES:
        expect(graph.get_by_text(node, exact=True).first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(1500)  # the graph still moves into place
    page.screenshot(path=pictures / "lineage.png")


def test_a_materialization_shows_metrics(
    page: Page, demonstrated: RunningStack, pictures: Path
) -> None:
    open_page(page, demonstrated, "/assets/penguins/evaluate?view=overview")
    expect(page.get_by_text("metrics/accuracy").first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "materialization.png")


def test_a_table_shows_rows_schema_and_head(
    page: Page, demonstrated: RunningStack, pictures: Path
) -> None:
    open_page(page, demonstrated, "/assets/penguins/load?view=overview")
    expect(page.get_by_text("344").first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("bill_length_mm").first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "table.png")


def test_a_chart_is_shown(page: Page, demonstrated: RunningStack, pictures: Path) -> None:
    open_page(page, demonstrated, "/assets/penguins/chart?view=overview")
    page.get_by_text("[Show Markdown]").first.click(timeout=30_000)
    image = page.get_by_role("dialog").locator("img")
    expect(image).to_be_visible()
    width = image.evaluate("image => image.naturalWidth")
    assert width > 300, "the picture does not load"
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "chart.png")


def test_checks_passed(page: Page, demonstrated: RunningStack, pictures: Path) -> None:
    open_page(page, demonstrated, "/assets/penguins/load?view=checks")
    expect(page.get_by_text("table_is_usable").first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "checks.png")


def test_the_block_library(page: Page, demonstrated: RunningStack, pictures: Path) -> None:
    open_page(page, demonstrated, "/assets/blocks/split_rows?view=overview")
    expect(page.get_by_text("test_fraction").first).to_be_visible(timeout=30_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "block.png")
