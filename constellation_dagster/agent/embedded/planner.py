"""The planner: a message becomes a proposal, in well under a second and with no model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from constellation_dagster.agent.column_flow import sample_facts
from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.clauses import clauses
from constellation_dagster.agent.embedded.completing import complete, prepared
from constellation_dagster.agent.embedded.edits import edit, is_edit
from constellation_dagster.agent.embedded.expressions import is_definition
from constellation_dagster.agent.embedded.matching import Matcher
from constellation_dagster.agent.embedded.naming import read
from constellation_dagster.agent.embedded.reading import Token, extension, named_files
from constellation_dagster.agent.embedded.restating import restated
from constellation_dagster.agent.embedded.schedules import WORDS_OF_TIME, find_schedule
from constellation_dagster.agent.embedded.scope import (
    CANNOT,
    destroys,
    is_chatter,
    is_clear,
    is_outside,
    is_question,
    unreadable,
)
from constellation_dagster.agent.embedded.sourcing import sample_named
from constellation_dagster.agent.embedded.steps import StepMaker
from constellation_dagster.agent.embedded.words import (
    Spelling,
    fold,
    texts_in,
    vocabulary,
    words_of,
)
from constellation_dagster.domain.assembly import node_ids
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.conversations import Provenance, Question
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.facts import ColumnFact, Facts
from constellation_dagster.domain.node_ids import plain_name
from constellation_dagster.domain.proposals import Proposal, ProposedSchedule, Step
from constellation_dagster.domain.registry import Registry

_WHICH = "Which file or table should be read, and what should be done with it?"


class EmbeddedPlanner:
    """Looks words up in what blocks and facts are called; needs no key and no network.

    Args:
        registry: The blocks that it may use.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.matcher = Matcher(registry)
        phrases = (phrase for _, phrase in self.matcher.phrases)
        choices = (word for name in registry.names for word in _choices(registry.get(name)))
        self.spelling = Spelling((*texts_in(vocabulary()), *phrases, *choices, *WORDS_OF_TIME))

    def plan(self, context: Context) -> Proposal:
        """The proposal for what the person said last."""
        text = context.request
        made = Provenance(planner="embedded", request=text)
        columns = _columns(text, context, self.registry)
        tokens = read(text, context.facts, columns, self.spelling)
        if is_question(text, tokens):
            return Proposal(action="answer", provenance=made)
        why_not = self.refused(text, tokens)
        if why_not:
            return Proposal(action="refuse", text=why_not, provenance=made)
        schedule, rest = find_schedule(text, tokens)
        maker = StepMaker(self.registry, self.matcher, context.facts, columns)
        edits = is_edit(context, tokens)
        if not edits:
            rest = restated(rest, columns, context.facts)
        parts = [c for c in clauses(rest) if not is_outside(c) and not is_chatter(c)]
        if edits:
            return edit(context, tokens, parts, schedule, maker, made)
        for clause in sorted(parts, key=lambda part: not is_definition(part)):
            maker.add(clause)
        complete(maker, rest)
        maker.unclear += [
            " ".join(t.said or t.text for t in clause)
            for clause in clauses(rest)
            if is_outside(clause)
        ]
        return self.proposal(context, maker, schedule, made, tokens)

    def refused(self, text: str, tokens: Sequence[Token]) -> str:
        """Why nothing can be done, whatever else is said; nothing if there is no such reason."""
        kind = unreadable(text)
        if kind is not None and not named_files(text):
            return (
                f"I cannot read .{kind} files. I can read CSV, Parquet, JSON, text and image "
                "files, and tables of the database."
            )
        if destroys(tokens):
            return f"I never delete files, tables or what else is kept. {CANNOT.partition('. ')[2]}"
        return ""

    def proposal(
        self,
        context: Context,
        maker: StepMaker,
        schedule: ProposedSchedule | None,
        made: Provenance,
        tokens: Sequence[Token],
    ) -> Proposal:
        """What comes of the steps that were found."""
        said = [clause for clause in clauses(tokens) if not is_outside(clause)]
        if not said or not is_clear(
            [t for clause in said for t in clause], self.matcher, context.facts
        ):
            return Proposal(action="refuse", text=CANNOT, provenance=made)
        if not any(step.config for step in maker.steps):
            return Proposal(
                action="ask", text=_WHICH, questions=(Question(text=_WHICH),), provenance=made
            )
        if maker.left_out:
            made = made.model_copy(update={"note": _left_out(maker.left_out)})
        steps = tuple(prepared(maker.steps, self.registry))
        return Proposal(
            action="build",
            name=_name(steps),
            steps=steps,
            schedule=schedule,
            questions=tuple(_questions(steps, context.facts, maker.unclear)),
            provenance=made,
        )

    def repair(
        self,
        context: Context,
        proposal: Proposal,
        problems: Sequence[Problem],
    ) -> Proposal:
        """The same proposal: there is nothing that it would do otherwise."""
        return proposal


def _columns(text: str, context: Context, registry: Registry) -> list[ColumnFact]:
    """The columns of what is named; of all that is there, where nothing is."""
    facts = context.facts
    nodes = _nodes(text, context)
    held = [cast("dict[str, Any]", node.get("config") or {}) for node in nodes]
    urls = {str(config.get("url")) for config in held}
    words = set(words_of(text))
    names = {name.rpartition("/")[2].lower() for name in named_files(text)}
    samples = {
        str(config.get("name"))
        for node, config in zip(nodes, held, strict=True)
        if node["block"].startswith("sample_data")
    }
    if (sample := sample_named(words, registry, facts)) is not None:
        samples.add(sample)
    found = [f for f in facts.files if f.path.rpartition("/")[2].lower() in names]
    found += [f for f in facts.files if f.path in urls]
    found += [f for f in facts.files if fold(f.path.rpartition("/")[2].partition(".")[0]) in words]
    tables = [t for t in facts.tables if fold(t.name) in fold(text)]
    tables += [t for t in facts.tables if t.name in {config.get("name") for config in held}]
    sources = [*found, *tables] or ([] if names or samples else [*facts.files, *facts.tables])
    columns = [column for source in sources for column in source.columns]
    columns += [column for name in sorted(samples) for column in sample_facts(name)]
    for config in held:
        columns += [ColumnFact(name=name) for name in _made(config)]
    return list({column.name: column for column in reversed(columns)}.values())[::-1]


def _nodes(text: str, context: Context) -> list[dict[str, Any]]:
    """The steps of the pipeline that is spoken of, or of the draft."""
    said = fold(text)
    named = next((p for p in context.facts.pipelines if fold(p.name) in said), None)
    draft = context.thread.last_draft
    spec = named.spec if named is not None else draft.spec if draft is not None else {}
    return cast("list[dict[str, Any]]", spec.get("nodes", []))


def _made(config: dict[str, Any]) -> list[str]:
    aggregates = config.get("aggregates")
    return list(cast("dict[str, str]", aggregates)) if isinstance(aggregates, dict) else []


def _choices(block: AnyBlock) -> Iterator[str]:
    """What can be chosen in a block's configuration."""
    properties = cast("Mapping[str, Mapping[str, Any]]", block.config_schema.get("properties", {}))
    for key, schema in properties.items():
        yield key
        yield from (str(option) for option in schema.get("enum", ()))


def _left_out(numbers: Sequence[str]) -> str:
    return (
        f"I left out {' and '.join(repr(number) for number in numbers)}: no setting of the steps "
        "below is for it."
    )


def _questions(steps: Sequence[Step], facts: Facts, unclear: Sequence[str]) -> list[Question]:
    questions: list[Question] = []
    known = {file.path for file in facts.files}
    for step, node in zip(steps, node_ids(steps), strict=True):
        url = step.config.get("url")
        if not isinstance(url, str) or "://" in url or url in known or not known:
            continue
        if step.block.startswith("read_"):
            same = tuple(p for p in sorted(known) if extension(p) == extension(url))
            questions.append(
                Question(
                    node=node,
                    key="url",
                    text=f"There is no file {url!r}. Which file should be read?",
                    options=same[:8],
                )
            )
    questions.extend(
        Question(text=f"I do not know a step for {said!r}. What should it do?") for said in unclear
    )
    if all(s.block.startswith(("read_", "fetch_", "sample_data")) for s in steps):
        questions.append(Question(text="What should be done with what is read?"))
    return questions


def _name(steps: Sequence[Step]) -> str:
    """A name from the data and the most telling step."""
    url = next((str(s.config[k]) for s in steps for k in ("url", "name") if k in s.config), "")
    stem = url.rpartition("/")[2].partition(".")[0]
    inner = [s.block for s in steps if not s.block.startswith(("read_", "write_", "split_"))]
    telling = [b for b in inner if b.startswith("train_")] or inner[-1:]
    parts = [stem, *(telling[:1] or [s.block for s in steps[-1:]])]
    return plain_name("_".join(part for part in parts if part), otherwise="pipeline")
