"""A server that speaks OpenAI's protocol over a real socket and answers from recordings.

Recordings are exchanges as they were on the wire: a status, headers, and the pieces of the body as
they came. New ones are made by standing between a client and a real server:

    python -m tests.agent.openai_server --record http://127.0.0.1:8080/v1
"""

import argparse
import json
import socket
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from typing_extensions import override

RECORDINGS = Path(__file__).with_name("recordings")
KEY = "sk-only-for-tests"
MODELS = ("small", "gpt-4o-mini")


@dataclass(frozen=True)
class Exchange:
    """One answer.

    Attributes:
        status: Of the response.
        headers: Of the response.
        chunks: Pieces of the body, as they are sent.
        pause: Seconds before each piece.
        drop_after: After so many pieces the connection is cut.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    chunks: Sequence[str] = ()
    pause: float = 0.0
    drop_after: int | None = None

    def slow(self, pause: float) -> "Exchange":
        """The same, dribbled."""
        return replace(self, pause=pause)

    def dropped(self, after: int) -> "Exchange":
        """The same, cut off after so many pieces."""
        return replace(self, drop_after=after)


def recording(name: str) -> Exchange:
    """A recorded answer, by the name of its file."""
    told = json.loads((RECORDINGS / f"{name}.json").read_text())
    return Exchange(told["status"], told["headers"], tuple(told["chunks"]))


def saying(text: str, *, tokens_in: int = 100, tokens_out: int | None = None) -> Exchange:
    """A streamed answer with a text of one's own."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "small"}

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        return f"data: {json.dumps({**head, 'choices': choices, **more})}\n\n"

    pieces = [text[start : start + 8] for start in range(0, len(text), 8)]
    said = [event([{"index": 0, "delta": {"content": piece}}]) for piece in pieces]
    written = len(pieces) if tokens_out is None else tokens_out
    usage = {
        "prompt_tokens": tokens_in,
        "completion_tokens": written,
        "total_tokens": tokens_in + written,
    }
    end = event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    chunks = (*said, end, event([], usage=usage), "data: [DONE]\n\n")
    return Exchange(200, {"content-type": "text/event-stream"}, chunks)


class OpenAIServer:
    """Plays exchanges one after another, the last one again and again.

    Attributes:
        url: What OPENAI_BASE_URL is set to.
        requests: Bodies of the requests that an exchange has answered.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.requests: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = [recording("good")]

    def play(self, *exchanges: Exchange) -> None:
        """What comes next."""
        with self._lock:
            self._exchanges = list(exchanges)

    def answer(self, path: str, authorization: str | None, request: dict[str, Any]) -> Exchange:
        """What one request is answered: wrong ones as OpenAI does."""
        if path != "/v1/chat/completions":
            return _refusal(404, f"Invalid URL (POST {path})")
        if authorization not in (f"Bearer {KEY}", "Bearer none"):
            return _refusal(401, f"Incorrect API key provided: {authorization}.", "invalid_api_key")
        if request["model"] not in MODELS:
            told = f"The model `{request['model']}` does not exist or you do not have access to it."
            return _refusal(404, told, "model_not_found")
        with self._lock:
            self.requests.append(request)
            return self._exchanges.pop(0) if len(self._exchanges) > 1 else self._exchanges[0]


def _refusal(status: int, message: str, code: str | None = None) -> Exchange:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    headers = {"content-type": "application/json; charset=utf-8"}
    return Exchange(status, headers, (json.dumps({"error": error}),))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    player: OpenAIServer

    @override
    def handle(self) -> None:
        with suppress(ConnectionError):  # the client has hung up
            super().handle()

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        exchange = self.player.answer(self.path, self.headers["authorization"], request)
        self.begin(exchange.status, exchange.headers)
        for number, chunk in enumerate(exchange.chunks):
            if number == exchange.drop_after:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            time.sleep(exchange.pause)
            self.send(chunk)
        self.send("")

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def send(self, chunk: str) -> None:
        """A piece of the body; the empty one ends it."""
        data = chunk.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Tests are silent."""


@contextmanager
def openai_server() -> Generator[OpenAIServer]:
    """A server on a free port, for as long as the context lasts."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        player = OpenAIServer(server.server_address[1])
        handler.player = player
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield player
        finally:
            server.shutdown()
            thread.join()


class _Recorder(_Handler):
    """Passes requests on to a real server, and keeps what it answers."""

    upstream: str

    @override
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        kept = {name: self.headers[name] for name in ("content-type", "authorization")}
        url = self.upstream + self.path.removeprefix("/v1")
        chunks: list[str] = []
        with httpx.stream("POST", url, content=body, headers=kept, timeout=600) as response:
            kind = {"content-type": response.headers["content-type"]}
            self.begin(response.status_code, kind)
            for piece in response.iter_text():
                chunks.append(piece)
                self.send(piece)
            self.send("")
        exchange = {
            "request": json.loads(body),
            "status": response.status_code,
            "headers": kind,
            "chunks": chunks,
        }
        file = RECORDINGS / f"recorded_{time.time_ns()}.json"
        file.write_text(json.dumps(exchange, indent=1, ensure_ascii=False) + "\n")
        print(f"{file.name}: {response.status_code}, {len(chunks)} pieces", flush=True)


def _record(upstream: str, port: int) -> None:
    handler = type("Handler", (_Recorder,), {"upstream": upstream.rstrip("/")})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"Set OPENAI_BASE_URL to http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Records what a real server answers.")
    parser.add_argument("--record", metavar="BASE_URL", required=True)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    _record(arguments.record, arguments.port)
