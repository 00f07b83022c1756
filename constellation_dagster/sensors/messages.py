"""Messages that wait for a reply → runs of `agent_turn`; those whose run died wait again."""

from collections.abc import Sequence

import dagster as dg

from constellation_dagster.domain.conversations import DueMessage
from constellation_dagster.jobs.turns import MESSAGE_TAG, TRIES_TAG, agent_turn
from constellation_dagster.resources.conversation_rows import ConversationRows
from constellation_dagster.resources.supabase import SupabaseResource
from constellation_dagster.sensors.feed import feed_sensor

# Each starts a process; the rest waits for the next look, which comes when one of them begins.
TURNS_PER_TICK = 20


def _look(
    context: dg.SensorEvaluationContext, supabase: SupabaseResource
) -> Sequence[dg.RunRequest]:
    rows, instance = supabase.conversations, context.instance
    for message, run_id in rows.running():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            # Only if it is still this run's: it may have replied since.
            rows.release(message, run_id=run_id)
    waiting = [message for message in rows.due(TURNS_PER_TICK) if _waits(instance, rows, message)]
    return [_request(message) for message in waiting]


def _waits(instance: dg.DagsterInstance, rows: ConversationRows, message: DueMessage) -> bool:
    """Whether no run has been asked for yet; one that died before it began is told apart."""
    tags = {MESSAGE_TAG: str(message.id), TRIES_TAG: str(message.tries)}
    runs = instance.get_runs(dg.RunsFilter(tags=tags), limit=1)
    if runs and runs[0].is_finished:
        rows.release(message.id, tries=message.tries)
    return not runs


def _request(message: DueMessage) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=f"{message.id}:{message.tries}",
        tags={MESSAGE_TAG: str(message.id), TRIES_TAG: str(message.tries)},
    )


message_changes = feed_sensor(
    name="message_changes",
    description="Has the agent answer what people say, each conversation's messages in order.",
    tables=["messages", "conversations"],
    job=agent_turn,
    look=_look,
)
