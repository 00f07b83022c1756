"""A request that has come over HTTP, and what a client may ask of a connection."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

JSON = b"application/json"


@dataclass(frozen=True)
class Limits:
    """What a client may ask of a connection.

    Attributes:
        body_bytes: Largest body.
        head_bytes: Largest request line with all headers.
        receive_seconds: Time for a request to arrive in full.
        keep_alive_seconds: How long a connection without a request stays open. Longer than proxies
            keep theirs (Caddy two minutes): who closes first loses no request of the other.
        linger_seconds: How long what a refused client still sends is read and thrown away, so
            that it gets to read why.
        send_seconds: How long a client may leave an answer unread.
        drain_idle_seconds: How long a quiet connection stays open once the server is to end.
    """

    body_bytes: int = 16 * 1024 * 1024
    head_bytes: int = 32 * 1024
    receive_seconds: float = 30.0
    keep_alive_seconds: float = 150.0
    linger_seconds: float = 5.0
    send_seconds: float = 60.0
    drain_idle_seconds: float = 1.0


class Sender(Protocol):
    """Where an answer goes."""

    def send(
        self, request: "Request", status: int, body: bytes, content_type: bytes, headers: bytes
    ) -> None:
        """Writes it."""
        ...


class Request:
    """A request, and the way to answer it.

    Args:
        connection: Where it came from.
        method: Such as GET.
        path: Without a query.
        headers: By their names in lower case.
        body: The whole body.
        keep_alive: Whether its connection may stay open.
        refusal: Status and reason, when HTTP itself forbids it.
    """

    __slots__ = (
        "_connection",
        "began",
        "body",
        "cancel",
        "headers",
        "id",
        "is_open",
        "keep_alive",
        "method",
        "path",
        "refusal",
    )

    def __init__(
        self,
        connection: Sender,
        method: bytes,
        path: bytes,
        headers: dict[bytes, bytes],
        body: bytes,
        keep_alive: bool,
        refusal: tuple[int, str] | None,
    ) -> None:
        self._connection = connection
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.keep_alive = keep_alive
        self.refusal = refusal
        # What it is called in logs, and in its answer.
        self.id = b""
        # When its answer was begun, on the monotonic clock.
        self.began = 0.0
        # False once it is answered, or nobody is there to read an answer.
        self.is_open = True
        # What to call when its client has gone.
        self.cancel: Callable[[], None] | None = None

    def answer(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: bytes = b""
    ) -> None:
        """Sends the answer, once.

        Args:
            status: HTTP status.
            body: The whole body.
            content_type: What it is.
            headers: More header lines, each with its end.
        """
        if self.is_open:
            self.is_open = False
            self._connection.send(self, status, body, content_type, headers)
