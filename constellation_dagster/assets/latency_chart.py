"""A picture of how long answers take."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

_WIDTH, _HEIGHT = 420, 160


def latency_chart(milliseconds: Sequence[float], budget_ms: float | None) -> dg.MetadataValue:
    """How many of some requests took how long, with a line for the budget."""
    import vl_convert

    specification = _specification(milliseconds, budget_ms)
    png: bytes = vl_convert.vegalite_to_png(specification, scale=2, allowed_base_urls=[])
    data = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![latency](data:image/png;base64,{data})")


def quantile(milliseconds: Sequence[float], q: float) -> float:
    """The time that a part of the requests stayed below."""
    ordered = sorted(milliseconds)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def _specification(milliseconds: Sequence[float], budget_ms: float | None) -> dict[str, Any]:
    bars = {
        "data": {"values": [{"ms": value} for value in milliseconds]},
        "mark": {"type": "bar", "color": "#4f6bed"},
        "encoding": {
            "x": {"field": "ms", "bin": {"maxbins": 30}, "title": "milliseconds"},
            "y": {"aggregate": "count", "title": "requests"},
        },
    }
    layers: list[Mapping[str, Any]] = [bars]
    if budget_ms is not None:
        line = {
            "data": {"values": [{"ms": budget_ms}]},
            "mark": {"type": "rule", "color": "#d13438", "size": 2},
            "encoding": {"x": {"field": "ms", "type": "quantitative"}},
        }
        layers.append(line)
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": _WIDTH,
        "height": _HEIGHT,
        "layer": layers,
    }
