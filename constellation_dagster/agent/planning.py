"""What a planner is, embedded or with a language model."""

from collections.abc import Sequence
from typing import Protocol

from constellation_dagster.agent.context import Context
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.proposals import Proposal


class Planner(Protocol):
    """Makes a proposal from what a person said."""

    def plan(self, context: Context) -> Proposal:
        """A first proposal."""
        ...

    def repair(self, context: Context, proposal: Proposal, problems: Sequence[Problem]) -> Proposal:
        """A better proposal, given what is wrong with this one; the same one if there is none."""
        ...
