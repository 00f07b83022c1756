"""Pipelines in pictures and in words."""

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from constellation_dagster.domain.diagram import mermaid
from constellation_dagster.domain.explanation import explain_pipeline
from tests.domain.example_blocks import EXAMPLES

SPEC: dict[str, Any] = {
    "nodes": [
        {"id": "save", "block": "concat", "config": {}},
        {"id": "end", "block": "load@1", "config": {"url": 'a`".csv', "limit": 3}},
        {"id": "clean", "block": "clean", "config": {}},
    ],
    "edges": [
        {"source": "end.table", "target": "clean.table"},
        {"source": "clean.table", "target": "save.tables"},
    ],
    "schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"},
}


def test_a_diagram() -> None:
    assert mermaid(SPEC, EXAMPLES).splitlines() == [
        "flowchart LR",
        '    n0["save<br/>concat"]',
        '    n1[("end<br/>load")]',
        '    n2["clean"]',
        '    n1 -- "table" --> n2',
        '    n2 -- "table" --> n0',
    ]


def test_an_explanation_goes_in_the_order_of_the_run() -> None:
    assert explain_pipeline(SPEC, EXAMPLES).splitlines() == [
        "1. **end**: Load a table (url: `a'\".csv`, limit: `3`).",
        "2. **clean**, from `end`: Clean a table.",
        "3. **save**, from `clean`: Put tables one below the other.",
        "It runs by itself at `0 6 * * *` (Europe/Berlin).",
    ]


def test_what_is_wrong_is_told_all_the_same() -> None:
    spec: dict[str, Any] = {
        "nodes": [
            {"id": "a", "block": "none", "config": {"text": "x" * 500}},
            {"id": "b", "block": "clean", "config": {}},
            {"id": "c", "block": "clean", "config": {}},
        ],
        "edges": [
            {"source": "b", "target": "c"},
            {"source": "c.table", "target": "b.table"},
            {"source": "nowhere.table", "target": "b.table"},
        ],
    }
    assert "n1 --> n2" in mermaid(spec, EXAMPLES)
    lines = explain_pipeline(spec, EXAMPLES).splitlines()
    assert len(lines) == 3
    assert len(lines[0]) < 200


@settings(deadline=None)
@given(st.text(), st.text())
def test_no_text_gets_out_of_its_label(node: str, block: str) -> None:
    spec: dict[str, Any] = {"nodes": [{"id": node, "block": block, "config": {}}], "edges": []}
    lines = mermaid(spec, EXAMPLES).split("\n")
    assert len(lines) == 2
    assert re.fullmatch(r'    n0\S*?"[^"<>]*(<br/>[^"<>]*)?"\S*', lines[1])


def test_nothing_in_an_explanation_is_markup_of_others() -> None:
    spec: dict[str, Any] = {
        "nodes": [
            {"id": "a](x)", "block": "![b](http://x)", "config": {"<img>": "", "k": "`![c](y)`"}},
            {"id": "c", "block": "clean", "config": {"text": "safe\u202ecod.exe\u200b"}},
        ],
        "edges": [{"source": "a](x).`o`", "target": "c.table"}],
        "schedule": {"cron": "`<b>", "timezone": "<i>"},
    }
    assert explain_pipeline(spec, EXAMPLES).splitlines() == [
        r"1. **a\](x)**: !\[b\](http://x) (\<img\>: ` `, k: `'![c](y)'`).",
        r"2. **c**, from `a](x).'o'`: Clean a table (text: `safe\u202ecod.exe\u200b`).",
        r"It runs by itself at `'<b>` (\<i\>).",
    ]
    assert "\u202e" not in mermaid(spec, EXAMPLES)


def test_a_label_has_an_end() -> None:
    spec: dict[str, Any] = {"nodes": [{"id": "a" * 500, "block": "b", "config": {}}], "edges": []}
    assert len(mermaid(spec, EXAMPLES)) < 150
