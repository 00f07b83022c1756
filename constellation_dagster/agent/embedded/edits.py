"""Messages that change a pipeline or a draft that there is."""

from collections.abc import Sequence
from typing import Any, cast

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.editing import PipelineEdit
from constellation_dagster.agent.embedded.reading import Clause, Token
from constellation_dagster.agent.embedded.steps import StepMaker
from constellation_dagster.domain.conversations import Provenance
from constellation_dagster.domain.proposals import Proposal, ProposedSchedule

_ADDS = ("also", "additionally", "too", "add", "now", "before", "after")
_AGAIN = ("instead", "change", "replace", "switch", "it", "that", "them", "rather", "remove",
          "without")  # fmt: skip
_READS = ("read", "load", "take", "open", "import", "from")
_FRESH = ("new", "another", "different", "like", "same", "similar")


def is_edit(context: Context, tokens: Sequence[Token]) -> bool:
    """Whether a message changes a pipeline that there is, instead of asking for a new one."""
    if any(t.is_any(_FRESH) for t in tokens) and any(
        t.is_any(("pipeline",)) or t.kind == "pipeline" for t in tokens
    ):
        return False
    if _pipeline(context, tokens) is not None:
        return True
    draft = context.thread.last_draft
    if draft is None:
        return False
    named = any(t.kind == "file" for t in tokens)
    if _reads_first(tokens) and named:
        return any(t.is_any(("also", "too", "additionally")) for t in tokens)
    says = any(t.is_any((*_ADDS, *_AGAIN)) for t in tokens)
    return says or not named or bool(draft.questions)


def _reads_first(tokens: Sequence[Token]) -> bool:
    first = next((t for t in tokens if t.kind == "word"), None)
    return first is not None and first.is_any(_READS)


def _pipeline(context: Context, tokens: Sequence[Token]) -> tuple[str, dict[str, Any]] | None:
    """The pipeline that is to be changed, if one is named and nothing else is read first."""
    named = next((t.text for t in tokens if t.kind == "pipeline"), None)
    if named is None and not any(t.kind in ("file", "table") for t in tokens):
        # One that is called like a plain word, where nothing else is named.
        words = {t.text for t in tokens if t.kind == "word"} if _changes(tokens) else set[str]()
        named = next((p.name for p in context.facts.pipelines if p.name.lower() in words), None)
    found = context.facts.pipeline(named) if named is not None else None
    reads = next((t for t in tokens if t.kind == "file"), None)
    fresh = (
        reads is not None and _reads_first(tokens) and context.facts.file(reads.text) is not None
    )
    return None if found is None or fresh else (found.name, found.spec)


def _changes(tokens: Sequence[Token]) -> bool:
    return any(t.is_any((*_ADDS, *_AGAIN, "make", "let", "run", "set")) for t in tokens)


def edit(
    context: Context,
    tokens: Sequence[Token],
    clauses: Sequence[Clause],
    schedule: ProposedSchedule | None,
    maker: StepMaker,
    made: Provenance,
) -> Proposal:
    """The proposal for a change.

    Args:
        context: The conversation.
        tokens: All of the message.
        clauses: Its clauses, without when to run.
        schedule: When to run, if that was said.
        maker: Makes the steps that are added.
        made: How the proposal came to be.
    """
    named = _pipeline(context, tokens)
    draft = context.thread.last_draft
    if named is not None:
        base, spec = named
    elif draft is not None:
        base, spec = draft.name, draft.spec
    else:
        raise AssertionError("nothing to edit")
    work = PipelineEdit(spec, maker)
    changed = schedule is not None
    changed = (named is None and work.answer(context, clauses)) or changed
    if not changed:
        for clause in clauses:
            changed = work.apply(clause) or changed
    if not changed:
        text = (
            "I did not understand what to change. Say which step to add, remove or change, such "
            "as “also write it to result.parquet” or “remove the chart”."
        )
        return Proposal(action="ask", base=base, text=text, provenance=made)
    kept = cast("dict[str, str] | None", spec.get("schedule"))
    if schedule is None and kept and not work.unscheduled:
        schedule = ProposedSchedule(cron=kept["cron"], timezone=kept.get("timezone", "UTC"))
    return Proposal(
        action="edit",
        name=str(spec.get("name") or base),
        base=base,
        steps=tuple(work.steps),
        edges=tuple(work.edges) if work.edges else None,
        schedule=schedule,
        provenance=made,
    )
