"""What happens in a turn while it happens, in Valkey or Redis: for whoever looks on.

Rows say what came of a turn. A stream is only quicker, so nothing here ever fails a turn, and a
reader that finds no stream reads rows.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

if TYPE_CHECKING:
    from redis import Redis

EventKind = Literal["progress", "token", "done"]

_PREFIX = "constellation:turn:"
_KEPT_SECONDS = 3600
# Longer than any reply; a model that never stops fills no memory.
_LONGEST = 20_000
_REQUEST_SECONDS = 2.0


@dataclass(frozen=True)
class TurnEvent:
    """Something that happened in a turn.

    Attributes:
        kind: `progress` is a step that begins, `token` a piece of the reply, `done` the end.
        text: The step in words, or the piece.
    """

    kind: EventKind
    text: str = ""


class TurnStream:
    """The stream of the turn that answers one message."""

    def __init__(self, redis_url: str | None, message_id: UUID) -> None:
        """A stream that may have nothing in it yet.

        Args:
            redis_url: The server; without one there is nothing to write or read.
            message_id: The message that the turn answers.
        """
        self._redis_url = redis_url
        self._key = f"{_PREFIX}{message_id}"

    def begin(self) -> None:
        """Forgets what an earlier run has written for the same message."""
        with self._client() as client:
            if client is not None:
                client.delete(self._key)

    def add(self, kind: EventKind, *texts: str) -> None:
        """Writes events; a server that does not answer is left alone."""
        with self._client() as client:
            if client is None:
                return
            commands = client.pipeline(transaction=False)
            for text in texts or ("",):
                event: dict[Any, Any] = {"kind": kind, "text": text}
                commands.xadd(self._key, event, maxlen=_LONGEST, approximate=True)
            commands.expire(self._key, _KEPT_SECONDS)
            commands.execute()

    def follow(self, wait_seconds: float) -> Iterator[TurnEvent | None]:
        """What happens from the beginning on, to the end of the turn.

        Yields:
            An event, or None when nothing happened for a while: the time to look at the row. It
            ends after `done`, and at once when there is no server or it does not answer.
        """
        with self._client() as client:
            last = b"0"
            while client is not None:
                answer = client.xread({self._key: last}, count=100, block=int(wait_seconds * 1000))
                streams = cast("list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]", answer)
                if not streams:
                    yield None
                for position, fields in streams[0][1] if streams else ():
                    last = position
                    kind = cast("EventKind", fields[b"kind"].decode())
                    yield TurnEvent(kind, fields[b"text"].decode())
                    if kind == "done":
                        return

    @contextmanager
    def _client(self) -> "Generator[Redis | None]":
        """A client while it answers; None without a server."""
        if self._redis_url is None:
            yield None
            return
        from redis import Redis, RedisError

        try:
            client = Redis.from_url(
                self._redis_url,
                socket_timeout=_REQUEST_SECONDS,
                socket_connect_timeout=_REQUEST_SECONDS,
            )
        except ValueError:  # no address of a server
            yield None
            return
        with client:
            try:
                yield client
            except RedisError:
                return  # the rows have it all
