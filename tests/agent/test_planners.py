"""Which planner answers."""

from collections.abc import Iterator

import pytest

from constellation_dagster.agent.embedded.planner import EmbeddedPlanner
from constellation_dagster.agent.model_planner import ModelPlanner
from constellation_dagster.agent.planners import choose_planner
from constellation_dagster.agent_settings import get_agent_settings
from constellation_dagster.domain.registry import load_registry


@pytest.fixture(autouse=True)
def _read_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_BASE_URL", "OPENAI_MODEL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    get_agent_settings.cache_clear()
    yield
    get_agent_settings.cache_clear()


def test_without_a_model_it_is_the_embedded_one() -> None:
    assert isinstance(choose_planner(load_registry()), EmbeddedPlanner)


def test_with_a_model_it_asks_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_MODEL", "small")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert isinstance(choose_planner(load_registry()), ModelPlanner)
