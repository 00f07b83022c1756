# type: ignore - what it imports is installed for the bench alone
"""The least that an ASGI app can do: read the body, answer a fixed one."""

import os
from typing import Any

ANSWER = os.environ["BENCH_ANSWER"].encode()
START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(ANSWER)).encode()),
    ],
}
BODY = {"type": "http.response.body", "body": ANSWER}


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(BODY)
