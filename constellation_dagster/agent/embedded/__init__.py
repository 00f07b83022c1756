"""A planner without a language model: words are looked up in what blocks and facts are called."""

from constellation_dagster.agent.embedded.planner import EmbeddedPlanner

__all__ = ["EmbeddedPlanner"]
