"""Our own HTTP, with nothing behind it: `python -m tests.bench.serving_echo PORT`."""

import asyncio
import os
import sys

import uvloop

from constellation_dagster.serving.http import HttpServer
from constellation_dagster.serving.http_request import Limits, Request

ANSWER = os.environ["BENCH_ANSWER"].encode()


async def _serve(port: int) -> None:
    http = HttpServer(_answer, Limits())
    server = await asyncio.get_running_loop().create_server(http.connection, "127.0.0.1", port)
    await server.serve_forever()


def _answer(request: Request) -> None:
    request.answer(200, ANSWER)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
