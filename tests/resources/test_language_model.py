"""A language model over the wire, well and ill, from recordings."""

import json
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from constellation_dagster.resources.language_model import (
    LanguageModel,
    LanguageModelError,
    ModelBusy,
    ModelMisspoke,
    ModelRefused,
    ModelUnavailable,
)
from tests.agent.openai_server import KEY, Exchange, OpenAIServer, openai_server, recording, saying
from tests.resources.asking import MESSAGES, SCHEMA, asked, made


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with openai_server() as running:
        yield running


@pytest.fixture
def model(server: OpenAIServer) -> LanguageModel:
    return made(server.url)


def failed(model: LanguageModel, kind: type[LanguageModelError], seconds: float = 10.0) -> str:
    """What the error says that a request ends in."""
    with pytest.raises(LanguageModelError) as caught:
        asked(model, seconds)
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    # It passes between processes.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return str(caught.value)


def test_an_answer(server: OpenAIServer, model: LanguageModel) -> None:
    pieces: list[str] = []
    completion = asked(model, on_token=pieces.append)
    assert "".join(pieces) == completion.text
    assert json.loads(completion.text)["steps"][0]["block"] == "read_csv"
    # The last token is the end, which is nothing to read.
    assert (completion.tokens_in, completion.tokens_out) == (2421, len(pieces) + 1)
    assert 0 < completion.seconds < 10
    [request] = server.requests
    assert request.pop("stream")
    assert request == completion.request
    assert request["messages"] == MESSAGES
    assert (request["model"], request["max_tokens"]) == ("small", 500)
    form = {"name": "proposal", "schema": SCHEMA, "strict": False}
    assert request["response_format"] == {"type": "json_schema", "json_schema": form}
    assert completion.response["content"] == completion.text
    assert completion.response["finish_reason"] == "stop"
    assert completion.response["model"] == "qwen2.5-coder-1.5b"


@pytest.mark.parametrize("name", ["without_usage", "fenced", "thoughts", "not_streamed"])
def test_servers_and_models_of_other_habits(
    server: OpenAIServer, model: LanguageModel, name: str
) -> None:
    server.play(recording(name))
    completion = asked(model)
    assert json.loads(completion.text)["name"] == "churn"
    # Counted, or estimated.
    assert completion.tokens_in > 10
    assert 30 < completion.tokens_out < 200


def test_what_fits_no_schema_is_for_the_planner(server: OpenAIServer, model: LanguageModel) -> None:
    server.play(recording("wrong_enum"))
    assert json.loads(asked(model).text)["steps"][0]["block"] == "read_excel"


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("truncated", ModelMisspoke, "was cut off after"),
        ("prose", ModelMisspoke, "did not answer with a JSON object"),
        ("nothing", ModelMisspoke, "answered nothing"),
        ("refusal", ModelRefused, "does not want to answer this: I'm sorry, I can't assist"),
        ("filtered", ModelRefused, "filters"),
    ],
)
def test_answers_that_cannot_be_used(
    server: OpenAIServer,
    model: LanguageModel,
    name: str,
    kind: type[LanguageModelError],
    words: str,
) -> None:
    server.play(recording(name))
    with pytest.raises(kind, match=words) as caught:
        asked(model)
    assert len(server.requests) == 1
    # What was said has its price, and is kept.
    said = caught.value.completion
    assert said is not None
    assert said.tokens_in == 1874
    assert said.response["finish_reason"] is not None


@pytest.mark.parametrize("name", ["garbage", "strange_types", "web_page"])
def test_somebody_else_answers(server: OpenAIServer, model: LanguageModel, name: str) -> None:
    server.play(recording(name))
    told = failed(model, ModelMisspoke)
    assert "does not speak OpenAI's protocol" in told
    assert "127.0.0.1" in told


@pytest.mark.parametrize(
    "bad",
    [
        recording("failing"),
        recording("bad_gateway"),
        recording("stream_error"),
        recording("good").dropped(6),
        recording("good").dropped(0),
        recording("not_streamed").dropped(0),
        recording("no_choices"),
        replace(recording("without_usage"), chunks=recording("without_usage").chunks[:9]),
        replace(recording("busy"), headers={"retry-after": "0.2"}),
        replace(recording("busy"), headers={"retry-after": "Tue, 01 Dec 2020 00:00:00 GMT"}),
        recording("busy"),
    ],
    ids=lambda bad: f"{bad.status}-{bad.drop_after}-{len(bad.chunks)}",
)
def test_what_passes_is_tried_again(
    server: OpenAIServer, model: LanguageModel, bad: Exchange
) -> None:
    server.play(bad, recording("good"))
    assert json.loads(asked(model).text)["name"] == "sales_filter"
    assert len(server.requests) == 2


def test_it_waits_as_long_as_it_is_asked_to(server: OpenAIServer, model: LanguageModel) -> None:
    server.play(replace(recording("busy"), headers={"retry-after": "1"}), recording("good"))
    assert 1 <= asked(model).seconds < 5


@pytest.mark.parametrize(
    ("bad", "words", "tries"),
    [
        (recording("failing"), "fails (500: The server had an error", 4),
        (recording("bad_gateway"), "fails (502). See its log", 4),
        (recording("stream_error"), "context shift is disabled", 4),
        (recording("good").dropped(6), "broke off in the middle", 4),
        (recording("no_choices"), "broke off in the middle", 4),
        (recording("too_long"), "maximum context length is 8192", 1),
    ],
)
def test_what_does_not_pass(
    server: OpenAIServer, model: LanguageModel, bad: Exchange, words: str, tries: int
) -> None:
    server.play(bad)
    told = failed(model, ModelUnavailable)
    assert words in told
    assert "127.0.0.1" in told
    assert len(server.requests) == tries


def test_a_server_that_stays_busy(server: OpenAIServer, model: LanguageModel) -> None:
    server.play(replace(recording("busy"), headers={"retry-after": "0.1"}))
    began = time.monotonic()
    assert "is busy" in failed(model, ModelBusy, seconds=0.7)
    assert time.monotonic() - began < 1.5
    assert len(server.requests) > 3
    # Longer than one would wait is not waited at all.
    server.requests.clear()
    server.play(replace(recording("busy"), headers={"retry-after": "3600"}))
    failed(model, ModelBusy)
    server.play(recording("quota"))
    assert "quota of OPENAI_API_KEY is used up" in failed(model, ModelBusy)
    assert len(server.requests) == 2


@pytest.mark.parametrize("pause", [0.1, 60.0])
def test_slow_ones_have_a_deadline(
    server: OpenAIServer, model: LanguageModel, pause: float
) -> None:
    # However steadily it dribbles.
    server.play(recording("good").slow(pause))
    began = time.monotonic()
    assert "did not finish its answer within 0.5 s" in failed(model, ModelUnavailable, 0.5)
    assert time.monotonic() - began < 1.5
    model = made(server.url, completion_seconds=0.3)
    assert "within 0.3 s" in failed(model, ModelUnavailable, 60.0)


def test_silence_has_a_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        model = made(f"http://127.0.0.1:{silent.getsockname()[1]}/v1")
        began = time.monotonic()
        failed(model, ModelUnavailable, 0.5)
        assert time.monotonic() - began < 1.5


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    told = failed(made(f"http://user:pass@127.0.0.1:{port}/v1"), ModelUnavailable)
    assert f"127.0.0.1:{port} cannot be reached: nothing listens there" in told
    assert "pass" not in told
    assert time.monotonic() - began < 5
    assert "nowhere.invalid" in failed(made("http://nowhere.invalid/v1"), ModelUnavailable, 1.0)


def test_wrong_settings(server: OpenAIServer) -> None:
    told = failed(made(server.url, openai_api_key="sk-wrong"), ModelUnavailable)
    assert "does not accept the key (401). Set OPENAI_API_KEY" in told
    assert "sk-wrong" not in told
    told = failed(made(server.url, openai_model="huge"), ModelUnavailable)
    assert "does not know the model 'huge'" in told
    assert "Correct OPENAI_MODEL" in told
    told = failed(made(server.url.removesuffix("/v1")), ModelUnavailable)
    assert "mostly ends in /v1" in told
    assert server.requests == []
    echo = {"error": {"message": f"bad request with key {KEY}"}}
    server.play(Exchange(400, {"content-type": "application/json"}, (json.dumps(echo),)))
    assert "(400: bad request with key …)" in failed(made(server.url), ModelUnavailable)
    for url in ("localhost:11434/v1", "http://", "http://[::1", "http://host:port/v1"):
        assert "OPENAI_BASE_URL" in failed(made(url), ModelUnavailable)
    assert "OPENAI_API_KEY" in failed(made(server.url, openai_api_key="sk-…"), ModelUnavailable)
    assert len(server.requests) == 1


def test_no_key_is_needed(server: OpenAIServer) -> None:
    server.play(saying('{"action": "ask"}', tokens_in=7, tokens_out=3))
    completion = asked(made(server.url, openai_api_key=None))
    assert (completion.text, completion.tokens_in, completion.tokens_out) == (
        '{"action": "ask"}',
        7,
        3,
    )


def test_readers_end(server: OpenAIServer, model: LanguageModel) -> None:
    server.play(recording("good").slow(0.05))
    failed(model, ModelUnavailable, 0.2)
    deadline = time.monotonic() + 5
    while any(thread.name == "chat completion" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
