"""What the agent has proposed in the Dagster UI, after the demo has asked it for a pipeline."""

from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import Page, expect

from constellation_dagster.cli.demo_client import sign_in
from tests.browser.test_dagster_ui import open_page
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture
def reply(demonstrated: RunningStack) -> dict[str, Any]:
    """The agent's reply to the demo's sentence."""
    client = sign_in(demonstrated.url, demonstrated.variables["SUPABASE_KEY"])
    query = client.table("messages").select("draft_id,dagster_run_id").eq("role", "assistant")
    [row] = cast("Any", query.execute().data)
    return row


def test_a_draft_is_a_partition_with_its_story(
    page: Page, demonstrated: RunningStack, pictures: Path, reply: dict[str, Any]
) -> None:
    draft = reply["draft_id"]
    open_page(page, demonstrated, f"/assets/generated_pipelines?view=partitions&partition={draft}")
    expect(page.get_by_text("Load penguins_predicted.parquet").first).to_be_visible(timeout=30_000)
    for said in ("diagram", "explanation", "questions"):
        expect(page.get_by_text(said, exact=True).first).to_be_visible()
    expect(page.get_by_text("train_classifier").first).to_be_visible()
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "draft.png")


def test_a_turn_is_a_run_of_steps(
    page: Page, demonstrated: RunningStack, pictures: Path, reply: dict[str, Any]
) -> None:
    open_page(page, demonstrated, f"/runs/{reply['dagster_run_id']}")
    for op in ("gather_context", "write_draft", "reply"):
        expect(page.get_by_text(op, exact=True).first).to_be_visible(timeout=30_000)
    expect(page.get_by_text("RUN_SUCCESS").first).to_be_visible()
    page.wait_for_timeout(1500)
    page.screenshot(path=pictures / "turn.png")
