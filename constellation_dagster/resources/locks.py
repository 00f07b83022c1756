"""Locks with fencing, kept in Valkey or Redis: one at a time, and who comes late is found out.

A lock expires when its holder has gone. A holder that was only asleep cannot know that, so each
acquisition gets a token greater than all before it. Write the token with whatever the lock protects,
and refuse a write whose token is smaller than the one that is there.

Tokens are the server's clock in microseconds, or one more than the last token, whichever is greater.
So they grow on when the server has lost all that it knew, unless its clock has gone back as well.
"""

import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import uuid4

from constellation_dagster.domain.errors import ConstellationError

if TYPE_CHECKING:
    from redis import Redis

_PREFIX = "constellation:lock:"
_POLL_SECONDS = 0.05
_REQUEST_SECONDS = 2.0

# Said again after its answer was lost, it answers the same.
_ACQUIRE = """
local held = redis.call('GET', KEYS[1])
if held and cjson.decode(held).id ~= ARGV[2] then
  return {0, held}
end
local token = held and cjson.decode(held).token
if not token then
  local now = redis.call('TIME')
  local last = tonumber(redis.call('GET', KEYS[2]) or '0')
  token = string.format('%.0f', math.max(last + 1, now[1] * 1000000 + now[2]))
  redis.call('SET', KEYS[2], token, 'EX', 86400)
end
local value = cjson.decode(ARGV[1])
value.token = token
redis.call('SET', KEYS[1], cjson.encode(value), 'PX', ARGV[3])
return {1, token}
"""
_RENEW = """
local held = redis.call('GET', KEYS[1])
if held and cjson.decode(held).id == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
"""
_RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and cjson.decode(held).id == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
"""


class LockUnavailable(ConstellationError):
    """The server of the locks does not answer."""


class LockHeld(ConstellationError):
    """Somebody else has the lock, and had it for as long as one would wait."""


class LockLost(ConstellationError):
    """The lock was held and is no longer: what it protects may be somebody else's by now."""


@dataclass(frozen=True)
class Holder:
    """Who has a lock.

    Attributes:
        host: Name of their machine.
        pid: Their process.
        since: Unix time of the acquisition, by their clock.
    """

    host: str
    pid: int
    since: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, for {max(0.0, time.time() - self.since):.0f} s"


class FencedLock:
    """A lock by name, held while the context lasts and renewed in the background.

    with FencedLock(url, "deployment/iris") as lock:
        write(..., fence=lock.token)
    """

    def __init__(
        self, redis_url: str, name: str, *, timeout: float = 10.0, expiry: float = 10.0
    ) -> None:
        """A lock that is not held yet.

        Args:
            redis_url: The server, as `redis.Redis.from_url` understands it.
            name: What it is about.
            timeout: Seconds to wait for somebody else who has it.
            expiry: So many seconds after its holder has died it is free again.
        """
        self._redis_url = redis_url
        self._name = name
        self._timeout = timeout
        self._expiry = expiry
        self._id = ""
        self._token: int | None = None
        self._valid_until = 0.0
        self._taken = False
        self._ended = threading.Event()
        self._renewer: threading.Thread | None = None

    @property
    def token(self) -> int:
        """The fencing number of this acquisition.

        Raises:
            LockLost: It is known not to be held any more.
        """
        self.check()
        assert self._token is not None
        return self._token

    def check(self) -> None:
        """Go on only if the lock is held, as far as can be known here.

        Raises:
            LockLost: It is not.
        """
        if self._token is None or self._taken or time.monotonic() > self._valid_until:
            raise LockLost(
                f"The lock {self._name!r} is not held any more: it expired, or its server forgot "
                "it. Begin again."
            )

    def __enter__(self) -> Self:
        """Wait for it.

        Raises:
            LockHeld: Somebody else did not release it in time; the message says who.
            LockUnavailable: The server does not answer.
        """
        from redis import RedisError

        client = self._client()
        self._id, self._taken = uuid4().hex, False
        try:
            self._token = self._wait(client)
        except RedisError as error:
            client.close()
            raise LockUnavailable(
                f"The lock {self._name!r} cannot be had, since the server at REDIS_URL does not "
                f"answer: {error}"
            ) from error
        except BaseException:
            client.close()
            raise
        self._ended.clear()
        self._renewer = threading.Thread(
            target=self._renew, args=(client,), name=f"lock {self._name}", daemon=True
        )
        self._renewer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        assert self._renewer is not None
        self._renewer.join()
        self._token = None

    def _client(self) -> "Redis":
        from redis import Redis

        try:
            return Redis.from_url(
                self._redis_url,
                socket_timeout=_REQUEST_SECONDS,
                socket_connect_timeout=_REQUEST_SECONDS,
            )
        except ValueError as error:
            raise LockUnavailable(f"REDIS_URL is no address of a server: {error}") from error

    def _wait(self, client: "Redis") -> int:
        key = f"{_PREFIX}{self._name}"
        deadline = time.monotonic() + self._timeout
        while True:
            began = time.monotonic()
            holder = Holder(socket.gethostname(), os.getpid(), time.time())
            value = json.dumps({"id": self._id, **vars(holder)})
            script = (_ACQUIRE, 2, key, f"{key}:fence", value, self._id, self._milliseconds)
            got, told = cast("tuple[int, bytes]", client.eval(*script))
            if got:
                self._valid_until = began + self._expiry
                return int(told)
            if time.monotonic() >= deadline:
                raise LockHeld(
                    f"The lock {self._name!r} is held by {_holder(told)}; waited "
                    f"{self._timeout:g} s."
                )
            time.sleep(_POLL_SECONDS)

    def _renew(self, client: "Redis") -> None:
        """Until the end of the context: keep it; then give it back."""
        from redis import RedisError

        key = f"{_PREFIX}{self._name}"
        with client:
            while not self._ended.wait(self._expiry / 3):
                began = time.monotonic()
                try:
                    kept = client.eval(_RENEW, 1, key, self._id, self._milliseconds)
                except RedisError:
                    continue  # it may come back before the lock expires
                if not kept:
                    self._taken = True
                    return
                self._valid_until = began + self._expiry
            try:
                client.eval(_RELEASE, 1, key, self._id)
            except RedisError:
                return  # it expires

    @property
    def _milliseconds(self) -> int:
        return round(self._expiry * 1000)


def _holder(value: bytes) -> Holder:
    told: dict[str, Any] = json.loads(value)
    return Holder(told["host"], told["pid"], told["since"])
