"""A language model that is asked the usual thing."""

from typing import Any

from constellation_dagster.agent_settings import AgentSettings
from constellation_dagster.resources.language_model import (
    Completion,
    LanguageModel,
    language_model,
)
from tests.agent.openai_server import KEY

SCHEMA = {
    "type": "object",
    "properties": {"action": {"type": "string"}},
    "required": ["action"],
    "additionalProperties": False,
}
MESSAGES = [
    {"role": "system", "content": "Plan pipelines."},
    {"role": "user", "content": "Load sales.csv, train a classifier on churn"},
]


def made(url: str, **changes: Any) -> LanguageModel:
    """A model as settings make it."""
    settings: dict[str, Any] = {"openai_model": "small", "openai_api_key": KEY, **changes}
    model = language_model(AgentSettings(openai_base_url=url, **settings))
    assert model is not None
    return model


def asked(model: LanguageModel, seconds: float = 10.0, **more: Any) -> Completion:
    """What a model says to the usual request."""
    return model.complete(
        MESSAGES, schema=SCHEMA, schema_name="proposal", max_tokens=500, seconds=seconds, **more
    )
