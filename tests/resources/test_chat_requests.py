"""Servers that do not know all of OpenAI's protocol, over the wire."""

import json
from collections.abc import Iterator

import pytest

from constellation_dagster.resources.language_model import LanguageModel
from tests.agent.openai_server import OpenAIServer, openai_server, recording
from tests.resources.asking import MESSAGES, SCHEMA, asked, made


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as running:
        yield running


@pytest.fixture
def model(server: OpenAIServer) -> LanguageModel:
    return made(server.url)


def test_a_server_that_keeps_to_no_schema(server: OpenAIServer, model: LanguageModel) -> None:
    server.play(recording("no_schema"), recording("no_json"), recording("fenced"))
    assert json.loads(asked(model).text)["name"] == "churn"
    first, second, third = server.requests
    assert first["response_format"]["type"] == "json_schema"
    assert second["response_format"] == {"type": "json_object"}
    assert "response_format" not in third
    # In words it is told all the same.
    for request in (second, third):
        [system, *rest] = request["messages"]
        assert system["content"].startswith("Plan pipelines.\n\n")
        assert json.dumps(SCHEMA) in system["content"]
        assert rest == MESSAGES[1:]
    # It is known from then on.
    asked(model)
    assert server.requests[3] == third


def test_a_server_that_wants_other_parameters(server: OpenAIServer, model: LanguageModel) -> None:
    server.play(recording("no_max_tokens"), recording("no_temperature"), recording("good"))
    asked(model)
    last = server.requests[-1]
    assert last["max_completion_tokens"] == 500
    assert not {"max_tokens", "temperature"} & set(last)


def test_the_schema_in_words_needs_no_system_message(
    server: OpenAIServer, model: LanguageModel
) -> None:
    server.play(recording("no_schema"), recording("good"))
    model.complete(
        MESSAGES[1:], schema=SCHEMA, schema_name="proposal", max_tokens=500, seconds=10.0
    )
    assert [message["role"] for message in server.requests[1]["messages"]] == ["system", "user"]
