"""What people may use of the language model in a day, counted in Valkey or Redis.

It bounds what one person can cost, and nothing else hangs on it: with a server that does not answer
a turn goes on, within its own limits. A server that forgets begins the day anew.
"""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from loguru import logger

if TYPE_CHECKING:
    from redis import Redis

_PREFIX = "constellation:tokens:"
# Longer than the day that is counted, whatever the clocks say.
_KEPT_SECONDS = 2 * 86400
_REQUEST_SECONDS = 2.0


class Budget:
    """The tokens of one person, today (UTC)."""

    def __init__(self, redis_url: str | None, owner: UUID, daily_tokens: int) -> None:
        """A budget that knows what was spent before.

        Args:
            redis_url: The server, as `redis.Redis.from_url` understands it; without one, or with
                one that does not answer, nothing counts as spent.
            owner: The person.
            daily_tokens: What they may use in a day.
        """
        self._redis_url = redis_url
        self._owner = owner
        self._daily_tokens = daily_tokens

    def left(self) -> int:
        """Tokens that may be used today still, 0 or more."""
        spent = 0
        with self._client() as client:
            if client is not None:
                spent = int(cast("bytes | None", client.get(self._key)) or 0)
        return max(0, self._daily_tokens - spent)

    def spend(self, tokens: int) -> None:
        """Counts tokens that were used."""
        with self._client() as client:
            if client is None:
                return
            commands = client.pipeline(transaction=True)
            commands.incrby(self._key, tokens)
            commands.expire(self._key, _KEPT_SECONDS)
            commands.execute()

    @property
    def _key(self) -> str:
        return f"{_PREFIX}{self._owner}:{datetime.now(UTC).date().isoformat()}"

    @contextmanager
    def _client(self) -> "Generator[Redis | None]":
        """A client while it answers; None without a server."""
        if self._redis_url is None:
            logger.warning("Nobody counts the day's tokens: REDIS_URL is not set.")
            yield None
            return
        from redis import Redis, RedisError

        try:
            client = Redis.from_url(
                self._redis_url,
                socket_timeout=_REQUEST_SECONDS,
                socket_connect_timeout=_REQUEST_SECONDS,
            )
        except ValueError as error:
            logger.warning("Nobody counts the day's tokens: REDIS_URL is no address: {}", error)
            yield None
            return
        with client:
            try:
                yield client
            except RedisError as error:
                logger.warning(
                    "The day's tokens were not counted, since the server at REDIS_URL does not "
                    "answer: {}",
                    error,
                )
