"""Requests to Supabase's REST interface that survive a restart of what answers them."""

from collections.abc import Callable
from typing import Any, Protocol

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from constellation_dagster.domain.errors import ConstellationError

RETRY_SECONDS = 15.0
# PostgREST answers 503 for some seconds after Postgres has restarted; 57P0x is Postgres going down.
_TRANSIENT_CODES = ("PGRST000", "PGRST001", "PGRST002", "PGRST003", "57P01", "57P02", "57P03")


class SupabaseError(ConstellationError):
    """Supabase refused a request, or could not be reached."""


class Request(Protocol):
    """A query built with supabase-py, not sent yet."""

    def execute(self) -> Any:
        """Sends it."""
        ...


def fetch(request: Request, seconds: float = RETRY_SECONDS) -> Any:
    """Sends a request that may be sent twice, and again while Supabase is unreachable.

    Args:
        request: A query that has the same effect however often it runs.
        seconds: How long to go on trying.

    Returns:
        The response's data.

    Raises:
        SupabaseError: It was refused, or nobody answered in time.
    """
    attempts = Retrying(
        retry=retry_if_exception(_is_transient),
        stop=stop_after_delay(seconds),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        reraise=True,
    )
    return _send(lambda: attempts(request.execute))


def insert(request: Request) -> Any:
    """Sends a request that must not be sent twice, once.

    Returns:
        The response's data.

    Raises:
        SupabaseError: It was refused, or nobody answered.
    """
    return _send(request.execute)


def _send(send: Callable[[], Any]) -> Any:
    from postgrest import APIError

    try:
        return send().data
    except APIError as error:
        said = [error.message or str(error.code), error.hint]
        raise SupabaseError(" ".join(f"{part.rstrip('.')}." for part in said if part)) from error
    except httpx.HTTPError as error:
        raise SupabaseError(
            f"Supabase does not answer ({type(error).__name__}: {error}). "
            "See `constellation status`."
        ) from error


def _is_transient(error: BaseException) -> bool:
    from postgrest import APIError

    if isinstance(error, APIError):
        return str(error.code) in _TRANSIENT_CODES or str(error.code) in ("502", "503", "504")
    return isinstance(error, httpx.TransportError)
