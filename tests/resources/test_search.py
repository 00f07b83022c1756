"""Search on a running stack: the index follows the rows, and paraphrases find blocks."""

from uuid import uuid4

import pytest

from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.rest import fetch
from constellation_dagster.resources.search import Found, SearchRows
from constellation_dagster.resources.search_index import SearchIndex
from tests.end_to_end.person import wait_for
from tests.stack_fixture import RunningStack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(300)]

# What a person may say, in words that are mostly not the block's own.
PARAPHRASES = {
    "throw away records that have holes": "drop_missing",
    "get rid of lines with empty fields": "drop_missing",
    "put the average where a number is absent": "impute_missing",
    "guess what belongs in the blank cells": "impute_missing",
    "only the customers older than thirty": "filter_rows",
    "restrict to records above a threshold": "filter_rows",
    "biggest first": "sort_rows",
    "arrange alphabetically": "sort_rows",
    "just show me the first few lines": "limit_rows",
    "no more than five records": "limit_rows",
    "choose some lines by chance": "sample_rows",
    "each record only once": "deduplicate",
    "eliminate repeated entries": "deduplicate",
    "mean price by country": "aggregate",
    "totals for every department": "aggregate",
    "match orders with their customers": "join_tables",
    "look up the price in another sheet": "join_tables",
    "glue two data sets underneath each other": "concatenate",
    "long format to wide format": "pivot",
    "months as headings across the top": "pivot",
    "change the headings": "rename_columns",
    "weight divided by height squared as a further field": "derive_column",
    "work out a ratio from two fields": "derive_column",
    "make these strings integers": "cast_columns",
    "interpret the text as dates": "cast_columns",
    "an overview of how the numbers are distributed": "describe_table",
    "min, max and standard deviation": "describe_table",
    "how many of each kind are there": "count_values",
    "leave only the name and age fields": "select_columns",
    "visualise it as a picture with dots": "chart",
    "make a graph of sales over time": "chart",
    "keep some of the data back for judging": "split_rows",
    "teach a machine to recognise species": "train_classifier",
    "how often is the model right": "evaluate_model",
    "let the fitted model guess the class": "predict",
    "use the model that is being served": "infer",
    "put the model into the registry": "register_model",
    "load comma separated values": "read_csv",
    "play with a toy data set": "sample_data",
    "write my own SELECT statement": "sql",
}
HITS = 30


@pytest.fixture(scope="module")
def indexed(stack: RunningStack) -> RunningStack:
    """A stack whose search knows the library, which it gets to know by itself."""
    service, library = stack.service(), {block.name for block in load_registry()}

    def known() -> bool:
        rows = fetch(service.table("embeddings").select("name").eq("kind", "block"))
        return library <= {row["name"] for row in rows}

    wait_for(known, "the library in the index", 200)
    return stack


def names(found: list[Found]) -> list[str]:
    return [item.name for item in found]


def test_paraphrases_find_their_block_among_the_first_three(indexed: RunningStack) -> None:
    rows = SearchRows(indexed.person())
    missed = {
        query: first
        for query, block in PARAPHRASES.items()
        if block not in (first := names(rows.search(query, ["block"], 3)))
    }
    hits = len(PARAPHRASES) - len(missed)
    print(f"hit@3: {hits} of {len(PARAPHRASES)}", *missed.items(), sep="\n")
    assert hits >= HITS


def test_a_block_is_found_by_its_name(indexed: RunningStack) -> None:
    rows = SearchRows(indexed.person())
    missed = [
        block.name
        for block in load_registry()
        if block.name not in names(rows.search(block.name, ["block"], 3))
    ]
    assert missed == []


def test_a_pipeline_is_found_by_its_owner_alone_until_it_is_gone(indexed: RunningStack) -> None:
    owner, stranger = indexed.person(), indexed.person()
    name = f"volcano_{uuid4().hex[:8]}"
    spec = {
        "name": name,
        "description": "Eruptions of volcanoes by country.",
        "nodes": [{"id": "load", "block": "sample_data", "config": {"name": "iris"}}],
        "edges": [],
    }
    pipeline = fetch(owner.rpc("save_pipeline", {"spec": spec}))
    found = wait_for(
        lambda: SearchRows(owner).search("lava from mountains", ["pipeline"]), "the pipeline"
    )
    assert [(item.name, item.entity_id, item.vector_rank) for item in found] == [
        (name, pipeline, 1)
    ]
    assert SearchRows(stranger).search("eruptions of volcanoes", ["pipeline"]) == []
    assert [user.name for user in SearchRows(owner).users_of("block", "sample_data")] == [name]
    fetch(owner.table("pipelines").delete().eq("id", pipeline))
    wait_for(lambda: not SearchRows(owner).search(name, ["pipeline"]), "its end")


def test_a_refresh_embeds_only_what_has_changed(indexed: RunningStack) -> None:
    index = SearchIndex(indexed.service())
    wait_for(lambda: not index.outdated(), "an index that is as the rows are")
    assert index.refresh().written == 0


def test_the_command_line_finds_blocks(indexed: RunningStack) -> None:
    result = indexed.run("search", "drop incomplete rows", "--kind", "block", "--limit", "3")
    assert result.returncode == 0, result.stderr
    assert "drop_missing" in result.stdout
