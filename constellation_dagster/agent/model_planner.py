"""The planner that asks a language model, and the embedded one when that gives nothing."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from constellation_dagster.agent.answer_schema import (
    SCHEMA_NAME,
    Unreadable,
    answer_schema,
    read_answer,
)
from constellation_dagster.agent.context import Context
from constellation_dagster.agent.planning import Planner
from constellation_dagster.agent.prompting import (
    PROMPT_VERSION,
    Messages,
    again_messages,
    choose_blocks,
    first_messages,
    repair_messages,
)
from constellation_dagster.agent.redaction import Secrets, redact
from constellation_dagster.agent.settling import can_be_done, mends, name_of, settle
from constellation_dagster.agent_settings import AgentSettings
from constellation_dagster.domain.conversations import Provenance
from constellation_dagster.domain.errors import ConstellationError, Problem
from constellation_dagster.domain.proposals import Proposal, Step
from constellation_dagster.domain.registry import Registry
from constellation_dagster.resources.budgets import Budget
from constellation_dagster.resources.language_model import (
    Completion,
    LanguageModel,
    LanguageModelError,
    ModelMisspoke,
)
from constellation_dagster.resources.rest import SupabaseError

MOST_TOKENS = 600
"""Of one answer: a pipeline of some twenty steps."""
_LEAST_TOKENS = 100
_LEAST_SECONDS = 1.0
_OF_THE_PERSON = tuple(
    f"unknown_{kind}" for kind in ("column", "file", "table", "deployment", "package")
)
_INSTEAD = "This is the embedded planner's proposal."

_log = logging.getLogger(__name__)


class LimitReached(ConstellationError):
    """The turn or the person has used what may be used of the language model."""


class Completions(Protocol):
    """Keeps what was asked and answered."""

    def add(
        self,
        message_id: UUID,
        model: str,
        request: Mapping[str, Any],
        response: Mapping[str, Any],
    ) -> None:
        """Keep one completion."""
        ...


@dataclass
class _Used:
    """What a turn has used so far."""

    tokens_in: int = 0
    tokens_out: int = 0
    rounds: int = 0
    seconds: float = 0.0

    @classmethod
    def before(cls, made: Provenance) -> "_Used":
        return cls(made.tokens_in, made.tokens_out, made.rounds, made.seconds)

    def add(self, completion: Completion) -> None:
        self.tokens_in += completion.tokens_in
        self.tokens_out += completion.tokens_out


@dataclass(frozen=True)
class _Exchange:
    """What a model is asked about, and how."""

    context: Context
    schema: Mapping[str, Any]
    secrets: Secrets
    first: Messages
    guess: Proposal


class ModelPlanner:
    """Asks a language model for a list of steps; our own wiring makes the edges.

    Args:
        registry: The blocks that it may use.
        model: The language model.
        settings: Limits and prices.
        instead: Who plans when the model gives nothing.
        budget: The tokens that a person has left, by their user id; nothing for no limit.
        completions: Where what was asked and answered is kept, without secrets; nothing for
            nowhere.
        on_token: Called with each piece of an answer as it comes.
    """

    def __init__(
        self,
        registry: Registry,
        model: LanguageModel,
        settings: AgentSettings,
        *,
        instead: Planner,
        budget: Callable[[UUID], Budget] | None = None,
        completions: Completions | None = None,
        on_token: Callable[[str], None] | None = None,
    ) -> None:
        self._registry = registry
        self._model = model
        self._settings = settings
        self._instead = instead
        self._budget = budget
        self._completions = completions
        self._on_token = on_token

    def plan(self, context: Context) -> Proposal:
        """The model's proposal, or the embedded planner's with a note that says why."""
        exchange, used = self._exchange(context), _Used()
        try:
            answer = self._ask(exchange, exchange.first, used)
        except (LanguageModelError, Unreadable, LimitReached) as error:
            return self._plan_instead(exchange, error, used)
        if answer.action == "refuse" and can_be_done(exchange.guess):
            error = Unreadable("it refused what blocks can do.")
            return self._plan_instead(exchange, error, used)
        return self._finished(exchange, answer, used)

    def repair(self, context: Context, proposal: Proposal, problems: Sequence[Problem]) -> Proposal:
        """What the model makes of the problems; the same proposal where it can do nothing."""
        made = proposal.provenance
        if made is None or made.planner != "model":
            return self._instead.repair(context, proposal, problems)
        wrong = [problem for problem in problems if _can_mend(context, problem)]
        if not wrong or made.rounds >= self._settings.turn_rounds:
            return proposal
        exchange, used = self._exchange(context), _Used.before(made)
        messages = repair_messages(exchange.first, proposal, wrong, exchange.secrets)
        try:
            answer = self._ask(exchange, messages, used)
        except LimitReached:
            return proposal
        except (LanguageModelError, Unreadable) as error:
            return self._plan_instead(exchange, error, used)
        repaired = self._finished(exchange, answer, used)
        if repaired.steps and (repaired.steps, repaired.edges) != (proposal.steps, proposal.edges):
            return repaired
        # Asked the same again it would say the same again.
        used.rounds = self._settings.turn_rounds
        return proposal.model_copy(update={"provenance": self._provenance(context, used)})

    def _exchange(self, context: Context) -> _Exchange:
        secrets = Secrets()
        blocks = choose_blocks(context, self._registry)
        guess = self._instead.plan(context)
        return _Exchange(
            context=context,
            schema=answer_schema(self._registry, blocks),
            secrets=secrets,
            first=first_messages(context, self._registry, blocks, secrets, guess),
            guess=guess,
        )

    def _ask(self, exchange: _Exchange, messages: Messages, used: _Used) -> Proposal:
        """The answer; what cannot be read is asked for again, as often as a turn may."""
        asked = messages
        while True:
            used.rounds += 1
            try:
                return read_answer(self._complete(exchange, asked, used).text)
            except (ModelMisspoke, Unreadable) as error:
                spoke = isinstance(error, Unreadable) or error.completion is not None
                if not spoke or used.rounds >= self._settings.turn_rounds:
                    raise
                asked = again_messages(messages, str(error))

    def _complete(self, exchange: _Exchange, messages: Messages, used: _Used) -> Completion:
        context = exchange.context
        budget = self._budget(context.thread.owner) if self._budget is not None else None
        tokens, seconds = self._left(used, budget)
        began = time.monotonic()
        try:
            completion = self._model.complete(
                messages,
                schema=exchange.schema,
                schema_name=SCHEMA_NAME,
                max_tokens=min(MOST_TOKENS, tokens),
                seconds=seconds,
                on_token=self._on_token,
            )
        except LanguageModelError as error:
            self._spend(context, error.completion, used, budget)
            raise
        finally:
            used.seconds += time.monotonic() - began
        self._spend(context, completion, used, budget)
        return completion

    def _left(self, used: _Used, budget: Budget | None) -> tuple[int, float]:
        """The tokens and seconds that may still be used.

        Raises:
            LimitReached: There are none.
        """
        tokens = self._settings.turn_tokens - used.tokens_in - used.tokens_out
        seconds = self._settings.turn_seconds - used.seconds
        if tokens < _LEAST_TOKENS or seconds < _LEAST_SECONDS:
            raise LimitReached(
                "The language model used up what one message may cost "
                f"({self._settings.turn_tokens} tokens, {self._settings.turn_seconds:g} seconds)."
            )
        if budget is not None and budget.left() < _LEAST_TOKENS:
            raise LimitReached(
                f"Your {self._settings.daily_tokens} tokens of today for the language model are "
                "used up; they are counted anew from midnight UTC."
            )
        return tokens, seconds

    def _spend(
        self, context: Context, completion: Completion | None, used: _Used, budget: Budget | None
    ) -> None:
        if completion is None:
            return
        used.add(completion)
        if budget is not None:
            budget.spend(completion.tokens_in + completion.tokens_out)
        if self._completions is None:
            return
        request, response = redact(completion.request), redact(completion.response)
        try:
            self._completions.add(context.thread.message_id, self._model.name, request, response)
        except SupabaseError as error:
            _log.warning("A completion was not kept: %s", error)

    def _finished(self, exchange: _Exchange, answer: Proposal, used: _Used) -> Proposal:
        restored = tuple(
            Step(block=step.block, config=exchange.secrets.restore(step.config))
            for step in answer.steps
        )
        answer = answer.model_copy(update={"steps": restored})
        proposal = settle(exchange.context, answer, self._registry, exchange.guess)
        provenance = self._provenance(exchange.context, used)
        told = exchange.guess.provenance
        if proposal == exchange.guess and told is not None:
            provenance = provenance.model_copy(update={"note": told.note})
        return proposal.model_copy(update={"provenance": provenance})

    def _plan_instead(
        self, exchange: _Exchange, error: ConstellationError, used: _Used
    ) -> Proposal:
        why = str(error)
        if isinstance(error, Unreadable):
            why = f"The language model {self._model.name!r} gave no answer that can be used: {why}"
        made = self._provenance(exchange.context, used).model_copy(
            update={
                "planner": "embedded",
                "model": None,
                "prompt_version": None,
                "rounds": 1,
                "note": f"{why.rstrip()} {_INSTEAD}",
            }
        )
        return exchange.guess.model_copy(update={"provenance": made})

    def _provenance(self, context: Context, used: _Used) -> Provenance:
        return Provenance(
            planner="model",
            model=self._model.name,
            prompt_version=PROMPT_VERSION,
            tokens_in=used.tokens_in,
            tokens_out=used.tokens_out,
            seconds=round(used.seconds, 3),
            cost=self._settings.cost(used.tokens_in, used.tokens_out),
            rounds=max(1, used.rounds),
            request=context.request,
        )


def _can_mend(context: Context, problem: Problem) -> bool:
    """Whether a model can put it right: a name that the person gave is theirs to put right."""
    name = name_of(problem.message)
    return problem.code not in _OF_THE_PERSON or name is None or mends(context, name)
