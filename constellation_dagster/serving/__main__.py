"""`python -m constellation_dagster.serving FOLDER …`: serves the model of a package."""

import argparse
import gc
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from constellation_dagster.domain.plain_errors import ConstellationError
from constellation_dagster.serving.integrity import verify_for_serving

_LOG = logging.getLogger("constellation_dagster.serving")


def main() -> int:
    """Verifies, loads, tries and serves a model; returns the exit code."""
    began = time.monotonic()
    # Nothing that is made before it serves is garbage; `serve` turns the collector on again.
    gc.disable()
    arguments = _parser().parse_args()
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        return _serve(arguments, began)
    except ConstellationError as error:
        print(f"constellation serving: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _serve(arguments: argparse.Namespace, began: float) -> int:
    folder: Path = arguments.folder
    manifest = verify_for_serving(folder, arguments.digest)

    # Nothing that costs time before the package is known to be whole.
    import uvloop

    from constellation_dagster.serving.app import ServedModel
    from constellation_dagster.serving.batching import Batching
    from constellation_dagster.serving.example import check_example
    from constellation_dagster.serving.http_request import Limits
    from constellation_dagster.serving.listening import listen_tcp, listen_unix
    from constellation_dagster.serving.predictors import load_predictor
    from constellation_dagster.serving.server import serve

    predictor = load_predictor(folder, manifest)
    check_example(folder, predictor, manifest.signature, manifest.tolerance)
    unix: Path | None = arguments.unix
    listener = listen_unix(unix) if unix else listen_tcp(arguments.host, arguments.port)
    _LOG.info("verified, loaded and tried in %.2f s", time.monotonic() - began)
    is_idle = uvloop.run(
        serve(
            ServedModel(arguments.name, arguments.version, manifest),
            predictor,
            listener,
            Batching(
                arguments.batch_size,
                arguments.batch_delay_ms / 1000,
                arguments.queue_size,
                arguments.request_timeout,
            ),
            Limits(),
        )
    )
    if not is_idle:
        # A model that hangs in its thread would let nothing end in order.
        logging.shutdown()
        os._exit(0)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m constellation_dagster.serving")
    parser.add_argument("folder", type=Path, help="the package")
    parser.add_argument("--name", required=True, help="the model's name in /v2/models/NAME")
    parser.add_argument("--version", required=True, help="its version")
    parser.add_argument("--digest", required=True, help="what the package should be, sha256:…")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--unix", type=Path, help="listen on this unix socket")
    where.add_argument("--host", default="127.0.0.1", help="listen on this address")
    parser.add_argument("--port", type=_number(int, 0), default=8000, help="and this port")
    parser.add_argument(
        "--batch-size", type=_number(int, 1), default=64, help="most rows at once; 1: no batching"
    )
    parser.add_argument(
        "--batch-delay-ms", type=_number(float, 0), default=0.0, help="how long to wait for others"
    )
    parser.add_argument(
        "--queue-size", type=_number(int, 1), default=1024, help="requests that may wait"
    )
    parser.add_argument(
        "--request-timeout", type=_number(float, 0.001), default=30.0, help="seconds of a request"
    )
    return parser


def _number(kind: type[int] | type[float], least: float) -> Callable[[str], float]:
    """Reads an argument that is a number from some least one on."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = float("nan")
        if not number >= least:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} on")
        return number

    return read


if __name__ == "__main__":
    sys.exit(main())
