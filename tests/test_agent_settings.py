"""What the environment says about the language model."""

import pytest

from constellation_dagster.agent_settings import AgentSettings
from constellation_dagster.resources.language_model import language_model


def test_which_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "")
    assert not AgentSettings().has_model
    assert language_model(AgentSettings()) is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert AgentSettings().model_name == "gpt-4o-mini"
    assert "sk-1" not in repr(AgentSettings())
    monkeypatch.setenv("OPENAI_MODEL", "small")
    assert AgentSettings().model_name == "small"
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert AgentSettings().has_model


def test_costs() -> None:
    assert AgentSettings().cost(1000, 1000) is None
    assert AgentSettings(price_in=0.15, price_out=0.6).cost(1_000_000, 500_000) == 0.45
