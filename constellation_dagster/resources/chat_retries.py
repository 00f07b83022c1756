"""When to ask a language model's server again, and how long to wait before that."""

import math
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay

from constellation_dagster.resources.chat_completions import BrokenOff, DeadlinePassed

if TYPE_CHECKING:
    from openai import APIStatusError

T = TypeVar("T")

# One that is down mostly stays down; one that is busy is waited for until the time is up.
_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 8.0
_TRANSIENT_STATUSES = (408, 409, 425)


def persevere(ask: Callable[[], T], seconds: float) -> T:
    """Calls until it succeeds, while there is hope that it does.

    Args:
        ask: Raises what `chat_completions.send` does.
        seconds: No call begins later than so many seconds from now.

    Raises:
        Exception: What the last call raised.
    """
    late = stop_before_delay(seconds)
    attempts = Retrying(
        retry=retry_if_exception(_may_pass),
        wait=_pause,
        stop=lambda state: late(state) or _enough(state),
        reraise=True,
    )
    before: Exception | None = None

    def once() -> T:
        nonlocal before
        try:
            return ask()
        except DeadlinePassed:
            # What the server said before tells more than that the time is up.
            if before is not None:
                raise before from None
            raise
        except Exception as error:
            before = error
            raise

    return attempts(once)


def out_of_quota(error: "APIStatusError") -> bool:
    """Whether waiting does not help: what the key may use is used up."""
    return "insufficient_quota" in (error.code, error.type)


def _may_pass(error: BaseException) -> bool:
    from openai import APIConnectionError, APIError, APIStatusError

    if isinstance(error, APIStatusError):
        if error.status_code == 429:
            return not out_of_quota(error)
        return error.status_code >= 500 or error.status_code in _TRANSIENT_STATUSES
    # An APIError as such comes in the middle of a stream.
    return isinstance(error, APIConnectionError | BrokenOff) or type(error) is APIError


def _enough(state: RetryCallState) -> bool:
    from openai import RateLimitError

    return state.attempt_number >= _TRIES and not isinstance(_error(state), RateLimitError)


def _pause(state: RetryCallState) -> float:
    from openai import APIStatusError

    error = _error(state)
    asked = _retry_after(error) if isinstance(error, APIStatusError) else None
    if asked is not None:
        return asked
    pause = min(_FIRST_PAUSE_SECONDS * 2.0 ** (state.attempt_number - 1), _LONGEST_PAUSE_SECONDS)
    return pause * random.uniform(0.75, 1.0)  # noqa: S311 - spreads clients, guards nothing


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _retry_after(error: "APIStatusError") -> float | None:
    """Seconds that the server asks to be left alone; None if it does not say."""
    told = error.response.headers.get("retry-after")
    if told is None:
        return None
    try:
        seconds = float(told)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(told).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
