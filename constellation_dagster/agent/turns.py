"""A turn of the agent: from a message to a draft, or to an answer in words.

The job `agent_turn` calls these one after another; what passes between them is plain data.
"""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from constellation_dagster.agent.answering import answer
from constellation_dagster.agent.checking import Checked, check
from constellation_dagster.agent.context import Context
from constellation_dagster.agent.gathering import gather_facts, likely_blocks
from constellation_dagster.agent.planning import Planner
from constellation_dagster.domain.assembly import assemble
from constellation_dagster.domain.completeness import distinct
from constellation_dagster.domain.conversations import (
    DraftProposal,
    Provenance,
    Question,
    Thread,
)
from constellation_dagster.domain.diagram import mermaid
from constellation_dagster.domain.explanation import explain_pipeline
from constellation_dagster.domain.markdown import plain_words
from constellation_dagster.domain.node_ids import unique_name
from constellation_dagster.domain.proposals import Action, Proposal
from constellation_dagster.domain.registry import Registry, load_registry
from constellation_dagster.domain.samples import SampleResult
from constellation_dagster.resources.person_sql import as_person
from constellation_dagster.settings import get_settings

MOST_ROUNDS = 3
_COLUMNS_NAMED = 8


class Answer(BaseModel):
    """What a turn comes to when no pipeline comes of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Action
    text: str
    questions: tuple[Question, ...] = ()
    provenance: Provenance


def gather(thread: Thread, person: UUID) -> Context:
    """What there is to plan with: what the person has, and the blocks that may be meant.

    Args:
        thread: The conversation.
        person: Whose files, tables and rows count.
    """
    facts = gather_facts(person)
    return Context(thread=thread, facts=facts, candidates=likely_blocks(thread.request))


def plan(context: Context, planner: Planner) -> Proposal:
    """The planner's first proposal."""
    return planner.plan(context)


def check_and_repair(
    context: Context, proposal: Proposal, planner: Planner, registry: Registry | None = None
) -> DraftProposal | Answer:
    """A draft of the proposal, repaired by the planner where something is wrong with it.

    What is wrong to the end stays with the draft, as questions where a person can answer them.

    Args:
        context: What the proposal was made from.
        proposal: The first proposal.
        planner: Who made it.
        registry: The blocks, if not those that are installed.
    """
    blocks = registry or load_registry()
    rounds = proposal.provenance.rounds if proposal.provenance is not None else 1
    while True:
        if proposal.action not in ("build", "edit") or not proposal.steps:
            return _in_words(context, proposal, rounds)
        checked = put_together(context, proposal, blocks)
        wrong = checked.all_problems
        if not wrong or rounds >= MOST_ROUNDS:
            return _draft(context, proposal, checked, blocks, rounds)
        repaired = planner.repair(context, proposal, wrong)
        if repaired == proposal:
            return _draft(context, proposal, checked, blocks, rounds)
        proposal, rounds = repaired, rounds + 1


def put_together(context: Context, proposal: Proposal, registry: Registry) -> Checked:
    """The proposal's pipeline, and all that is wrong with it or open."""
    base = _edited(context, proposal)
    made = assemble(
        _name(context, proposal),
        proposal.steps,
        registry,
        edges=proposal.edges,
        schedule=proposal.schedule,
        description=str(base.get("description", "")),
    )
    retries = {node["id"]: node.get("retries", 0) for node in base.get("nodes", ())}
    nodes = [
        {**node, "retries": retries[node["id"]]} if retries.get(node["id"]) else node
        for node in made.spec["nodes"]
    ]
    tags = {"tags": base["tags"]} if base.get("tags") else {}
    spec = {**made.spec, "nodes": nodes, **tags}
    # A planner words its questions for this conversation.
    asked = (*proposal.questions, *made.questions)
    said = "\n".join(m.content for m in context.thread.messages if m.role == "user")
    return check(spec, registry, context.facts, asked, said=said)


def word_reply(context: Context, outcome: DraftProposal | Answer) -> str:
    """The reply to the person, as Markdown.

    Args:
        context: What the turn began with.
        outcome: What it came to.
    """
    note = f"{outcome.provenance.note}\n\n" if outcome.provenance.note else ""
    if isinstance(outcome, Answer):
        text = outcome.text or "I cannot help with that: I build and explain pipelines."
        return note + text + _listed(q.text for q in outcome.questions if q.text not in text)
    name, last = outcome.spec["name"], context.thread.last_draft
    if outcome.pipeline_id is not None:
        what = "a change of the pipeline"
    else:
        what = "the changed draft" if last is not None and last.name == name else "the pipeline"
    parts = [f"{note}I propose {what} `{name}`:", outcome.explanation]
    if outcome.questions:
        many = "these questions are" if len(outcome.questions) > 1 else "this question is"
        parts.append(f"Before it can run, {many} open:{_listed(map(_asked, outcome.questions))}")
    if outcome.problems:
        wrong = (plain_words(str(problem)) for problem in outcome.problems)
        parts.append(f"This is wrong with it still:{_listed(wrong)}")
    if outcome.sample is not None:
        parts.append(_on_a_sample(SampleResult.model_validate(outcome.sample)))
    if outcome.ready:
        parts.append("Approve the draft to have it published, or say what should be different.")
    return "\n\n".join(parts)


def _on_a_sample(sample: SampleResult) -> str:
    """What the run on a sample gave in the end, or what failed."""
    if not sample.ok:
        failed = " ".join(map(str, sample.problems))
        return f"I ran it on the first rows of its data, and it failed: {failed}"
    tables = [(name, output) for name, output in sample.outputs.items() if output.columns]
    if not tables:
        others = ", ".join(f"`{name}`" for name in sample.outputs)
        return f"I ran it on the first rows of its data; it gave {others or 'nothing to look at'}."
    name, table = tables[-1]
    shown = [f"`{column.name}`" for column in table.columns[:_COLUMNS_NAMED]]
    more = len(table.columns) + table.more_columns - len(shown)
    columns = ", ".join([*shown, f"{more} more"] if more else shown)
    rows = f"{table.rows} row{'' if table.rows == 1 else 's'}"
    return f"I ran it on the first rows of its data; `{name}` has {rows} of {columns}."


def _asked(question: Question) -> str:
    # Names in it are those of files and columns, or whatever a model made up.
    text = plain_words(question.text)
    names = (option.replace("`", "'") for option in question.options)
    options = ", ".join(f"`{name}`" for name in names)
    return f"{text} ({options})" if options else text


def _listed(texts: Any) -> str:
    return "".join(f"\n- {text}" for text in texts)


def _in_words(context: Context, proposal: Proposal, rounds: int) -> Answer:
    text = proposal.text
    if proposal.action == "answer" and not text:
        # What is true now is looked up in rows, whoever plans.
        with as_person(get_settings().require_database(), context.thread.owner) as person:
            text = answer(context, person)
    return Answer(
        action=proposal.action,
        text=text,
        questions=proposal.questions,
        provenance=_provenance(context, proposal, rounds),
    )


def _draft(
    context: Context, proposal: Proposal, checked: Checked, registry: Registry, rounds: int
) -> DraftProposal:
    pipeline = context.facts.pipeline(proposal.base) if proposal.base else None
    last = context.thread.last_draft
    pipeline_id = UUID(pipeline.id) if pipeline is not None else None
    if pipeline_id is None and last is not None and last.name == proposal.base:
        pipeline_id = last.pipeline_id
    return DraftProposal(
        spec=checked.spec,
        pipeline_id=pipeline_id,
        diagram=mermaid(checked.spec, registry),
        explanation=explain_pipeline(checked.spec, registry),
        questions=distinct((*checked.questions, *(m.question for m in checked.mismatches))),
        problems=checked.problems,
        provenance=_provenance(context, proposal, rounds),
    )


def _provenance(context: Context, proposal: Proposal, rounds: int) -> Provenance:
    made = proposal.provenance or Provenance(planner="unknown")
    return made.model_copy(update={"rounds": rounds, "request": context.request})


def _edited(context: Context, proposal: Proposal) -> dict[str, Any]:
    """What the pipeline or draft is like that the proposal edits; nothing for a new one."""
    if proposal.base is None:
        return {}
    last = context.thread.last_draft
    if last is not None and last.name == proposal.base:
        return last.spec
    pipeline = context.facts.pipeline(proposal.base)
    return pipeline.spec if pipeline is not None else {}


def _name(context: Context, proposal: Proposal) -> str:
    if proposal.base is not None:
        return proposal.base
    # A new pipeline never replaces one that is there.
    taken = {pipeline.name for pipeline in context.facts.pipelines}
    return unique_name(proposal.name or "pipeline", taken, otherwise="pipeline")
