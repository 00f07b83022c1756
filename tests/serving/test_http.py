"""HTTP/1.1: what a connection reads and writes, with limits that are short enough to see."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import uvloop

from constellation_dagster.serving.http import HttpServer
from constellation_dagster.serving.http_request import Limits, Request

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


class Service:
    """Answers with the path and the body; `/later` when it is told to."""

    def __init__(self, limits: Limits) -> None:
        self.http = HttpServer(self.handle, limits)
        self.later: list[Request] = []
        self.refused: list[tuple[int, str]] = []
        self.cancelled = 0

    def handle(self, request: Request) -> None:
        if request.refusal is not None:
            self.refused.append(request.refusal)
            request.answer(request.refusal[0], request.refusal[1].encode())
        elif request.path == b"/later":
            request.cancel = self.cancel
            self.later.append(request)
        elif request.path == b"/large":
            request.answer(200, b"x" * 5_000_000)
        else:
            request.answer(200, request.path + b" " + request.body)

    def cancel(self) -> None:
        self.cancelled += 1


async def until(is_so: Callable[[], object]) -> None:
    """Waits for what a server does in its own time."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split(" ")[1]), headers, body

    async def end(self) -> bytes:
        """All that still comes until the other side closes."""
        return await self.reader.read()


Connect = Callable[[], Coroutine[Any, Any, Client]]


def run(test: Callable[[Connect, Service], Coroutine[Any, Any, None]], **limits: Any) -> None:
    async def within() -> None:
        service = Service(Limits(**limits))
        loop = asyncio.get_running_loop()
        server = await loop.create_server(service.http.connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        clients: list[Client] = []

        async def ticking() -> None:
            while True:
                await asyncio.sleep(0.02)
                service.http.tick()

        async def connect() -> Client:
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            clients.append(client)
            return client

        ticks = asyncio.create_task(ticking())
        try:
            await test(connect, service)
        finally:
            ticks.cancel()
            server.close()
            for client in clients:
                client.writer.transport.abort()
            # uvloop does not end well with connections that are open.
            await service.http.all_closed()
            await asyncio.sleep(0.01)

    uvloop.run(asyncio.wait_for(within(), 60))


def test_one_after_another_on_one_connection() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        for number in range(3):
            client.send(GET % number)
            status, headers, body = await client.reply()
            assert (status, body) == (200, b"/%d " % number)
            assert "connection" not in headers
            told = parsedate_to_datetime(headers["date"])
            assert abs(told - datetime.now(UTC)) < timedelta(seconds=30)
        assert len(service.http.connections) == 1
        assert service.http.in_flight == 0

    run(test)


def test_bodies_in_pieces_and_chunks() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        for byte in b"POST /a?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc":
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.reply())[2] == b"/a abc"
        client.send(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        )
        assert (await client.reply())[2] == b"/ abc"

    run(test)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(b"GET /later HTTP/1.1\r\n\r\n" + b"".join(GET % n for n in range(500)))
        await until(lambda: service.later)
        service.later[0].answer(200, b"first")
        assert (await client.reply())[2] == b"first"
        for number in range(500):
            assert (await client.reply())[2] == b"/%d " % number

    run(test)


def test_a_client_that_sends_more_and_more_is_held_back() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(b"GET /later HTTP/1.1\r\n\r\n")
        await until(lambda: service.later)
        many = 60_000
        client.send(b"".join(GET % n for n in range(many)))
        for _ in range(100):
            await asyncio.sleep(0.001)
        [connection] = service.http.connections
        assert len(connection._queue) < many / 2  # pyright: ignore[reportPrivateUsage]
        service.later[0].answer(200, b"")
        await client.reply()
        for number in range(many):
            assert (await client.reply())[2] == b"/%d " % number

    run(test)


def test_the_last_request_of_a_connection() -> None:
    async def test(connect: Connect, service: Service) -> None:
        for head in (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
            client = await connect()
            client.send(head)
            assert (await client.reply())[1]["connection"] == "close"
            assert await client.end() == b""
        await service.http.all_closed()

    run(test)


def test_head_has_no_body() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(b"HEAD /a HTTP/1.1\r\n\r\n" + GET % 1)
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 3" in head
        assert (await client.reply())[2] == b"/1 "

    run(test)


def test_expect_and_upgrade() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(b"POST / HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"a")
        assert (await client.reply())[2] == b"/ a"
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
        client.send((b"GET /%d HTTP/1.1\r\n" + offer + b"\r\n") * 3 % (1, 2, 3))
        for number in (1, 2, 3):
            assert (await client.reply())[2] == b"/%d " % number
        client.send(b"POST /4 HTTP/1.1\r\nContent-Length: 2\r\n" + offer + b"\r\nab" + GET % 5)
        assert (await client.reply())[2] == b"/4 ab"
        assert (await client.reply())[2] == b"/5 "

    run(test)


@pytest.mark.parametrize(
    ("sent", "status", "why"),
    [
        (b"hello\r\n\r\n", 400, "this is not HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "Content-Length"),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "Transfer-Encoding",
        ),
        (b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413, "1000 are the most"),
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000,
            413,
            "1000 are the most",
        ),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 600, 431, "more than 500 bytes"),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 600 + b"\r\n\r\n", 431, "more than 500 bytes"),
        (b"GET /" + b"x" * 600, 431, "more than 500 bytes"),
        (b"GET / HTTP/1.1\r\nA:", 408, "did not arrive in full within 0.3 s"),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", 408, "within 0.3 s"),
    ],
)
def test_what_is_refused(sent: bytes, status: int, why: str) -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(GET % 1)
        assert (await client.reply())[0] == 200
        client.send(sent)
        found, headers, body = await client.reply()
        assert found == status
        assert why in body.decode()
        assert headers["connection"] == "close"
        # It may go on sending, and nobody listens.
        client.send(b"x" * 1000 + GET % 2)
        assert await client.end() == b""
        assert len(service.refused) == 1
        client.writer.close()
        await service.http.all_closed()

    run(test, body_bytes=1000, head_bytes=500, receive_seconds=0.3, linger_seconds=0.3)


def test_a_large_body_that_is_refused_while_it_is_sent() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000)
        assert (await client.reply())[0] == 413
        assert await client.end() == b""

    run(test)


def test_what_came_before_a_refusal_is_answered_first() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(b"GET /later HTTP/1.1\r\n\r\n" + GET % 1 + b"nonsense\r\n\r\n")
        await until(lambda: service.later)
        service.later[0].answer(200, b"first")
        assert [(await client.reply())[0] for _ in range(3)] == [200, 200, 400]
        assert await client.end() == b""

    run(test)


def test_a_client_that_goes_away_is_not_waited_for() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(b"GET /later HTTP/1.1\r\n\r\n")
        await until(lambda: service.later)
        assert service.http.in_flight == 1
        client.writer.transport.abort()
        await service.http.all_closed()
        assert (service.cancelled, service.http.in_flight) == (1, 0)
        service.later[0].answer(200, b"to nobody")
        assert service.http.in_flight == 0

    run(test)


def test_a_client_that_does_not_read_is_given_up() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.send(b"GET /large HTTP/1.1\r\n\r\n" * 4)
        await asyncio.sleep(0.05)
        assert len(service.http.connections) == 1
        await service.http.all_closed()

    run(test, send_seconds=0.3)


def test_idle_connections_are_closed_in_time() -> None:
    async def test(connect: Connect, service: Service) -> None:
        client = await connect()
        client.send(GET % 1)
        await client.reply()
        assert await client.end() == b""

    run(test, keep_alive_seconds=0.2)


def test_draining() -> None:
    async def test(connect: Connect, service: Service) -> None:
        idle, busy, asking = await connect(), await connect(), await connect()
        busy.send(b"GET /later HTTP/1.1\r\n\r\n" + GET % 7)
        await until(lambda: service.later)
        service.http.draining = True
        # What comes on open connections is answered, and closes them.
        asking.send(GET % 1)
        status, headers, _ = await asking.reply()
        assert (status, headers["connection"]) == (200, "close")
        assert await asking.end() == b""
        assert await idle.end() == b""
        service.later[0].answer(200, b"at last")
        assert (await busy.reply())[2] == b"at last"
        status, headers, body = await busy.reply()
        assert (body, headers["connection"]) == (b"/7 ", "close")
        await service.http.all_closed()

    run(test, drain_idle_seconds=0.1)
