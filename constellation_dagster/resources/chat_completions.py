"""One request to a server that speaks OpenAI's protocol, and what it streams back.

A thread of its own reads, so that the deadline holds whatever keeps the server or the network: a
name that is not resolved, a stream that dribbles, headers that never end.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from openai import APIResponse, OpenAI, Stream
    from openai.types.chat import ChatCompletionChunk

_CONNECT_SECONDS = 5.0


class DeadlinePassed(ConstellationError):
    """The answer was not complete in time."""


class BrokenOff(ConstellationError):
    """The answer ended in its middle, as when its server was killed."""


class OtherProtocol(ConstellationError):
    """Somebody answers, and it is not what OpenAI's protocol says."""


@dataclass
class Answer:
    """What a server has said, as far as it came.

    Attributes:
        text: The content.
        refusal: Why the model does not answer, if it said so.
        finish_reason: How it ended; None when the stream ended without saying so.
        tokens_in: What the server counted; None if it does not.
        tokens_out: What the server counted; None if it does not.
        id: The server's name of the answer.
        model: The model that answered.
    """

    text: str = ""
    refusal: str = ""
    finish_reason: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    id: str | None = None
    model: str | None = None

    def take(self, part: Mapping[str, Any]) -> str:
        """Adds a chunk of a stream, or a whole answer; returns the text that it brought."""
        self.id = part.get("id") or self.id
        self.model = part.get("model") or self.model
        if usage := part.get("usage"):
            self.tokens_in = usage.get("prompt_tokens")
            self.tokens_out = usage.get("completion_tokens")
        choices = part.get("choices")
        if not choices:
            return ""
        choice: Mapping[str, Any] = choices[0]
        said: Mapping[str, Any] = choice.get("delta") or choice.get("message") or {}
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        self.refusal += said.get("refusal") or ""
        text: str = said.get("content") or ""
        self.text += text
        return text


@dataclass(frozen=True)
class _Exchange:
    """What passes from the thread that reads to the one that waits."""

    request: Mapping[str, Any]
    # Pieces of text, then the answer or what went wrong.
    told: SimpleQueue[str | Answer | Exception] = field(
        default_factory=SimpleQueue[str | Answer | Exception]
    )
    abandoned: threading.Event = field(default_factory=threading.Event)


def send(
    client: "OpenAI",
    request: Mapping[str, Any],
    deadline: float,
    on_token: Callable[[str], None] | None = None,
) -> Answer:
    """Asks once, without retries.

    Args:
        client: Where to.
        request: Arguments of `client.chat.completions.create`, without `stream`.
        deadline: When the whole answer must be there, by `time.monotonic`.
        on_token: Called with each piece of text as it comes.

    Raises:
        DeadlinePassed: It was not.
        BrokenOff: The stream ended before the answer did.
        OtherProtocol: What answers is no server of language models.
        openai.OpenAIError: The server refused the request, or cannot be reached.
    """
    exchange = _Exchange(request)
    remaining = max(0.0, deadline - time.monotonic())
    threading.Thread(
        target=_read, args=(client, exchange, remaining), name="chat completion", daemon=True
    ).start()
    try:
        while True:
            told = exchange.told.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(told, Exception):
                raise told
            if isinstance(told, Answer):
                return told
            if on_token is not None:
                on_token(told)
    except Empty:
        raise DeadlinePassed("The answer was not complete in time.") from None
    finally:
        exchange.abandoned.set()


def _read(client: "OpenAI", exchange: _Exchange, seconds: float) -> None:
    from openai import Timeout

    # The one that waits is the first to know that the time is up.
    timeout = Timeout(seconds + 1, connect=_CONNECT_SECONDS)
    completions = client.chat.completions.with_streaming_response
    try:
        with completions.create(**exchange.request, stream=True, timeout=timeout) as response:
            exchange.told.put(_answer(response, exchange))
    except Exception as error:  # noqa: BLE001 - the one that waits raises it
        exchange.told.put(error)


def _answer(response: "APIResponse[Stream[ChatCompletionChunk]]", exchange: _Exchange) -> Answer:
    answer = Answer()
    kind = response.headers.get("content-type", "text/event-stream").partition(";")[0]
    try:
        if kind == "application/json":  # it does not stream
            answer.take(_whole(response))
        elif kind != "text/event-stream":
            raise OtherProtocol(f"It sends {kind}.")
        else:
            _follow(response.parse(), answer, exchange)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise OtherProtocol(f"What it sends cannot be read ({error}).") from error
    return answer


def _whole(response: "APIResponse[Any]") -> dict[str, Any]:
    from openai import APIError

    try:
        body: Any = response.json()
    except ValueError:
        raise
    except Exception as error:  # what the SDK's HTTP client raises, which it hides elsewhere
        raise BrokenOff("The connection broke off.") from error
    if error := body.get("error"):
        request = response.http_request
        raise APIError(str(error.get("message", error)), request, body=error)
    return body


def _follow(stream: "Stream[ChatCompletionChunk]", answer: Answer, exchange: _Exchange) -> None:
    from openai import APIConnectionError

    try:
        for chunk in stream:
            if exchange.abandoned.is_set():
                return
            # The SDK does not check what servers send, and warns where it is not as documented.
            text = answer.take(chunk.to_dict(mode="json", warnings=False))
            if text:
                exchange.told.put(text)
    except APIConnectionError as error:
        raise BrokenOff("The stream broke off.") from error
