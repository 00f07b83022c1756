"""A language model's answer becomes a proposal that turns can go on with."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from croniter import croniter

from constellation_dagster.agent.answer_schema import bare
from constellation_dagster.agent.base_steps import completed, continue_base, is_whole
from constellation_dagster.agent.checking import Mismatch
from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.planner import prepared
from constellation_dagster.agent.embedded.words import words_of
from constellation_dagster.agent.grounding import ground
from constellation_dagster.agent.shown_facts import steps_of
from constellation_dagster.agent.spoken import Spoken
from constellation_dagster.agent.turns import put_together
from constellation_dagster.domain.conversations import Question
from constellation_dagster.domain.markdown import plain_words
from constellation_dagster.domain.node_ids import node_ids
from constellation_dagster.domain.proposals import Proposal, ProposedSchedule, Step
from constellation_dagster.domain.registry import Registry

_WHAT_TO_DO = "Which file or table should be read, and what should be done with it?"
_WHICH_PIPELINE = "Which pipeline should be changed?"
# Some word of each message that asks for a time, in the languages that people write in.
_TIMES = re.compile(
    r"\d\s*(?:am|pm|uhr|h|o'?clock)\b|\d:\d\d|\bcron|\b(?:every|each|hourly|daily|nightly|weekly"
    r"|monthly|yearly|schedule\w*|night|morning|evening|noon|midnight|weekdays?|minutes?|hours?"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|jede\w*|t[aä]glich|st[uü]ndlich"
    r"|w[oö]chentlich|monatlich|alle|(?:mon|diens|donners|frei|sams|sonn)tag\w*|mittwoch\w*"
    r"|chaque|tous|toutes|quotidien\w*|heures?|jours?|cada|todos|todas|diari\w*|horas?|d[ií]as?"
    r"|ogni|tutti|dagelijks|elke|iedere|co(?:dziennie)?)\b",
    re.IGNORECASE,
)
_UNSCHEDULED = re.compile(
    r"schedul|automatic|by hand|manual|no longer|stop|not .*(?:every|daily)|zeitplan", re.IGNORECASE
)
_NAME = re.compile(r"'([^']+)'")


def settle(context: Context, answer: Proposal, registry: Registry, guess: Proposal) -> Proposal:
    """The answer, held to what was said and what there is.

    Args:
        context: What the model was asked about.
        answer: What it answered.
        registry: The blocks.
        guess: The embedded planner's proposal, which the model has seen.
    """
    if answer.action not in ("build", "edit"):
        return _in_plain_words(answer)
    if _same(answer, guess):
        # With the edges, nodes and questions that go with them.
        return guess
    read_schedule = guess.schedule
    name, base = _edited(context, answer)
    if name is None and answer.action == "edit" and not _begins(context, answer, guess):
        return _asking(_WHICH_PIPELINE, tuple(p.name for p in context.facts.pipelines)[:8])
    given = answer.steps
    before = [Step(block=s["block"], config=s["config"]) for s in steps_of(base)] if base else []
    if not given and read_schedule is not None:
        # Only when it runs is to change.
        given = tuple(before)
    if given and is_whole(before, registry) and not is_whole(given, registry):
        # Small models tell of the change only.
        if guess.action == "edit" and guess.base == name and _part(answer, guess):
            return guess
        given = completed(given, before, registry)
    if not given:
        return _asking(_WHAT_TO_DO)
    if answer.edges is None:
        given = (*given, *_left_out(given, guess, Spoken(context, base), registry))
    steps = ground(given, context, base, registry)
    if name is None and answer.edges is None:
        steps = tuple(prepared(steps, registry))
    continued = continue_base(steps, answer.edges, base, registry)
    proposal = answer.model_copy(
        update={
            "action": "build" if name is None else "edit",
            "base": name,
            "name": answer.name or (name if name is not None else _named(steps)),
            "steps": continued.steps,
            "edges": continued.edges,
            "schedule": _schedule(context.request, answer.schedule, read_schedule, base),
        }
    )
    return _with_columns_there(context, proposal, registry)


def can_be_done(guess: Proposal) -> bool:
    """Whether the embedded planner has a step for all that was said."""
    return guess.action in ("build", "edit") and not guess.questions


def mends(context: Context, name: str) -> bool:
    """Whether a name that is nowhere can be another one's mistake than the person's.

    What the person calls so and is not there, they have to be asked about.
    """
    facts = context.facts
    there = {c.name for source in (*facts.files, *facts.tables) for c in source.columns}
    said = {w for m in context.thread.messages if m.role == "user" for w in words_of(m.content)}
    return name in there or not set(words_of(name)) <= said


def name_of(problem: str) -> str | None:
    """The first name that a problem is about."""
    found = _NAME.search(problem)
    return found[1] if found is not None else None


def _in_plain_words(answer: Proposal) -> Proposal:
    """The answer without markup: a model's words are shown as a part of the reply."""
    questions = tuple(
        question.model_copy(update={"text": plain_words(question.text)})
        for question in answer.questions
    )
    return answer.model_copy(update={"text": plain_words(answer.text), "questions": questions})


def _same(answer: Proposal, guess: Proposal) -> bool:
    """Whether the model repeats the guess."""
    given, guessed = (
        (some.action, some.base, [(bare(step.block), step.config) for step in some.steps])
        for some in (answer, guess)
    )
    return (
        given == guessed
        and answer.edges in (None, guess.edges)
        and answer.schedule in (None, guess.schedule)
    )


def _begins(context: Context, answer: Proposal, guess: Proposal) -> bool:
    """Whether an edit of nothing that there is can only be a new pipeline."""
    there = {pipeline.name for pipeline in context.facts.pipelines}
    return guess.action == "build" and bool(answer.steps) and answer.base not in there


def _left_out(
    given: Sequence[Step], guess: Proposal, spoken: Spoken, registry: Registry
) -> Iterator[Step]:
    """The steps that write what the person named, where a model forgot about it."""
    urls = {str(step.config.get("url")) for step in given}
    for step in guess.steps:
        block, url = registry.find(step.block), str(step.config.get("url"))
        if block is not None and block.kind == "sink" and url not in urls and spoken.literally(url):
            yield step


def _part(answer: Proposal, guess: Proposal) -> bool:
    """Whether each step of the answer is one of the guess."""
    guessed = [(bare(step.block), step.config) for step in guess.steps]
    return all((bare(step.block), step.config) in guessed for step in answer.steps)


def _edited(context: Context, answer: Proposal) -> tuple[str | None, Mapping[str, Any]]:
    """The name and the pipeline of what is changed; none for a new one."""
    if answer.action != "edit":
        return None, {}
    last = context.thread.last_draft
    names = [pipeline.name for pipeline in context.facts.pipelines]
    pipeline = context.facts.pipeline(answer.base or "")
    if pipeline is not None and not Spoken(context, {}).picks(pipeline.name, names):
        # Which of a person's pipelines is changed is theirs to say.
        pipeline = None
    if last is not None and (pipeline is None or last.name == answer.base):
        return last.name, last.spec
    return (pipeline.name, pipeline.spec) if pipeline is not None else (None, {})


def _asking(text: str, options: tuple[str, ...] = ()) -> Proposal:
    return Proposal(action="ask", text=text, questions=(Question(text=text, options=options),))


def _named(steps: tuple[Step, ...]) -> str:
    told = [step.block for step in steps if not step.block.startswith(("read_", "write_"))]
    return (told or [step.block for step in steps])[-1]


def _schedule(
    request: str,
    given: ProposedSchedule | None,
    found: ProposedSchedule | None,
    base: Mapping[str, Any],
) -> ProposedSchedule | None:
    """When it runs: as the model says if somebody spoke of a time, else as it did."""
    if given is not None and (found is not None or _TIMES.search(request)):
        return given if croniter.is_valid(given.cron) else found
    before = cast("dict[str, str] | None", base.get("schedule"))
    if before and found is None and not _UNSCHEDULED.search(request):
        return ProposedSchedule(cron=before["cron"], timezone=before.get("timezone", "UTC"))
    return found


def _with_columns_there(context: Context, proposal: Proposal, registry: Registry) -> Proposal:
    """`price` becomes `price_mean` where that alone is left of it."""
    for _ in range(len(proposal.steps)):
        checked = put_together(context, proposal, registry)
        ids = node_ids(proposal.steps)
        for mismatch in checked.mismatches:
            changed = _meant(mismatch, proposal, ids)
            if changed is not None:
                proposal = changed
                break
        else:
            break
    return proposal


def _meant(mismatch: Mismatch, proposal: Proposal, ids: list[str]) -> Proposal | None:
    question, name = mismatch.question, name_of(mismatch.problem.message)
    if mismatch.problem.code != "unknown_column" or name is None or question.node not in ids:
        return None
    parts = set(words_of(name))
    holding = [option for option in question.options if parts <= set(words_of(option))]
    if len(holding) != 1:
        return None
    place = ids.index(question.node)
    step = proposal.steps[place]
    value = step.config.get(question.key or "")
    if value == name:
        new: Any = holding[0]
    elif isinstance(value, list) and name in value:
        new = [holding[0] if item == name else item for item in value]
    else:
        return None
    config = {**step.config, str(question.key): new}
    steps = list(proposal.steps)
    steps[place] = step.model_copy(update={"config": config})
    return proposal.model_copy(update={"steps": tuple(steps)})
