"""Which blocks the shape of a clause speaks for: its verb, its columns, what is there to use."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from constellation_dagster.agent.embedded.conditions import find_condition
from constellation_dagster.agent.embedded.expressions import find_expression, is_definition
from constellation_dagster.agent.embedded.matching import Matcher, meaning, name_stems
from constellation_dagster.agent.embedded.reading import Clause, Token
from constellation_dagster.agent.embedded.superlatives import superlative
from constellation_dagster.agent.embedded.words import stem, vocabulary
from constellation_dagster.domain.facts import ColumnFact, Facts
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.proposals import Step
from constellation_dagster.domain.registry import Registry

_COMMON = ("count", "read", "write", "sample", "drop", "train", "predict", "fetch", "text",
           "image", "tile")  # fmt: skip
"""First words of names that say too little."""
_CHARTS = {"chart", "plot", "histogram", "scatter", "draw", "graph", "boxplot", "bar", "bars"}
_SORTS = {"sort", "order", "rank", "ordered", "sorting", "ordering"}
_MODELS = {"classifier", "regressor", "regression", "forest"}
_NO_MODELS = {"evaluate", "importance", "matter", "remove", "cross", "fold", "folds",
              "cross-validation", "cross-validate", "crossvalidation"}  # fmt: skip
"""With these a model is spoken of that is not to be trained by itself."""
_GROUPS = {"by", "per", "each", "group", "grouped", "every"}
REMOVES = ("remove", "drop", "delete", "discard", "exclude", "omit", "throw", "without")
"""Verbs for what is to go."""
_FILLERS = ("also", "and", "please", "finally", "afterwards", "the", "a", "to", "i", "want",
            "would", "like", "you", "can", "could", "now", "next", "after", "that",
            "only", "it", "be", "should", "then", "kindly", "just", "me", "my", "let",
            "need")  # fmt: skip


@dataclass
class Weigher:
    """Weighs blocks for a clause, given the steps so far.

    Attributes:
        registry: The blocks.
        matcher: Scores them.
        facts: What is there.
        columns: The columns that may be meant.
        steps: The steps so far.
    """

    registry: Registry
    matcher: Matcher
    facts: Facts
    columns: Sequence[ColumnFact]
    steps: list[Step] = field(default_factory=list[Step], kw_only=True)

    def types(self) -> set[PortType]:
        """What the steps so far give."""
        blocks = (self.registry.find(step.block) for step in self.steps)
        return {port.type for block in blocks if block is not None for port in block.outputs}

    def reads_something(self) -> bool:
        """Whether there is a source already."""
        blocks = (self.registry.find(step.block) for step in self.steps)
        return any(block is not None and block.kind == "source" for block in blocks)

    def known(self, name: str) -> bool:
        """Whether there is such a block."""
        return self.registry.find(name) is not None

    def names(self) -> frozenset[str]:
        """Stems of what files are called."""
        return name_stems(tuple(file.path for file in self.facts.files))

    def weigh(self, scores: dict[str, float], clause: Clause, said: set[str]) -> None:
        """Raise what the shape of a clause speaks for, whatever its words are."""
        self.weigh_verb(scores, clause)
        if not self.weigh_models_in_use(scores, clause, said):
            self.weigh_shape(scores, clause, said)
        self.weigh_rows(scores, clause, said)
        self.weigh_other_data(scores, clause, said)
        there = self.types()
        for name in list(scores):
            block = self.registry.find(name)
            if block is None:
                del scores[name]
            elif there and any(p.required and p.type not in there for p in block.inputs):
                # What could not be fed with what there is, is hardly meant.
                scores[name] -= 0.6

    def weigh_verb(self, scores: dict[str, float], clause: Clause) -> None:
        """Raise the blocks whose own name is the verb: "pivot", "join", "rename"."""
        verb = first_verb(clause)
        own, dull = meaning([verb]), meaning(_COMMON)
        if not own or own[0] in dull or stem(verb) in self.names():
            return
        for name in self.registry.names:
            if own == meaning([name.partition("_")[0]]):
                raised(scores, name, 0.8)

    def weigh_models_in_use(self, scores: dict[str, float], clause: Clause, said: set[str]) -> bool:
        """Take a model that is named for one that is asked; whether there is one."""
        kinds = {t.kind for t in clause}
        registers = said & {"register", "publish"}
        if "deployment" in kinds and not registers:
            scores["infer"] = 1.4
        elif "package" in kinds and not registers and not said & {"deploy", "serve"}:
            scores["ephemeral_infer"] = 1.4
        else:
            return False
        return True

    def weigh_shape(self, scores: dict[str, float], clause: Clause, said: set[str]) -> None:
        """Raise the kind of step that a clause has the shape of."""
        columns = [t for t in clause if t.kind == "column"]
        first = first_verb(clause)
        numbers = any(t.kind == "number" for t in clause)
        if "random" in said and (numbers or "sample" in said) and not said & {*_MODELS, "train"}:
            scores.pop("chart", None)
            raised(scores, "sample_rows", 0.6)
        elif said & {"sample", "example"} and any(s.block == "sample_data" for s in self.steps):
            # Its name is no way to take rows.
            scores.pop("sample_rows", None)
            self.weigh_shape(scores, clause, said - {"sample", "example"})
        elif is_definition(clause) or (said & {"column", "new"} and find_expression(clause)):
            scores["derive_column"] = 1.4
        elif said & _CHARTS:
            scores["chart"] = 1.3
        elif first in ("predict", "classify", "forecast", "estimate", "train", "fit", "learn") or (
            said & _MODELS and not said & _NO_MODELS
        ):
            self.weigh_models(scores, columns, said)
        elif find_condition(clause, self.columns) is not None:
            raised(scores, "filter_rows", 0.8)
        elif columns and said & _sums() and said & _GROUPS:
            if not said & _SORTS:
                raised(scores, "aggregate", 0.7)
        elif columns and (first in REMOVES or first in ("keep", "select", "only")):
            dull = said & {"missing", "empty", "incomplete", "null", "nulls", "duplicate",
                           "duplicates", "na", "nan", "where", "unique", "row",
                           "rows"}  # fmt: skip
            if not dull:
                raised(scores, "select_columns", 0.8)

    def weigh_rows(self, scores: dict[str, float], clause: Clause, said: set[str]) -> None:
        """Raise what single words speak for beside the others."""
        columns = [t for t in clause if t.kind == "column"]
        numbers = any(t.kind == "number" for t in clause)
        if said & _SORTS and "importance" not in said:
            raised(scores, "sort_rows", 0.8)
        best = superlative(clause, self.columns)
        if best is not None and (best.first or best.column) and not said & {"common", "frequent"}:
            raised(scores, "sort_rows", 0.9)
            if numbers and find_condition(clause, self.columns) is None:
                raised(scores, "limit_rows", 0.9)
        most = _counted_first(clause) or (first_verb(clause) == "keep" and "most" in said)
        if numbers and most and not said & {"words", "percent", "frequent", "common"}:
            raised(scores, "limit_rows", 0.9)
        parts = "percent" in said or any(
            t.kind == "number" and ("%" in t.text or "." in t.text) for t in clause
        )
        if parts and said & {"test", "hold", "testing"}:
            raised(scores, "split_rows", 1.4)
        if said & {"often", "frequency"} and "words" not in said:
            raised(scores, "count_values", 0.6)
        if "table" in said and said & {"replace", "append", "overwrite"} and not columns:
            raised(scores, "write_table", 2)
        if columns and "without" in said and said & {"row", "rows"}:
            raised(scores, "drop_missing", 1)

    def weigh_other_data(self, scores: dict[str, float], clause: Clause, said: set[str]) -> None:
        """Raise what is done with the image or the text that there is."""
        there = self.types()
        if PortType.IMAGE in there:
            if said & {"tile", "tiles"}:
                raised(scores, "tile_image", 1)
            if said & {"statistics", "bands", "band"}:
                raised(scores, "image_statistics", 0.6)
            if said & {"grayscale", "gray", "grey", "monochrome"} or {"black", "white"} <= said:
                raised(scores, "to_grayscale", 0.8)
            if said & {"width", "wide", "pixels", "px", "x", "thumbnail", "size"}:
                numbers = any(t.kind == "number" for t in clause)
                raised(scores, "resize_image", 0.9 if numbers and "tiles" not in said else 0.3)
        if PortType.TEXT in there:
            if "words" in said and said & {"count", "frequent", "common", "often", "occur"}:
                raised(scores, "count_words", 0.8)
            elif said & {"long", "length", "lines", "characters"}:
                raised(scores, "text_statistics", 0.8)

    def weigh_models(
        self, scores: dict[str, float], columns: Sequence[Token], said: set[str]
    ) -> None:
        """Which model is meant: a number is regressed, all else is classified."""
        trained = any(step.block.startswith("train_") for step in self.steps)
        asked = any(step.block in ("infer", "ephemeral_infer") for step in self.steps)
        if asked and "predict" in said:
            # It is what the model that was named does.
            scores.clear()
            return
        if trained and said & {"predict", "predictions"} and not said & {"train", "fit", *_MODELS}:
            scores["predict"] = 1.2
        elif said & {"deployment", "deployed", "endpoint"}:
            scores["infer"] = 1.2
        elif said & {"cluster", "clusters", "kmeans"}:
            scores["train_clusterer"] = 1.2
        elif not {"cross_validate"} & {n for n, s in scores.items() if s > 0.8}:
            learner = self.learner(columns, said)
            # The other one's words say no more than that something is learnt.
            likeness = [scores.pop(name, 0) for name in ("train_classifier", "train_regressor")]
            scores[learner] = max(1.2, *likeness)

    def learner(self, columns: Sequence[Token], said: Collection[str]) -> str:
        """The block that learns to predict the first of these columns."""
        words = set(said)
        numeric = any(
            t.column is not None
            and t.column.type == "number"
            # Zeros and ones are classes.
            and not (t.column.samples and {*t.column.samples} <= {"0", "1"})
            for t in columns[:1]
        )
        asks = words & {"regressor", "regression", "forecast", "estimate", "linear"}
        if words & {"classifier", "classify", "classification", "logistic"}:
            return "train_classifier"
        return "train_regressor" if asks or numeric else "train_classifier"


def _counted_first(clause: Clause) -> bool:
    """Whether it says how many of the first rows: "the first 10", "top 5"."""
    return any(
        token.is_any(("first", "top", "limit"))
        and any(t.kind == "number" for t in clause[max(0, place - 1) : place + 3])
        for place, token in enumerate(clause)
    )


def raised(scores: dict[str, float], name: str, by: float) -> None:
    """Raise one block's score."""
    scores[name] = scores.get(name, 0) + by


def _sums() -> set[str]:
    aggregates = cast("dict[str, list[str]]", vocabulary()["aggregates"])
    return {phrase.split()[0] for phrases in aggregates.values() for phrase in phrases}


def first_verb(clause: Clause) -> str:
    """The verb of a clause: its first word, or the one after "should be" or "is"."""
    words = [t for t in clause if t.kind == "word"]
    verbs = set(cast("list[str]", vocabulary()["verbs"]))
    first = next((t.text for t in words if t.text not in _FILLERS), "")
    if first in verbs:
        return first
    for before, token in pairwise(words):
        if before.is_any(("be", "is", "are", "must", "gets")) and token.text in verbs:
            return token.text
    return first
