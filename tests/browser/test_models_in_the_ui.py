"""Models in the Dagster UI, after the demo has deployed one."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_dagster_ui import open_page
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


def test_an_endpoint_says_where_it_answers_and_what_runs(
    page: Page, demonstrated: RunningStack, pictures: Path
) -> None:
    open_page(page, demonstrated, "/assets/deployments?view=partitions&partition=penguins")
    url = f"{demonstrated.variables['CONSTELLATION_ENDPOINTS_URL']}/penguins"
    expect(page.get_by_text(url).first).to_be_visible(timeout=30_000)
    for fact in ("p99_ms", "digest", "penguins@1"):
        expect(page.get_by_text(fact).first).to_be_visible()
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "endpoint.png")


def test_an_endpoints_checks_passed(page: Page, demonstrated: RunningStack, pictures: Path) -> None:
    open_page(page, demonstrated, "/assets/deployments?view=checks")
    for check in ("endpoint_is_healthy", "answers_its_example", "within_latency_budget"):
        expect(page.get_by_text(check).first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("It answers as it did when it was packaged.")).to_be_visible()
    page.screenshot(path=pictures / "endpoint_checks.png")


def test_a_package_shows_its_signature_and_card(
    page: Page, demonstrated: RunningStack, pictures: Path
) -> None:
    open_page(page, demonstrated, "/assets/model_packages?view=partitions&partition=penguins@1")
    expect(page.get_by_role("heading", name="Model card")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("bill_depth_mm").first).to_be_visible()
    page.screenshot(path=pictures / "package.png")


def test_data_models_and_predictions_are_one_graph(
    page: Page, demonstrated: RunningStack, pictures: Path
) -> None:
    open_page(page, demonstrated, "/assets/deployments?view=lineage&lineageScope=neighbors")
    graph = page.locator("svg foreignObject")
    for asset in ("model_packages", "model_images", "deployments", "score"):
        expect(graph.get_by_text(asset).first).to_be_visible(timeout=30_000)
    page.screenshot(path=pictures / "models_lineage.png")
