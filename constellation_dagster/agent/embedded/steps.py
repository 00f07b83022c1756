"""Clauses become steps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pydantic import JsonValue

from constellation_dagster.agent.embedded.conditions import find_condition
from constellation_dagster.agent.embedded.filling import Filler
from constellation_dagster.agent.embedded.reading import Clause, Token, extension
from constellation_dagster.agent.embedded.sourcing import SourceReader
from constellation_dagster.agent.embedded.targets import (
    FORMATS,
    INTO,
    READS,
    WRITES,
    is_written,
    table_written,
)
from constellation_dagster.agent.embedded.units import names_a_number_of
from constellation_dagster.agent.embedded.weighing import REMOVES, first_verb
from constellation_dagster.agent.embedded.words import fold, stem
from constellation_dagster.domain.config_formats import NEW_COLUMN, formats
from constellation_dagster.domain.facts import ColumnFact
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.proposals import Step

_ENOUGH = 0.42
"""The least that a block has to score to be meant."""
_SURE = 0.85
_NO_SOURCES = ("register_model", "write_table", "upsert_table", "html_report")
"""Sinks that a clause with a file may mean beside the one for the file."""


_NAMED = ("file", "table", "deployment", "package")
_JOINS = ("join", "merge", "combine", "stack", "concatenate", "compare", "match")


@dataclass
class StepMaker(SourceReader):
    """Makes steps from clauses, one after another.

    Attributes:
        unclear: What nothing was found for.
        left_out: Numbers that no setting took.
        made: Columns that a step makes, by the words that later ones name them with.
    """

    unclear: list[str] = field(default_factory=list[str], kw_only=True)
    left_out: list[str] = field(default_factory=list[str], kw_only=True)
    made: dict[str, Token] = field(default_factory=dict[str, Token], kw_only=True)

    def add(self, clause: Clause) -> None:
        """Add the steps that a clause means."""
        clause = tuple(self.made.get(t.text, t) if t.kind == "word" else t for t in clause)
        files = [t for t in clause if t.kind == "file"]
        written = [
            t for p, t in enumerate(clause) if t.kind == "file" and self.is_target(clause, p)
        ]
        for token in files:
            if token not in written:
                self.read(token)
        joins = first_verb(clause) in _JOINS
        named = (joins or not self.reads_something()) and self.sources(clause)
        before = len(self.steps)
        fmt = None if written else self.written_format(clause)
        names = self.chosen(clause, written) if fmt is None or files else []
        for name in names:
            self.step(name, clause)
        if not (names or written or fmt) and self.tell_more(clause):
            names.append("")
        for token in written:
            self.write(token, clause)
        if fmt is not None and fmt not in names:
            self.step(fmt, clause)
            names.append(fmt)
        self.note_numbers(clause, self.steps[before:])
        understood = names or files or named or all(t.kind == "mark" for t in clause)
        if not understood and not self.sources(clause) and len(clause) > 1:
            self.unclear.append(" ".join(t.said or t.text for t in clause))

    def is_target(self, clause: Clause, place: int) -> bool:
        """Whether the file at a place is written, not read."""
        is_new = self.facts.file(clause[place].text) is None
        return is_written(clause, place, is_new=is_new, reads=self.reads_something())

    def written_format(self, clause: Clause) -> str | None:
        """The sink for "… to Parquet", where no file is named."""
        for place, token in enumerate(clause[:-1]):
            rest = [t for t in clause[place + 1 :] if not t.is_any(("a", "an", "the"))][:1]
            if token.is_any(INTO) and rest and rest[0].is_any(("csv", "parquet", "json")):
                return f"write_{rest[0].text}"
            image = rest and PortType.IMAGE in self.types() and extension(f".{rest[0].text}")
            if token.is_any(INTO) and image == "image":
                return "write_image"
        return None

    def write(self, token: Token, clause: Clause) -> None:
        """Add the sink that writes a file."""
        kind = extension(token.text)
        name = {"html": "html_report"}.get(kind, f"write_{kind}")
        if self.known(name):
            self.step(name, clause, target=token.text)

    def weighed(self, clause: Clause, *, writes: bool) -> dict[str, float]:
        """How well each block fits a clause, besides reading and writing its files."""
        words = [t.text for t in self.telling(clause, writes=writes)]
        # "order by age" orders, although there is an orders.csv.
        verb = stem(first_verb(clause)) if "by" in words else ""
        names = self.names() - {verb}
        said = {word for word in words if stem(word) not in names}
        files = any(t.kind == "file" for t in clause)
        if files:
            # What stands before the file tells how, not what: the file itself gives the step.
            drop = {*READS, *(WRITES if writes else ()), *FORMATS}
            words = [word for word in words if word not in drop]
        scores = self.matcher.scores(words, names)
        self.weigh(scores, clause, said)
        target = table_written(clause)
        if target is not None:
            scores[
                "upsert_table" if said & {"upsert", "update", "key", "keys"} else "write_table"
            ] = 2
        is_io = ("source", "sink") if files else ("source",) if self.reads_something() else ()
        for name in list(scores):
            if self.registry.get(name).kind in is_io and name not in _NO_SOURCES:
                del scores[name]
        if target is None and any(t.kind == "table" for t in clause) and said & {*READS, *WRITES}:
            self.sources(clause)
            for name in ("read_table", "write_table"):
                scores.pop(name, None)
        return scores

    def telling(self, clause: Clause, *, writes: bool) -> list[Token]:
        """The words of a clause without those that only describe what is saved.

        "Save the cleaned rows" cleans nothing.
        """
        following = [*clause[1:], Token("mark", ".")]
        words = [
            token
            for token, after in zip(clause, following, strict=True)
            if token.kind == "word"
            and not (token.is_any(("named", "called")) and after.kind in _NAMED)
        ]
        if not writes and first_verb(clause) not in WRITES:
            return words
        article = [False, *(t.is_any(("the", "all", "these", "those", "its")) for t in words)]
        return [
            token
            for token, after_article in zip(words, article, strict=False)
            if not (after_article and re.search(r"(ed|en)$", token.text))
        ]

    def chosen(self, clause: Clause, written: Sequence[Token]) -> list[str]:
        """The blocks that a clause means, besides reading and writing its files."""
        scores = self.weighed(clause, writes=bool(written))
        if written and written[0].text.endswith(".html"):
            scores.pop("html_report", None)
        ranked = sorted(scores, key=lambda name: -scores[name])
        kinds = {t.kind for t in clause}
        named = bool(kinds & {"file", "table"}) or self.names_source(clause)
        verb = first_verb(clause)
        saves = (bool(written) and verb in WRITES) or (named and verb in READS)
        # "save the cleaned rows as …" tells what is saved, it is no step of its own.
        if not ranked or scores[ranked[0]] < (_SURE if saves else _ENOUGH):
            return []
        if saves and self.has_block(ranked[0]) and first_verb(clause) in WRITES:
            return []
        return self.together(ranked, scores, clause)

    def together(
        self, ranked: Sequence[str], scores: dict[str, float], clause: Clause
    ) -> list[str]:
        """The best block, with one before it where a clause means two."""
        name = ranked[0]
        if name == "filter_rows" and not {"column", "number", "quote"} & {t.kind for t in clause}:
            # "throw them out" says nothing of which.
            return [] if find_condition(clause, self.columns) is None else [name]
        if name == "split_rows":
            return self.held_out(ranked, scores, clause)
        return self.ordered(scores, clause, name) or self.drawn(scores, clause) or [name]

    def ordered(self, scores: dict[str, float], clause: Clause, name: str) -> list[str]:
        """Sorting with what is kept before or after it; none if the clause does not sort."""
        sorts = scores.get("sort_rows", 0) > _SURE
        if name in ("limit_rows", "sort_rows") and scores.get("limit_rows", 0) > _SURE:
            columns = any(t.kind == "column" for t in clause)
            by = columns and any(t.is_any(("by",)) for t in clause)
            return ["sort_rows", "limit_rows"] if sorts or by else ["limit_rows"]
        filters = sorts and scores.get("filter_rows", 0) > 0.75
        return ["filter_rows", "sort_rows"] if filters else []

    def held_out(
        self, ranked: Sequence[str], scores: dict[str, float], clause: Clause
    ) -> list[str]:
        """Rows held out, with the model that learns from the others or is tested with them."""
        learner = next((n for n in ranked if n.startswith("train_") and scores[n] > 1.1), None)
        tests = self.has_model() and any(t.is_any(("test",)) for t in clause)
        after = learner or ("evaluate_model" if tests else None)
        return ["split_rows"] if after is None else ["split_rows", after]

    def drawn(self, scores: dict[str, float], clause: Clause) -> list[str]:
        """A chart with what it shows: "the most frequent words as a chart"."""
        columns = any(t.kind == "column" for t in clause)
        if columns or scores.get("chart", 0) <= 0.6:
            return []
        made = [n for n in ("count_words", "feature_importance") if scores.get(n, 0) > 0.7]
        return [*[n for n in made if not self.has_block(n)][:1], "chart"]

    def has_model(self) -> bool:
        """Whether a model is trained."""
        return PortType.MODEL in self.types()

    def has_block(self, name: str) -> bool:
        """Whether a step uses this block."""
        return any(step.block == name for step in self.steps)

    def step(self, name: str, clause: Clause, *, target: str | None = None) -> None:
        """Add a step, its configuration filled from the clause."""
        block = self.registry.get(name)
        config = Filler(block, clause, self.columns, target=target).config()
        if name == "select_columns" and any(t.is_any(REMOVES) for t in clause):
            config["mode"] = "drop"
        if not self.goes_on(name, config, clause):
            self.steps.append(Step(block=name, config=config))
        new = [config.get("name")] if "expression" in config else []
        if formats(block).get("column") == NEW_COLUMN:
            new.append(config.get("column") or block.config_model.model_fields["column"].default)
        for key in ("aggregates", "names"):
            held = config.get(key)
            if isinstance(held, dict):
                new += list(held.values() if key == "names" else held)
        for column in new:
            if isinstance(column, str):
                fact = ColumnFact(name=column, type="number")
                self.made[fold(column)] = Token("column", column, column, column=fact)

    def goes_on(self, name: str, config: dict[str, JsonValue], clause: Clause) -> bool:
        """Take a clause as more about the last step, where it is none by itself."""
        place = self.latest()
        last = self.steps[place] if place is not None else None
        block = self.registry.find(last.block) if last is not None else None
        if place is None or last is None or block is None:
            return False
        more: dict[str, JsonValue] = {}
        if name == last.block == "sort_rows" and config.get("by") in (None, last.config.get("by")):
            self.steps[place] = last.model_copy(update={"config": {**last.config, **config}})
            return True
        if name == last.block and block.kind in ("transform", "train", "evaluate"):
            if not config and block.kind == "transform":
                # Done twice it is the same.
                return True
            more = {} if {*config} & {*last.config} else config
        elif name == "filter_rows" and not config:
            more = Filler(block, clause, self.columns).config()
        elif name == "sort_rows" and last.block == "count_words" and "by" not in config:
            # They are in this order anyway.
            return True
        elif not config or name == "limit_rows":
            more = Filler(block, clause, self.columns).config()
            if not names_a_number_of(block, clause, more):
                more = {}
        if more:
            self.steps[place] = last.model_copy(update={"config": {**more, **last.config}})
        return bool(more)

    def latest(self) -> int | None:
        """The place of the last step that is more than a source."""
        blocks = [self.registry.find(step.block) for step in self.steps]
        found = [p for p, b in enumerate(blocks) if b is not None and b.kind != "source"]
        return found[-1] if found else None

    def tell_more(self, clause: Clause) -> bool:
        """Take a clause that is no step for more about the last one; whether it is that."""
        place = self.latest()
        last = self.steps[place] if place is not None else None
        block = self.registry.find(last.block) if last is not None else None
        if place is None or last is None or block is None or block.kind == "sink":
            return False
        more = Filler(block, clause, self.columns).config()
        new = {key: value for key, value in more.items() if key not in last.config}
        if new:
            self.steps[place] = last.model_copy(update={"config": {**last.config, **new}})
        return bool(new)

    def note_numbers(self, clause: Clause, steps: Sequence[Step]) -> None:
        """Keep in mind what a learner was told and has no setting for: "500 trees"."""
        if not any(step.block.startswith("train_") for step in steps):
            return
        held = " ".join(str(step.config) for step in steps)
        for token, unit in pairwise(clause):
            taken = re.search(rf"(?<![\w.]){re.escape(token.text.rstrip('%'))}(?![\w.])", held)
            if token.kind == "number" and unit.kind == "word" and taken is None:
                self.left_out.append(f"{token.said} {unit.said}")
