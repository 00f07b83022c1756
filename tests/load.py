"""Load for endpoints: connections that are kept open, each with one request at a time, and every answer looked at.

with Load(url, exchanges, headers) as load:
    ...  # what must not disturb anybody
assert load.report.problems == []
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlsplit

import httptools
import uvloop

# A request that has no answer by then is lost.
ANSWER_SECONDS = 30.0
_EXAMPLES = 5


@dataclass(frozen=True)
class Exchange:
    """A request's body, and whether an answer's is the right one to it."""

    body: bytes
    right: Callable[[bytes], bool]


@dataclass
class Report:
    """What came of the requests.

    Attributes:
        sent: Requests that were begun.
        statuses: Answers by HTTP status.
        wrong: Answers with status 200 that were not right.
        lost: Requests without an answer.
        examples: Words on the first ones that went wrong.
        seconds: How long each answered request took.
    """

    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    wrong: int = 0
    lost: int = 0
    examples: list[str] = field(default_factory=list[str])
    seconds: list[float] = field(default_factory=list[float])

    @property
    def problems(self) -> list[str]:
        """All that is not as it should be: every request answered with 200, and rightly."""
        answered = sum(self.statuses.values())
        found = [
            f"{count} of {self.sent} were answered with {status}"
            for status, count in sorted(self.statuses.items())
            if status != 200
        ]
        found += [f"{self.wrong} answers were wrong"] if self.wrong else []
        found += [f"{self.lost} of {self.sent} were lost"] if self.lost else []
        found += ["nothing was sent"] if not self.sent else []
        found += [] if answered + self.lost == self.sent else ["the counts do not add up"]
        return [*found, *self.examples] if found else []

    def quantile(self, part: float) -> float:
        """Seconds that this part of the answers did not take longer than."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    def note(self, words: str) -> None:
        """Keep it if it is among the first."""
        if len(self.examples) < _EXAMPLES:
            self.examples.append(words)


class Load:
    """Requests from a thread of its own, from the beginning of the context to its end."""

    def __init__(
        self,
        url: str,
        exchanges: Sequence[Exchange],
        headers: Mapping[str, str] | None = None,
        *,
        connections: int = 32,
        requests: int | None = None,
    ) -> None:
        """Load that has not begun.

        Args:
            url: Where each request is POSTed to.
            exchanges: What is sent, one after the other and from the beginning again.
            headers: Besides Content-Type and Content-Length.
            connections: How many, so many requests are on their way at any time.
            requests: Stop after so many; None goes on until the context ends.
        """
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._host, self._port = parts.hostname, parts.port or 80
        head = {"Host": parts.netloc, "Content-Type": "application/json", **(headers or {})}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self._exchanges = [
            (
                f"POST {parts.path} HTTP/1.1\r\n{lines}Content-Length: {len(e.body)}\r\n\r\n".encode()
                + e.body,
                e.right,
            )
            for e in exchanges
        ]
        self._connections = connections
        self._requests = requests
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.report = Report()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._requests is None or kind is not None:
            self._stopped = True
        # Those that are on their way have their time; so many requests may take any.
        self._thread.join(2 * ANSWER_SECONDS if self._stopped else None)
        assert not self._thread.is_alive()

    def wait_for(self, requests: int) -> None:
        """Go on once so many more have been answered or lost."""
        goal = self._ended + requests
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._ended < goal and self._thread.is_alive():
            assert time.monotonic() < deadline, f"{self.report.sent} sent, {self._ended} ended"
            time.sleep(0.01)

    @property
    def _ended(self) -> int:
        return len(self.report.seconds) + self.report.lost

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._keep_going())

    async def _keep_going(self) -> None:
        await asyncio.gather(*(self._keep_connected() for _ in range(self._connections)))

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        while self.more:
            closed = loop.create_future()
            try:
                await loop.create_connection(
                    lambda closed=closed: _Connection(self, closed), self._host, self._port
                )
            except OSError as error:
                self.report.note(f"no connection: {error}")
                await asyncio.sleep(0.05)
            else:
                await closed

    @property
    def more(self) -> bool:
        """Whether another request is to be sent."""
        enough = self._requests is not None and self.report.sent >= self._requests
        return not (self._stopped or enough)

    def take(self) -> tuple[bytes, Callable[[bytes], bool]]:
        """The next request, and how to tell whether its answer is right."""
        exchange = self._exchanges[self.report.sent % len(self._exchanges)]
        self.report.sent += 1
        return exchange


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load, closed: asyncio.Future[None]) -> None:
        self._load = load
        self._report = load.report
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._waiting = False
        self._right: Callable[[bytes], bool] = bool
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._watch = self._loop.call_later(ANSWER_SECONDS, self._look)
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._report.note(f"no HTTP: {error}")
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        if self._waiting:
            self._waiting = False
            self._report.lost += 1
            self._report.note(f"closed without an answer: {exc or 'end of file'}")
        self._closed.set_result(None)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue: the answer is still to come
            return
        self._waiting = False
        body = b"".join(self._body)
        self._report.seconds.append(time.perf_counter() - self._began)
        self._report.statuses[status] += 1
        if status != 200:
            self._report.note(f"{status}: {body[:200]!r}")
        elif not self._right(body):
            self._report.wrong += 1
            self._report.note(f"not the answer: {body[:200]!r}")
        if self._parser.should_keep_alive():
            self._loop.call_soon(self._send)
        else:
            self._transport.close()

    def _send(self) -> None:
        if not self._load.more or self._transport.is_closing():
            self._transport.close()
            return
        request, self._right = self._load.take()
        self._body.clear()
        self._waiting = True
        self._began = time.perf_counter()
        self._transport.write(request)

    def _look(self) -> None:
        age = time.perf_counter() - self._began
        if self._waiting and age >= ANSWER_SECONDS:
            self._report.note(f"no answer within {ANSWER_SECONDS:.0f} s")
            self._transport.abort()
            return
        self._watch = self._loop.call_later(ANSWER_SECONDS / 10, self._look)
