"""What went wrong with a language model's server, worded for whoever can put it right."""

import socket
import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from constellation_dagster.resources.chat_completions import (
    BrokenOff,
    DeadlinePassed,
    OtherProtocol,
)
from constellation_dagster.resources.chat_retries import out_of_quota

if TYPE_CHECKING:
    from openai import APIError, APIStatusError

_LONGEST_QUOTE = 300


def place_of(base_url: str) -> str | None:
    """Host and port of a server, without what else its address may hold; None if it is none."""
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    return host if port is None else f"{host}:{port}"


def explain(error: Exception, model: str, place: str, secret: str | None, seconds: float) -> str:
    """Which server, what happened, and what to do.

    Args:
        error: What `chat_completions.send` raised.
        model: Name of the model.
        place: Host of the server.
        secret: The key, which is in no message.
        seconds: How long it was tried at most.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        what = _refused(error, model, secret)
    elif isinstance(error, DeadlinePassed):
        what = (
            f"did not finish its answer within {seconds:.3g} s. Try again when it has less to do, "
            "ask for less, or give it more time."
        )
    elif isinstance(error, BrokenOff):
        what = "broke off in the middle of its answer. See its log, and try again."
    elif isinstance(error, OtherProtocol):
        what = (
            f"does not speak OpenAI's protocol. {error} Correct OPENAI_BASE_URL: it mostly ends "
            "in /v1."
        )
    elif isinstance(error, openai.APIConnectionError):
        what = (
            f"cannot be reached: {_reason(error)}. Check that it runs, and that OPENAI_BASE_URL is "
            "right."
        )
    else:
        said = _quoted(error, secret) if isinstance(error, openai.APIError) else str(error)
        what = f"failed in the middle of its answer: {said}"
    return f"The language model's server {place} {what}"


def _refused(error: "APIStatusError", model: str, secret: str | None) -> str:
    status, said = error.status_code, _quoted(error, secret)
    told = f"{status}: {said}" if said else str(status)
    if status == 429 and out_of_quota(error):
        return f"says that the quota of OPENAI_API_KEY is used up ({told})."
    if status == 429:
        return "is busy: it asks to wait (429). Try again later."
    if status in (401, 403):
        return (
            f"does not accept the key ({status}). Set OPENAI_API_KEY to a key of that server that "
            f"may use {model!r}."
        )
    if status == 404:
        return (
            f"does not know the model {model!r}, or nothing is at that address ({told}). "
            "Correct OPENAI_MODEL, or OPENAI_BASE_URL, which mostly ends in /v1."
        )
    if status >= 500:
        return f"fails ({told}). See its log, and try again."
    return f"does not take the request ({told})."


def _quoted(error: "APIError", secret: str | None) -> str:
    """What the server says is wrong; nothing if it sends something else, such as a web page."""
    told = ""
    if isinstance(error.body, dict):
        told = " ".join(str(cast("dict[str, Any]", error.body).get("message", "")).split())
    if secret:
        told = told.replace(secret, "…")
    return told if len(told) <= _LONGEST_QUOTE else f"{told[:_LONGEST_QUOTE]}…"


def _reason(error: BaseException) -> str:
    import openai

    if isinstance(error, openai.APITimeoutError):
        return "it does not answer"
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return "there is no host of this name"
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid ({cause.verify_message})"
    return "the connection failed"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
