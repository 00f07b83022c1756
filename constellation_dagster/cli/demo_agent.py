"""The end of the demo: a sentence becomes a pipeline that runs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from constellation_dagster.cli.chat import ask
from constellation_dagster.cli.demo_client import (
    WAIT_SECONDS,
    DemoFailed,
    console,
    outcome,
    run,
    step,
)

if TYPE_CHECKING:
    from supabase import Client

    from constellation_dagster.domain.conversations import DraftRow

# The file is what the demo's first pipeline has written into the person's folder.
SENTENCE = (
    "Load penguins_predicted.parquet, drop incomplete rows, train a random forest that predicts "
    "species from bill_length_mm and bill_depth_mm, evaluate it, and draw a scatter chart of "
    "bill_length_mm and bill_depth_mm colored by species"
)


def talk(client: "Client", dagster_url: str) -> None:
    """Asks for a pipeline, approves what is proposed, runs it and tells the result.

    Args:
        client: Signed in as the demo's person.
        dagster_url: Where the Dagster UI is.
    """
    from constellation_dagster.resources.draft_rows import DraftRows

    step("chat", "a sentence is enough for a pipeline")
    console.print(f"  “{SENTENCE}”\n")
    reply = ask(client, SENTENCE, None, WAIT_SECONDS)
    if reply.failed:
        raise DemoFailed("the agent did not answer; see `constellation status`.")
    console.print()
    drafts = DraftRows(client)
    draft = drafts.get(reply.draft) if reply.draft is not None else None
    if draft is None or draft.status != "ready":
        # A language model may see it otherwise, and nobody is here to answer it.
        console.print(
            f'  go on with [bold]constellation chat --conversation {reply.conversation} "…"[/]'
        )
        return

    step("approve", f"draft {draft.id} becomes a pipeline like any other")
    pipeline = str(drafts.approve(draft.id))
    row = outcome(client, pipeline)
    if row["status"] != "published":
        raise DemoFailed(f"pipeline {draft.name!r} is {row['status']}: {row['problems']}")
    console.print(f"  version {row['version']} of [bold]{draft.name}[/] is published")
    _print_result(draft, run(client, pipeline), dagster_url)


def _print_result(draft: "DraftRow", ended: Mapping[str, Any], dagster_url: str) -> None:
    """The metrics that the run gave, and where its charts are."""
    for entry in ended["progress"].values():
        for metrics in entry.get("metrics", {}).values():
            if "accuracy" in metrics:
                rows = f"{metrics['rows']:.0f} rows it has not seen"
                console.print(f"  accuracy on {rows}: [bold]{metrics['accuracy']:.3f}[/]")
    for node in draft.spec["nodes"]:
        if node["block"].partition("@")[0] == "chart":
            console.print(f"  the chart: [bold]{dagster_url}/assets/{draft.name}/{node['id']}[/]")
