"""Whether what came of a request is right.

Right is a draft that one of the accepted pipelines describes, a question where one is due, a refusal
where nothing can be done, and an answer where something was asked.
"""

import ast
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from constellation_dagster.agent.turns import Answer
from constellation_dagster.domain.conversations import DraftProposal
from tests.agent.cases import Accepted, Case, Kind

Outcome = DraftProposal | Answer


@dataclass(frozen=True)
class Judgement:
    """What there is to say about an outcome."""

    got: Kind
    right: bool
    type_correct: bool
    """It is no draft, or one that compiles once its questions are answered."""
    why: str = ""

    @property
    def held_back(self) -> bool:
        """Whether nothing was built that cannot be meant: it asked, or refused."""
        return self.got in ("ask", "refuse")


def judge(case: Case, outcome: Outcome) -> Judgement:
    """Compare an outcome with what would be right.

    Args:
        case: The request.
        outcome: What came of it.
    """
    if isinstance(outcome, Answer):
        got: Kind = "refuse" if outcome.action == "refuse" else "answer"
        if outcome.action == "ask" or (outcome.action != "answer" and outcome.questions):
            got = "ask"
        right = got == case.wanted
        return Judgement(got, right, True, "" if right else f"{case.wanted} wanted, {got} came")
    type_correct = not outcome.problems
    if not type_correct:
        return Judgement("draft", False, False, "; ".join(p.message for p in outcome.problems))
    if case.wanted == "ask":
        got = "ask" if outcome.questions else "draft"
        return Judgement(got, got == "ask", True, "" if got == "ask" else "it did not ask")
    got = "ask" if outcome.questions else "draft"
    if case.wanted != "draft":
        return Judgement(got, False, True, f"{case.wanted} wanted, {got} came")
    reasons = [mismatch(outcome, accepted) for accepted in case.accept]
    right = None in reasons
    # With an accepted question it is a draft all the same.
    return Judgement(
        "draft" if right else got,
        right,
        True,
        "" if right else " | ".join(reason for reason in reasons if reason),
    )


def mismatch(draft: DraftProposal, accepted: Accepted) -> str | None:
    """What a draft differs in from an accepted pipeline; nothing if it is that."""
    spec = draft.spec
    names = {node["id"]: node["block"].partition("@")[0] for node in spec["nodes"]}
    wanted, there = Counter(accepted.blocks), Counter(names.values())
    missing, extra = wanted - there, there - wanted - Counter(accepted.may)
    if missing or extra:
        return f"blocks: {_listed(missing)} missing, {_listed(extra)} too many"
    if not accepted.unordered and (turned := _turned(spec, names, accepted.blocks)):
        return f"order: {turned}"
    for key, value in accepted.config.items():
        block, _, setting = key.partition(".")
        configs = [
            cast("Mapping[str, Any]", node.get("config") or {})
            for node in spec["nodes"]
            if names[node["id"]] == block
        ]
        if not any(same(setting, config.get(setting), value) for config in configs):
            return f"{key}: {[config.get(setting) for config in configs]} instead of {value!r}"
    asked = [f"{names.get(q.node or '', '')}.{q.key}" for q in draft.questions]
    if surplus := [question for question in asked if question not in accepted.open]:
        return f"questions: {', '.join(surplus)}"
    schedule = spec.get("schedule")
    cron = schedule["cron"] if schedule else None
    if (cron is not None or accepted.crons) and cron not in accepted.crons:
        return f"schedule: {cron} instead of {accepted.crons}"
    return None


def same(setting: str, value: Any, wanted: Any) -> bool:
    """Whether a value of the configuration is what was wanted."""
    if isinstance(wanted, dict):
        options = cast("dict[str, Any]", wanted)
        if set(options) == {"one_of"}:
            return any(same(setting, value, option) for option in options["one_of"])
        if setting == "aggregates" and isinstance(value, dict):
            # The names of the new columns are the planner's.
            figures = cast("dict[str, str]", value)
            return _figures(figures) == _figures(options)
    if isinstance(wanted, list):
        items = cast("list[Any]", wanted)
        if isinstance(value, str):
            return [value] == items
        return isinstance(value, list) and Counter(cast("list[Any]", value)) == Counter(items)
    if setting in ("where", "expression") and isinstance(value, str):
        return _plain(value) == _plain(str(cast("object", wanted)))
    return bool(value == wanted)


def _plain(expression: str) -> str:
    try:
        return ast.unparse(ast.parse(expression.strip(), mode="eval"))
    except SyntaxError:
        return expression


def _figures(aggregates: Mapping[str, str]) -> Counter[str]:
    return Counter(text.replace(" ", "") for text in aggregates.values())


def _turned(spec: Mapping[str, Any], names: Mapping[str, str], order: tuple[str, ...]) -> str:
    """Two blocks of which the later one runs before the earlier one; nothing if there are none."""
    before: dict[str, set[str]] = {node: set() for node in names}
    for _ in names:
        for edge in spec["edges"]:
            source, target = (edge[end].partition(".")[0] for end in ("source", "target"))
            before[target] |= {source, *before[source]}
    places = {block: order.index(block) for block in order}
    for node, earlier in before.items():
        for other in earlier:
            first, second = names[other], names[node]
            if first in places and second in places and places[first] > places[second]:
                return f"{first} before {second}"
    return ""


def _listed(blocks: Counter[str]) -> str:
    return ", ".join(sorted(blocks.elements())) or "none"
