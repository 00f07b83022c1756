"""Requests in the form that a server understands: not each one knows all of OpenAI's protocol."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import APIStatusError

# Left out where a server does not know them: nothing depends on either.
_OPTIONAL = ("temperature", "stream_options")
_ABOUT_FORMATS = ("response_format", "json_schema", "json_object", "schema", "grammar")


class RequestForm:
    """How one server wants to be asked, learnt from what it refuses."""

    def __init__(self) -> None:
        self._formats = ["json_schema", "json_object", "text"]
        self._limit = "max_tokens"
        self._left_out: set[str] = set()

    def request(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any],
        schema_name: str,
        max_tokens: int,
    ) -> dict[str, Any]:
        """The arguments of a chat completion, streamed, whose answer is one JSON object."""
        request: dict[str, Any] = {
            "model": model,
            "messages": [dict(message) for message in messages],
            self._limit: max_tokens,
            "temperature": 0,
            "stream_options": {"include_usage": True},
        }
        if self._formats[0] == "json_schema":
            # Not strict: that forbids optional keys and objects with keys of one's own.
            form = {"name": schema_name, "schema": dict(schema), "strict": False}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        else:
            request["messages"] = _with_schema(request["messages"], schema)
        if self._formats[0] == "json_object":
            request["response_format"] = {"type": "json_object"}
        return {name: value for name, value in request.items() if name not in self._left_out}

    def give_way(self, refusal: "APIStatusError") -> bool:
        """Leaves out what a server says it does not understand.

        Args:
            refusal: What it answered.

        Returns:
            Whether there is another form to try.
        """
        if refusal.status_code not in (400, 422) or refusal.code == "context_length_exceeded":
            return False
        said = f"{refusal.param or ''} {refusal.message}".lower()
        if "max_completion_tokens" in said and self._limit == "max_tokens":
            self._limit = "max_completion_tokens"
            return True
        for name in _OPTIONAL:
            if name in said and name not in self._left_out:
                self._left_out.add(name)
                return True
        if any(word in said for word in _ABOUT_FORMATS) and len(self._formats) > 1:
            self._formats.pop(0)
            return True
        return False


def _with_schema(
    messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any]
) -> list[dict[str, str]]:
    """The messages, with the schema in words: at the beginning, as some models take no other."""
    told = f"Answer with one JSON object that fits this JSON schema:\n{json.dumps(schema)}"
    rest = [dict(message) for message in messages]
    if rest and rest[0]["role"] == "system":
        rest[0]["content"] += f"\n\n{told}"
        return rest
    return [{"role": "system", "content": told}, *rest]
