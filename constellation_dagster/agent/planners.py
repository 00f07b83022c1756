"""Which planner answers."""

from collections.abc import Callable
from functools import partial

from constellation_dagster.agent.planning import Planner
from constellation_dagster.agent_settings import get_agent_settings
from constellation_dagster.domain.registry import Registry
from constellation_dagster.settings import get_settings


def choose_planner(registry: Registry, on_token: Callable[[str], None] | None = None) -> Planner:
    """The planner of this installation: a language model's if there is one, else the embedded.

    Args:
        registry: The blocks that it may use.
        on_token: Called with each piece of what a language model writes.
    """
    # They take long to import, and only turns need them.
    from constellation_dagster.agent.embedded.planner import EmbeddedPlanner
    from constellation_dagster.resources.language_model import language_model

    embedded, settings = EmbeddedPlanner(registry), get_agent_settings()
    model = language_model(settings)
    if model is None:
        return embedded
    from constellation_dagster.agent.model_planner import ModelPlanner
    from constellation_dagster.resources.budgets import Budget
    from constellation_dagster.resources.completion_rows import CompletionRows
    from constellation_dagster.resources.supabase import service_client

    platform = get_settings()
    # Without a server that counts and a database that keeps, both are done without.
    url = platform.redis_url
    counted = partial(Budget, url, daily_tokens=settings.daily_tokens) if url else None
    stored = platform.supabase_url and platform.supabase_service_role_key
    return ModelPlanner(
        registry,
        model,
        settings,
        instead=embedded,
        budget=counted,
        completions=CompletionRows(service_client()) if stored else None,
        on_token=on_token,
    )
