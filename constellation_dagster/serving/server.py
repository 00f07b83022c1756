"""The server from its start to its end."""

import asyncio
import contextlib
import gc
import logging
import signal
import time

from constellation_dagster.serving.app import App, ServedModel
from constellation_dagster.serving.batching import Batcher, Batching
from constellation_dagster.serving.http_request import Limits
from constellation_dagster.serving.listening import Listener
from constellation_dagster.serving.metrics import Metrics
from constellation_dagster.serving.predictors import Predictor

_log = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_GRACE_SECONDS = 5.0


async def serve(
    model: ServedModel,
    predictor: Predictor,
    listener: Listener,
    batching: Batching,
    limits: Limits,
) -> bool:
    """Serves until SIGTERM or SIGINT, then answers what it has accepted.

    Returns:
        Whether all was answered; False when the model was still busy when the time was up.
    """
    manifest = model.manifest
    metrics = Metrics({"model": model.name, "version": model.version, "digest": manifest.digest})
    batcher = Batcher(predictor, manifest.signature, batching, metrics)
    app = App(model, batcher, metrics, limits)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    # What is there now stays: the collector need not look at it again and again.
    gc.freeze()
    gc.enable()
    await listener.start(app.http.connection)
    _log.info(
        "%r version %s (%s) is served on %s",
        model.name, model.version, manifest.digest, listener.address,
    )  # fmt: skip
    ticking = asyncio.create_task(_tick(app, batcher))
    await ending.wait()
    await _drain(app, listener, batching.timeout_seconds + _GRACE_SECONDS)
    ticking.cancel()
    return batcher.is_idle


async def _tick(app: App, batcher: Batcher) -> None:
    while True:
        await asyncio.sleep(_TICK_SECONDS)
        batcher.expire()
        app.http.tick()


async def _drain(app: App, listener: Listener, seconds: float) -> None:
    """Takes no new connections, and waits for those that there are to be done."""
    app.http.draining = True
    began = time.monotonic()
    await listener.stop(app.http.connection)
    _log.info("ending: %d connections are open", len(app.http.connections))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(app.http.all_closed(), seconds)
    for connection in tuple(app.http.connections):
        connection.abort()
    # The loop has to have closed them before it ends.
    await app.http.all_closed()
    _log.info("ended after %.1f s", time.monotonic() - began)
