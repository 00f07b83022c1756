"""Answers a message: a turn of the agent.

A run may die at any op and another one begin anew: rows change only when a turn begins and when it
replies, and the database lets one run at a time do either.
"""

import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import dagster as dg

from constellation_dagster.agent.planners import choose_planner
from constellation_dagster.assets.generated_pipelines import GENERATED, draft_events
from constellation_dagster.domain.conversations import DraftProposal, TurnResult, draft_id
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.resources.turn_streams import TurnStream
from constellation_dagster.settings import get_settings

MESSAGE_TAG = "constellation/message"
TRIES_TAG = "constellation/tries"
# Planning has limits of its own, far below; this is for a turn that hangs.
LONGEST_TURN_SECONDS = 600


def _message(context: dg.OpExecutionContext) -> UUID:
    try:
        return UUID(context.run.tags[MESSAGE_TAG])
    except (KeyError, ValueError) as error:
        raise dg.Failure(
            f"A run of agent_turn needs the tag {MESSAGE_TAG!r}, the id of a message. "
            "Insert a row into `messages`, or use `constellation chat`.",
            allow_retries=False,
        ) from error


def _stream(context: dg.OpExecutionContext) -> TurnStream:
    return TurnStream(get_settings().redis_url, _message(context))


@dg.op(
    description="Reads the conversation, and what there is to work with.",
    out={"gathered": dg.Out(is_required=False), "began": dg.Out(is_required=False)},
)
def gather_context(
    context: dg.OpExecutionContext, supabase: SupabaseResource
) -> Iterator[dg.Output[Any]]:
    """Nothing comes out when another run answers the message: then all else is skipped."""
    # Those that plan bring in much that no other process needs.
    from constellation_dagster.agent.turns import gather

    began = time.time()
    message = _message(context)
    rows = supabase.conversations
    if not rows.begin(message, context.run.run_id, context.run.parent_run_id):
        context.log.info(f"Message {message}: it is answered, gone, or another run's.")
        return
    stream = _stream(context)
    stream.begin()
    stream.add("progress", "Looking at what there is to work with.")
    thread = rows.thread(message)
    yield dg.Output(gather(thread, thread.owner), "gathered")
    yield dg.Output(began, "began")


@dg.op(description="Makes a proposal of what was said.")
def plan(context: dg.OpExecutionContext, gathered: Any) -> Any:
    """The planner's first proposal."""
    from constellation_dagster.agent import turns

    _stream(context).add("progress", "Planning.")
    return turns.plan(gathered, choose_planner(load_registry()))


@dg.op(description="Compiles the proposal and has the planner repair what is wrong.")
def check_and_repair(context: dg.OpExecutionContext, gathered: Any, planned: Any) -> Any:
    """A draft, or an answer in words."""
    from constellation_dagster.agent import turns

    _stream(context).add("progress", "Checking the plan.")
    planner = choose_planner(load_registry())
    return turns.check_and_repair(gathered, planned, planner)


@dg.op(description="Runs the draft on the first rows of its data, if nothing of it is open.")
def run_sample(context: dg.OpExecutionContext, gathered: Any, checked: Any) -> Any:
    """The draft with what the run gave, or what it was."""
    from constellation_dagster.components.sampling import sample_run

    if not isinstance(checked, DraftProposal) or not checked.ready:
        return checked
    _stream(context).add("progress", "Running it on the first rows.")
    result = sample_run(checked.spec, registry=load_registry(), owner=gathered.thread.owner)
    context.log.info(f"The run on a sample took {result.seconds:.1f} s.")
    return checked.model_copy(update={"sample": result.as_json()})


@dg.op(description="Materializes the draft's partition of `generated_pipelines`.")
def write_draft(
    context: dg.OpExecutionContext, outcome: Any
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation | dg.Output[Any]]:
    """The same partition in every run for a message; the row comes with the reply."""
    if isinstance(outcome, DraftProposal):
        draft = draft_id(_message(context))
        context.instance.add_dynamic_partitions(str(GENERATED.name), [str(draft)])
        yield from draft_events(draft, outcome)
    yield dg.Output(outcome)


@dg.op(description="Writes reply, draft and status, all in one transaction.")
def reply(
    context: dg.OpExecutionContext,
    supabase: SupabaseResource,
    gathered: Any,
    began: float,
    outcome: Any,
) -> None:
    """A message that has its reply by now keeps it."""
    from constellation_dagster.agent.turns import word_reply

    message, rows = _message(context), supabase.conversations
    # A run that was thought dead and is not has lost its message to another one.
    if not rows.begin(message, context.run.run_id, context.run.parent_run_id):
        context.log.info(f"Message {message}: another run has answered it, or it is gone.")
        return
    text = word_reply(gathered, outcome)
    made = outcome.provenance
    result = TurnResult(
        reply=text,
        draft=outcome if isinstance(outcome, DraftProposal) else None,
        tokens_in=made.tokens_in,
        tokens_out=made.tokens_out,
        latency_ms=round((time.time() - began) * 1000),
    )
    written = rows.finish(message, result)
    context.log.info(f"Message {message}: its reply is {written}.")
    stream = _stream(context)
    stream.add("token", *re.findall(r"\S+\s*|\s+", text))
    stream.add("done")


@dg.failure_hook(required_resource_keys={"supabase"})
def repeat_turn(context: dg.HookContext) -> None:
    """Has the message answered by another run now, not when this one is found dead."""
    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and MESSAGE_TAG in run.tags:
        supabase: SupabaseResource = context.resources.supabase
        supabase.conversations.release(UUID(run.tags[MESSAGE_TAG]), run_id=context.run_id)


@dg.job(
    description="Answers a message: proposes a pipeline, or says what there is to say.",
    executor_def=dg.in_process_executor,
    # What passes between the ops is nobody's artifact.
    resource_defs={"io_manager": dg.mem_io_manager, "supabase": SupabaseResource()},
    tags={"dagster/max_runtime": LONGEST_TURN_SECONDS},
    hooks={repeat_turn},
)
def agent_turn() -> None:
    """`message_changes` starts a run for each message."""
    gathered, began = gather_context()
    outcome = run_sample(gathered, check_and_repair(gathered, plan(gathered)))
    reply(gathered, began, write_draft(outcome))
