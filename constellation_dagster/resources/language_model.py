"""A language model behind any server that speaks OpenAI's protocol."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.resources.chat_completions import (
    Answer,
    BrokenOff,
    OtherProtocol,
    send,
)
from constellation_dagster.resources.chat_failures import explain, place_of
from constellation_dagster.resources.chat_requests import RequestForm
from constellation_dagster.resources.chat_retries import persevere

if TYPE_CHECKING:
    from openai import OpenAI

_OPENAI_URL = "https://api.openai.com/v1"
# A server of one's own mostly wants no key; the SDK wants to send one.
_NO_KEY = "none"
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Completion:
    """An answer of a language model.

    Attributes:
        text: One JSON object, as text. It need not fit the schema that was asked for.
        tokens_in: Tokens of the request; estimated if the server does not count.
        tokens_out: Tokens of the answer; estimated if the server does not count.
        seconds: How long it took, with all retries.
        request: What was sent, without the key.
        response: What came back, put together from the stream: id, model, finish_reason, content,
            refusal.
    """

    text: str
    tokens_in: int
    tokens_out: int
    seconds: float
    request: dict[str, Any]
    response: dict[str, Any]


class LanguageModelError(ConstellationError):
    """The language model did not give an answer that can be used.

    Attributes:
        completion: What it did say, where it said something; its tokens count, and its text is
            whatever was said.
    """

    def __init__(self, message: str, completion: Completion | None = None) -> None:
        self.completion = completion
        super().__init__(message)


class ModelUnavailable(LanguageModelError):
    """Its server is not there, does not take the request, or did not finish in time."""


class ModelBusy(LanguageModelError):
    """Its server asks to be left alone for now."""


class ModelRefused(LanguageModelError):
    """The model does not want to answer."""


class ModelMisspoke(LanguageModelError):
    """The model's answer is no JSON object: cut off, empty, or something else."""


class ModelSettings(Protocol):
    """What a language model needs to know of the settings."""

    @property
    def openai_base_url(self) -> str | None:
        """Its server; None for OpenAI."""
        ...

    @property
    def openai_api_key(self) -> SecretStr | None:
        """The server's key, if it wants one."""
        ...

    @property
    def model_name(self) -> str | None:
        """The model; None when there is none."""
        ...

    @property
    def completion_seconds(self) -> float:
        """Seconds that one answer may take."""
        ...


class LanguageModel:
    """One model at one server."""

    def __init__(self, name: str, base_url: str, api_key: str | None, longest: float) -> None:
        """A model that is not asked yet.

        Args:
            name: What the server calls it.
            base_url: The server, mostly with /v1 at the end.
            api_key: The server's key, if it wants one.
            longest: Seconds that one answer may take, whatever `complete` is given.
        """
        self.name = name
        self._base_url = base_url
        self._key = api_key
        self._longest = longest
        self._form = RequestForm()

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        schema: Mapping[str, Any],
        schema_name: str,
        max_tokens: int,
        seconds: float,
        on_token: Callable[[str], None] | None = None,
    ) -> Completion:
        """Asks for one JSON object, and again where that may help.

        Args:
            messages: `role` and `content` of each.
            schema: JSON schema of the answer, which is a hint, no promise. A server that
                cannot keep to a schema is told it in words.
            schema_name: What the schema is called: letters, digits, `_` and `-`.
            max_tokens: Tokens that the answer may have.
            seconds: For everything, with all retries and waiting.
            on_token: Called with each piece of the answer as it comes. After an answer that broke
                off, those of the next one follow.

        Raises:
            ModelUnavailable: The server is not there, does not take this, or took too long.
            ModelBusy: The server asked to wait, for as long as one would.
            ModelRefused: The model does not want to answer.
            ModelMisspoke: What it answered is no JSON object.
        """
        from openai import APIStatusError, OpenAIError, RateLimitError

        place, client = self._place(), self._client
        began = time.monotonic()
        allowed = min(seconds, self._longest)
        request: dict[str, Any] = {}

        def ask() -> Answer:
            nonlocal request
            while True:
                request = self._form.request(self.name, messages, schema, schema_name, max_tokens)
                try:
                    answer = send(client, request, began + allowed, on_token)
                except APIStatusError as error:
                    if self._form.give_way(error):
                        continue
                    raise
                if answer.finish_reason is None and _json_object(answer.text) is None:
                    raise BrokenOff("The stream ended before the answer did.")
                return answer

        try:
            answer = persevere(ask, allowed)
        except (ConstellationError, OpenAIError) as error:
            kind = ModelUnavailable
            if isinstance(error, OtherProtocol):
                kind = ModelMisspoke
            elif isinstance(error, RateLimitError):
                kind = ModelBusy
            raise kind(explain(error, self.name, place, self._key, allowed)) from error
        return _checked(answer, request, time.monotonic() - began)

    def _place(self) -> str:
        """The server, as messages name it."""
        place = place_of(self._base_url)
        if place is None:
            raise ModelUnavailable(
                "OPENAI_BASE_URL is not the address of a server: it has to be like "
                "http://localhost:11434/v1."
            )
        if self._key is not None and not (self._key.isascii() and self._key.isprintable()):
            raise ModelUnavailable(
                "OPENAI_API_KEY holds characters that are in no key: set it anew."
            )
        return place

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import OpenAI

        # Without the SDK's own retries, which know no deadline for all of them.
        return OpenAI(base_url=self._base_url, api_key=self._key or _NO_KEY, max_retries=0)


def language_model(settings: ModelSettings) -> LanguageModel | None:
    """The language model of this installation; None when there is none."""
    if settings.model_name is None:
        return None
    key = settings.openai_api_key
    return LanguageModel(
        settings.model_name,
        settings.openai_base_url or _OPENAI_URL,
        key.get_secret_value() if key is not None else None,
        settings.completion_seconds,
    )


def _checked(answer: Answer, request: dict[str, Any], seconds: float) -> Completion:
    """The completion, if it is a JSON object."""
    found = _json_object(answer.text)
    completion = Completion(
        text=answer.text if found is None else found,
        tokens_in=_counted(answer.tokens_in, json.dumps(request["messages"])),
        tokens_out=_counted(answer.tokens_out, answer.text + answer.refusal),
        seconds=seconds,
        request=request,
        response={
            "id": answer.id,
            "model": answer.model,
            "finish_reason": answer.finish_reason,
            "content": answer.text,
            "refusal": answer.refusal or None,
        },
    )
    model = f"The language model {request['model']!r}"
    if answer.refusal or answer.finish_reason == "content_filter":
        why = f": {answer.refusal}" if answer.refusal else ", as its server filters such content."
        raise ModelRefused(f"{model} does not want to answer this{why}", completion)
    if found is not None:
        return completion
    if answer.finish_reason == "length":
        raise ModelMisspoke(
            f"{model} was cut off after {completion.tokens_out} tokens, before its answer was "
            "complete. Ask for less, or let it write more.",
            completion,
        )
    if not answer.text.strip():
        raise ModelMisspoke(f"{model} answered nothing. Try again, or another model.", completion)
    raise ModelMisspoke(
        f"{model} did not answer with a JSON object. Try again, or a model that can.", completion
    )


def _counted(told: int | None, text: str) -> int:
    return (
        told if told is not None else -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
    )


def _json_object(text: str) -> str | None:
    """The JSON object that an answer is, or that stands behind a model's thoughts or in a fence."""
    _, _, said = text.rpartition("</think>")
    begin = said.find("{")
    if begin < 0:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(said, begin)
    except (ValueError, RecursionError):
        return None
    return said[begin:end]
