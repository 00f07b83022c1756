"""A pipeline while it is changed: steps are added, taken out, or do something else."""

import re
from collections.abc import Sequence
from typing import Any, cast

from pydantic import JsonValue

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.filling import Filler
from constellation_dagster.agent.embedded.reading import Clause, extension
from constellation_dagster.agent.embedded.scope import says_one
from constellation_dagster.agent.embedded.steps import StepMaker
from constellation_dagster.agent.embedded.units import names_a_number_of
from constellation_dagster.agent.embedded.words import vocabulary
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.proposals import Edge, Step

_REMOVES = ("remove", "drop", "take", "out", "delete", "rid", "skip", "leave")
_CHANGES = {"instead", "change", "replace", "switch", "set", "rather", "make"}


class PipelineEdit:
    """The steps and edges of a pipeline, as the message changes them.

    Args:
        spec: The pipeline as it is.
        maker: Makes the steps that are added.
    """

    def __init__(self, spec: dict[str, Any], maker: StepMaker) -> None:
        nodes = cast("list[dict[str, Any]]", spec.get("nodes", []))
        self.steps = [
            Step(block=n["block"], config=n.get("config") or {}, id=n["id"]) for n in nodes
        ]
        edges = cast("list[dict[str, str]]", spec.get("edges", []))
        self.edges = [Edge(source=e["source"], target=e["target"]) for e in edges]
        self.maker = maker
        self.unscheduled = False

    def block(self, step: Step) -> AnyBlock | None:
        """The block of a step."""
        return self.maker.registry.find(step.block)

    def answer(self, context: Context, clauses: Sequence[Clause]) -> bool:
        """Take a short message as the answer to what the draft asks; whether it is one."""
        draft = context.thread.last_draft
        tokens = [token for clause in clauses for token in clause]
        verbs = set(cast("list[str]", vocabulary()["verbs"])) - {"use", "take"}
        if draft is None or len(tokens) > 12 or any(t.is_any(verbs) for t in tokens):
            return False
        answered = False
        fillers: dict[str, Filler] = {}
        for question in draft.questions:
            place = next((p for p, s in enumerate(self.steps) if s.id == question.node), None)
            block = self.block(self.steps[place]) if place is not None else None
            if place is None or block is None or question.key is None:
                continue
            file = next((t.text for t in tokens if t.kind == "file"), None)
            filler = Filler(block, tokens, self.maker.columns, file, file)
            filler = fillers.setdefault(str(question.node), filler)
            value = filler.answer(question.key)
            if value is not None:
                self.configure(place, {question.key: value})
                answered = True
        return answered

    def apply(self, clause: Clause) -> bool:
        """Do what a clause says; whether it said anything."""
        clause, instead_of = _parted(clause)
        words = {t.text for t in clause if t.kind == "word"}
        edits = cast("dict[str, list[str]]", vocabulary()["edits"])
        gone = [tuple(phrase.split()) for phrase in edits["remove"]]
        removes = says_one(clause, gone) or {"no", "more"} <= words
        if removes and "schedule" in words:
            self.unscheduled = True
            return True
        if removes:
            place = self.meant(clause)
            if place is not None:
                self.remove(place)
                return True
        again = (bool(words & _CHANGES) and "also" not in words) or instead_of is not None
        if again and self.write_elsewhere(clause):
            return True
        clause, before, after = _placed(clause)
        is_new = words & {"also", "add"} or before or after
        if (again or not is_new) and self.reconfigure(clause, again=again):
            return True
        return self.add(clause, before, after)

    def add(self, clause: Clause, before: Clause, after: Clause) -> bool:
        """Add the steps that a clause means; whether there are any.

        Args:
            clause: What is to be done.
            before: Before what, if that is said.
            after: After what, if that is said.
        """
        at = self.meant(before, at_least=0.2) if before else None
        if at is None and after:
            at = self.meant(after, at_least=0.2)
            at = None if at is None else at + 1
        known = len(self.maker.steps)
        self.maker.add(clause)
        added = self.maker.steps[known:]
        for step in added:
            self.insert(step, at)
            at = None if at is None else at + 1
        return bool(added)

    def configure(self, place: int, new: dict[str, JsonValue]) -> None:
        """Change the configuration of a step."""
        step = self.steps[place]
        self.steps[place] = step.model_copy(update={"config": {**step.config, **new}})

    def meant(self, clause: Clause, at_least: float = 0.3) -> int | None:
        """The place of the step that a clause speaks of."""
        words = [t.text for t in clause if t.kind == "word" and t.text not in _REMOVES]
        scores = self.maker.matcher.scores(words)
        files = {t.text for t in clause if t.kind == "file"}
        ranked = [
            (scores.get(step.block.partition("@")[0], 0.0) + (step.config.get("url") in files), -p)
            for p, step in enumerate(self.steps)
        ]
        best = max(ranked, default=(0.0, 0))
        top = max(scores.values(), default=0.0)
        # What fits another block better is not a step to remove but one to add.
        if best[0] < at_least or best[0] < top * 0.6:
            return None
        if any(t.kind == "column" for t in clause) or {"rows", "row", "missing"} & set(words):
            return None
        return -best[1]

    def remove(self, place: int) -> None:
        """Take a step out; what it gave comes from what it took."""
        step = self.steps.pop(place)
        mine = f"{step.id}."
        source = next((e.source for e in self.edges if e.target.startswith(mine)), None)
        kept: list[Edge] = []
        for edge in self.edges:
            if edge.target.startswith(mine):
                continue
            if edge.source.startswith(mine):
                block = self.block(step)
                if source is not None and block is not None and block.kind == "transform":
                    kept.append(Edge(source=source, target=edge.target))
                continue
            kept.append(edge)
        self.edges = kept

    def write_elsewhere(self, clause: Clause) -> bool:
        """Let the one sink write a file of another kind; whether that is what is said."""
        written = next((t.text for t in clause if t.kind == "file"), None)
        sinks = [
            place
            for place, step in enumerate(self.steps)
            if step.block.startswith("write_") and "url" in step.config
        ]
        name = f"write_{extension(written)}" if written is not None else ""
        if len(sinks) != 1 or not self.maker.known(name):
            return False
        step = self.steps[sinks[0]]
        new = self.maker.registry.get(name)
        old = self.block(step)
        if old is None or old.inputs[0].type is not new.inputs[0].type:
            return False
        config = {k: v for k, v in step.config.items() if k in new.config_model.model_fields}
        config = {**config, "url": written}
        port = new.inputs[0].name
        self.steps[sinks[0]] = step.model_copy(update={"block": name, "config": config})
        self.edges = [
            Edge(source=e.source, target=f"{step.id}.{port}")
            if e.target.startswith(f"{step.id}.")
            else e
            for e in self.edges
        ]
        return True

    def reconfigure(self, clause: Clause, *, again: bool) -> bool:
        """Change what a step does, where the clause gives values for keys that it has."""
        words = [t.text for t in clause if t.kind == "word"]
        scores = self.maker.weighed(clause, writes=False)
        plain = self.maker.matcher.scores(words)
        written = next((t.text for t in clause if t.kind == "file"), None)
        top = max(plain.values(), default=0.0)
        best: tuple[float, int, dict[str, JsonValue]] | None = None
        for place, step in enumerate(self.steps):
            block = self.block(step)
            if block is None:
                continue
            target = written if block.kind == "sink" else None
            source = written if block.kind == "source" else None
            found = Filler(block, clause, self.maker.columns, source, target).config()
            if "aggregates" in step.config and "aggregates" not in found:
                found |= _other_figures(step, clause)
            new = {k: v for k, v in found.items() if step.config.get(k) != v}
            score = plain.get(block.name, 0.0)
            sure = score >= 0.5 and score >= top * 0.99
            numbers = names_a_number_of(block, clause, new)
            if not new or not (again or sure or numbers):
                continue
            likely = score + scores.get(block.name, 0.0) + 0.2 * len(new) + numbers
            if best is None or likely > best[0]:
                best = (likely, place, new)
        if best is None:
            return False
        self.configure(best[1], best[2])
        return True

    def insert(self, step: Step, at: int | None) -> None:
        """Add a step: where it is said, or before the first that uses what it changes."""
        block = self.block(step)
        kinds = [b.kind if b is not None else "transform" for b in map(self.block, self.steps)]
        ends = [p for p, kind in enumerate(kinds) if kind in ("train", "evaluate", "sink")]
        names = [s.block.partition("@")[0] for s in self.steps]
        if at is not None:
            self.steps.insert(at, step)
            self.edges = []
        elif block is not None and block.kind == "transform" and ends:
            splits = [p for p, name in enumerate(names) if name == "split_rows"]
            self.steps.insert(min([*ends, *splits]), step)
            self.edges = []
        elif block is not None and block.kind == "source":
            self.steps.insert(0, step)
        else:
            self.steps.append(step.model_copy(update={"after": self.last(block)}))

    def last(self, block: AnyBlock | None) -> tuple[str, ...]:
        """The step whose result is what `it` means, as far as the block can take it."""
        types = {port.type for port in block.inputs} if block is not None else {PortType.TABLE}
        for step in reversed(self.steps):
            made = self.block(step)
            if made is None or not made.outputs or step.block.startswith("split_rows"):
                continue
            if made.kind == "sink" or made.outputs[0].type not in types:
                continue
            if step.id:
                return (step.id,)
        return ()


def _other_figures(step: Step, clause: Clause) -> dict[str, JsonValue]:
    """The figures of a grouping with another way to compute them: "the median instead"."""
    known = cast("dict[str, list[str]]", vocabulary()["aggregates"])
    said = [name for name, words in known.items() if any(t.is_any(words) for t in clause)]
    held = step.config.get("aggregates")
    if len(said) != 1 or not isinstance(held, dict) or said == ["count"]:
        return {}
    columns = [match[1] for v in held.values() if (match := re.fullmatch(r"\w+\((.+)\)", str(v)))]
    figures = {f"{said[0]}_{column}": f"{said[0]}({column})" for column in columns}
    return {"aggregates": cast("JsonValue", figures)} if figures else {}


def _parted(clause: Clause) -> tuple[Clause, Clause | None]:
    """What a clause wants, and what that is to stand instead of."""
    for place, token in enumerate(clause):
        following = clause[place + 1] if place + 1 < len(clause) else None
        cut = following is not None and (
            (token.is_any(("instead",)) and following.is_any(("of",)))
            or (token.is_any(("rather",)) and following.is_any(("than",)))
        )
        if not cut:
            continue
        if place:
            rest = clause[place + 2 :]
            end = next((p for p, t in enumerate(rest) if t.text == ","), len(rest))
            return (*clause[:place], *rest[end + 1 :]), rest[:end]
        # "instead of the forest, use boosting"
        wants = (",", "use", "take", "do", "make", "show", "compute")
        comma = next((p for p, t in enumerate(clause) if t.text in wants), None)
        if comma is not None:
            return clause[comma + 1 :], clause[2:comma]
    return clause, None


def _placed(clause: Clause) -> tuple[Clause, Clause, Clause]:
    """What a clause wants, before what and after what."""
    for place, token in enumerate(clause):
        rest = clause[place + 1 :]
        if not token.is_any(("before", "after")) or not rest or not place:
            continue
        # "order_date after 2026-01-01" compares.
        if any(t.kind in ("number", "quote", "column") for t in rest[:2]):
            continue
        if clause[place - 1].kind == "column":
            continue
        return (clause[:place], rest, ()) if token.text == "before" else (clause[:place], (), rest)
    return clause, (), ()
