# type: ignore - what it imports is installed for the bench alone
"""The least that an RSGI app can do: read the body, answer a fixed one."""

import os
from typing import Any

ANSWER = os.environ["BENCH_ANSWER"].encode()


async def app(scope: Any, protocol: Any) -> None:
    await protocol()
    protocol.response_bytes(200, [("content-type", "application/json")], ANSWER)
