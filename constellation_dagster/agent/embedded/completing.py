"""What is done once all clauses were read: order, and what one clause says of another's step."""

from collections.abc import Sequence

from pydantic import JsonValue

from constellation_dagster.agent.embedded.filling import Filler
from constellation_dagster.agent.embedded.reading import Token, extension, stem_of
from constellation_dagster.agent.embedded.steps import StepMaker
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.proposals import Step
from constellation_dagster.domain.registry import Registry

_DRAWN = {"count_words": ("word", "count"), "feature_importance": ("feature", "importance")}
"""The columns of results that there is one way to draw."""
_KEEP = ("sort_rows", "limit_rows", "filter_rows", "write_csv", "write_parquet", "write_json")
"""Steps after which a table has the columns that it had."""


def complete(maker: StepMaker, tokens: Sequence[Token]) -> None:
    """Fill in what another clause says.

    Args:
        maker: The steps of all clauses.
        tokens: The whole request.
    """
    if not maker.reads_something():
        _read_what_is_spoken_of(maker, tokens)
    for place, step in enumerate(maker.steps):
        more: dict[str, JsonValue] = {}
        if "target" not in step.config and step.block.startswith(("train_", "cross_")):
            more = _target(maker, step, tokens)
        if step.block == "chart" and "x" not in step.config:
            more = _drawn(maker.steps[:place], step)
        if step.block == "sort_rows" and "by" not in step.config:
            more = _sorted(maker.steps[:place])
        if more:
            maker.steps[place] = step.model_copy(update={"config": {**more, **step.config}})
    _without_repeats(maker)


def _read_what_is_spoken_of(maker: StepMaker, tokens: Sequence[Token]) -> None:
    """Read the file that one row of is spoken of: "each customer" is of customers.csv."""
    words = {token.text for token in tokens if token.kind == "word"}
    found = [f for f in maker.facts.files if stem_of(f.path).removesuffix("s") in words]
    if len(found) == 1 and maker.known(f"read_{extension(found[0].path)}"):
        step = Step(block=f"read_{extension(found[0].path)}", config={"url": found[0].path})
        maker.steps.insert(0, step)


def _target(maker: StepMaker, step: Step, tokens: Sequence[Token]) -> dict[str, JsonValue]:
    """What is to be predicted, where another clause says so."""
    block = maker.registry.get(step.block)
    if "target" not in block.config_model.model_fields:
        return {}
    cued = Filler(block, tokens, maker.columns).after_cue("target", many=False)
    named = {token.text for token in tokens if token.kind == "column"}
    if cued:
        return {"target": cued[0]}
    return {"target": next(iter(named))} if len(named) == 1 else {}


def _sorted(before: Sequence[Step]) -> dict[str, JsonValue]:
    """What to sort by: the one figure that was just made."""
    last = before[-1] if before else None
    figures = last.config.get("aggregates") if last is not None else None
    return {"by": list(figures)} if isinstance(figures, dict) and len(figures) == 1 else {}


def _drawn(before: Sequence[Step], chart: Step) -> dict[str, JsonValue]:
    """What to draw of the figures that the last step makes, if there is one way."""
    kept = [step for step in before if step.block not in _KEEP]
    last = kept[-1] if kept else None
    if last is None:
        return {}
    kind = chart.config.get("kind", "bar")
    if last.block in _DRAWN:
        x, y = _DRAWN[last.block]
        return {"kind": kind, "x": x, "y": y}
    keys = {"aggregate": "by", "count_values": "columns"}.get(last.block)
    by = last.config.get(keys) if keys is not None else None
    figures = last.config.get("aggregates", {"count": ""})
    if not isinstance(by, list) or not isinstance(figures, dict):
        return {}
    if len(by) != 1 or len(figures) != 1 or kind == "histogram":
        return {}
    return {"kind": kind, "x": by[0], "y": next(iter(figures))}


def _without_repeats(maker: StepMaker) -> None:
    """Drop a step that says the same as one after it, such as a question and its answer."""
    steps = maker.steps
    for place in reversed(range(len(steps))):
        step, later = steps[place], steps[place + 1 :]
        block = maker.registry.find(step.block)
        judges = block is not None and block.kind == "evaluate" and step.block != "chart"
        if judges and any(other.block == step.block for other in later) and not step.config:
            del steps[place]


def prepared(steps: Sequence[Step], registry: Registry) -> list[Step]:
    """The steps with sources first, and rows held out where a model is to be evaluated."""
    result = _models_first(steps, registry)
    names = [step.block for step in result]
    first = next((p for p, name in enumerate(names) if name.startswith("train_")), len(names))
    late = next((p for p, name in enumerate(names) if name == "split_rows" and p > first), None)
    if late is not None:
        result.insert(first, result.pop(late))
    sources = [p for p, step in enumerate(result) if _kind(step, registry) == "source"]
    if sources and sources[0] > 0:
        # "count the rows in a.csv" names its data last.
        result.insert(0, result.pop(sources[0]))
    blocks = [step.block for step in result]
    trains = [p for p, name in enumerate(blocks) if name.startswith("train_")]
    judged = any(name.startswith("evaluate") for name in blocks)
    if trains and judged and "split_rows" not in blocks and "split_rows" in registry.names:
        result.insert(trains[0], Step(block="split_rows"))
    return result


def _models_first(steps: Sequence[Step], registry: Registry) -> list[Step]:
    """The steps with what needs a model after the first that learns one."""
    trains = next((p for p, s in enumerate(steps) if _kind(s, registry) == "train"), None)
    if trains is None:
        return list(steps)
    early = [step for step in steps[:trains] if _needs_model(step, registry)]
    rest = [step for step in steps[:trains] if not _needs_model(step, registry)]
    return [*rest, steps[trains], *early, *steps[trains + 1 :]]


def _needs_model(step: Step, registry: Registry) -> bool:
    block = registry.find(step.block)
    return block is not None and any(
        port.required and port.type is PortType.MODEL for port in block.inputs
    )


def _kind(step: Step, registry: Registry) -> str:
    block = registry.find(step.block)
    return block.kind if block is not None else ""
