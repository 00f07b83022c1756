"""HTTP/1.1 on asyncio: llhttp parses, and this says what a server does beside.

A request costs a third of the processor time that it costs in an ASGI server (docs/benchmarks.md),
and limits, slow clients and the end of the process are decided here, where the connections are.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import cast

import httptools

from constellation_dagster.serving.http_request import Limits, Request

_STATUS = {status.value: f"{status.value} {status.phrase}".encode() for status in HTTPStatus}
_HAS_BODY = frozenset({b"content-length", b"transfer-encoding"})
_OFFER = frozenset({b"upgrade", b"connection"})
# In English, as long as nobody sets another locale. (email.utils takes 10 ms to import.)
_DATE = "date: %a, %d %b %Y %H:%M:%S GMT\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpServer:
    """What the connections of a server share.

    Args:
        handle: Called with each request, refused ones too.
        limits: What clients may ask.

    Attributes:
        connections: All that are open.
        in_flight: Requests that are being answered.
        draining: Whether the server is to end, so that each answer closes its connection.
        date: The header line for this second.
    """

    def __init__(self, handle: Callable[[Request], None], limits: Limits) -> None:
        self.handle = handle
        self.limits = limits
        self.connections: set[Connection] = set()
        self.in_flight = 0
        self.draining = False
        self._closed = asyncio.Event()
        self.date = b""
        self.tick()

    def connection(self) -> "Connection":
        """A protocol for a new connection."""
        return Connection(self)

    def opened(self, connection: "Connection") -> None:
        """Counts a connection."""
        self.connections.add(connection)
        self._closed.clear()

    def closed(self, connection: "Connection") -> None:
        """Counts it no more."""
        self.connections.discard(connection)
        if not self.connections:
            self._closed.set()

    async def all_closed(self) -> None:
        """Waits until no connection is open."""
        if self.connections:
            await self._closed.wait()

    def tick(self) -> None:
        """Ends what has taken too long; called a few times a second."""
        self.date = time.strftime(_DATE, time.gmtime()).encode()
        now = time.monotonic()
        for connection in tuple(self.connections):
            connection.tick(now)


class Connection(asyncio.Protocol):
    """One connection. One request at a time is answered; others that have come wait in order."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._transport = cast("asyncio.Transport", None)
        self._parser = httptools.HttpRequestParser(self)
        self._current: Request | None = None
        self._queue: deque[Request] = deque()
        self._is_paused = False
        self._is_writable = True
        # From a refusal on, nothing more is read.
        self._is_refused = False
        self._head_again = b""
        self._forget()
        self._await_next()

    def _forget(self) -> None:
        """Makes ready for a next request."""
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._fed_to_head = 0
        self._is_receiving = False
        self._head_is_read = False

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._server.closed(self)
        self._queue.clear()
        if self._current is not None:
            self._current.is_open = False
            self._server.in_flight -= 1
            if self._current.cancel is not None:
                self._current.cancel()
            self._current = None

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered."""
        self._is_writable = False
        self._deadline = time.monotonic() + self._server.limits.send_seconds

    def resume_writing(self) -> None:
        """The client has read on."""
        self._is_writable = True
        self._await_next()
        self._dispatch()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        while data and not self._is_refused:
            if not self._head_is_read:
                self._fed_to_head += len(data)
            try:
                self._parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as upgrade:
                # Such as h2c, which some clients offer: HTTP/1.1 goes on.
                self._parser = httptools.HttpRequestParser(self)
                data = self._head_again + data[upgrade.args[0] :]
                self._head_again = b""
            except httptools.HttpParserError as error:
                self._refuse(400, f"this is not HTTP/1.1 as it should be: {error}")
        if not self._head_is_read and self._fed_to_head > self._server.limits.head_bytes:
            self._refuse_head()

    # What llhttp calls.

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._is_receiving = True
        if self._current is None and self._is_writable:
            self._deadline = time.monotonic() + self._server.limits.receive_seconds

    def on_url(self, url: bytes) -> None:
        """A part of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header."""
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The whole head."""
        self._head_is_read = True
        limits, headers = self._server.limits, self._headers
        length = headers.get(b"content-length")
        if self._fed_to_head > limits.head_bytes:
            size = len(self._url) + sum(len(name) + len(value) for name, value in headers.items())
            if size > limits.head_bytes:
                self._refuse_head()
        if length is not None and int(length) > limits.body_bytes:
            self._refuse_body(int(length))
        elif b"expect" in headers and self._current is None and not self._queue:
            self._transport.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._server.limits.body_bytes:
            self._refuse_body(self._body_bytes)
        elif not self._is_refused:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        if self._is_refused:
            return
        if self._parser.should_upgrade() and not _HAS_BODY.isdisjoint(self._headers):
            # llhttp takes the body for the other protocol. Without the offer it will read it.
            self._head_again = self._without_offer()
            self._forget()
            return
        self._queue.append(self._received(None))
        if self._current is None:
            self._dispatch()
        elif not self._is_paused:
            # More than one waits: what else comes stays with its sender.
            self._is_paused = True
            self._transport.pause_reading()

    # Requests and answers.

    def send(
        self, request: Request, status: int, body: bytes, content_type: bytes, headers: bytes
    ) -> None:
        """Writes an answer; called by the request."""
        server = self._server
        server.in_flight -= 1
        self._current = None
        # What has come already is answered before the server ends.
        stays = (
            request.keep_alive
            and request.refusal is None
            and not (server.draining and not self._queue)
        )
        self._transport.write(
            b"".join(
                (
                    b"HTTP/1.1 ",
                    _STATUS[status],
                    b"\r\ncontent-type: ",
                    content_type,
                    b"\r\ncontent-length: %d\r\n" % len(body),
                    server.date,
                    headers,
                    b"\r\n" if stays else b"connection: close\r\n\r\n",
                    body if request.method != b"HEAD" else b"",
                )
            )
        )
        if not stays:
            self._end(request)
            return
        if self._is_writable:
            self._await_next()
        if self._queue:
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _received(self, refusal: tuple[int, str] | None) -> Request:
        parts = self._body
        request = Request(
            self,
            self._parser.get_method(),
            self._url.partition(b"?")[0],
            self._headers,
            parts[0] if len(parts) == 1 else b"".join(parts),
            self._parser.should_keep_alive(),
            refusal,
        )
        self._forget()
        return request

    def _without_offer(self) -> bytes:
        """The head once more, without what offers another protocol."""
        lines = [b"%b %b HTTP/1.1" % (self._parser.get_method(), self._url)]
        lines += [
            b"%b: %b" % (name, value) for name, value in self._headers.items() if name not in _OFFER
        ]
        return b"\r\n".join([*lines, b"", b""])

    def _dispatch(self) -> None:
        if self._current is not None or not self._queue or not self._is_writable:
            return
        request = self._current = self._queue.popleft()
        request.began = time.monotonic()
        self._server.in_flight += 1
        if self._is_paused and not self._queue:
            self._is_paused = False
            self._transport.resume_reading()
        self._server.handle(request)

    def _await_next(self) -> None:
        limits = self._server.limits
        self._quiet_since = now = time.monotonic()
        self._deadline = now + (
            limits.receive_seconds if self._is_receiving else limits.keep_alive_seconds
        )

    def _refuse(self, status: int, why: str) -> None:
        """Refuses what cannot be read to its end, after what came before has been answered."""
        if self._is_refused:
            return
        self._is_refused = True
        self._queue.append(self._received((status, why)))
        self._dispatch()

    def _refuse_head(self) -> None:
        limit = self._server.limits.head_bytes
        self._refuse(431, f"the head of the request has more than {limit} bytes")

    def _refuse_body(self, size: int) -> None:
        limit = self._server.limits.body_bytes
        self._refuse(413, f"the body has {size} bytes or more, and {limit} are the most")

    def _end(self, request: Request) -> None:
        """Closes the connection; a client that still sends may read its answer first."""
        self._queue.clear()
        if request.refusal is None or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._deadline = time.monotonic() + self._server.limits.linger_seconds
        self._transport.write_eof()
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Ends the connection at once."""
        self._transport.abort()

    def tick(self, now: float) -> None:
        """Ends the connection, or refuses its request, when it has taken too long."""
        if self._current is not None:
            return
        limits = self._server.limits
        is_quiet = self._is_writable and not self._is_receiving and not self._is_refused
        if is_quiet and self._server.draining:
            if now - self._quiet_since > limits.drain_idle_seconds:
                self._transport.close()
        elif now > self._deadline:
            if self._is_receiving and not self._is_refused:
                seconds = limits.receive_seconds
                self._refuse(408, f"the request did not arrive in full within {seconds:g} s")
            else:
                self._transport.abort()
