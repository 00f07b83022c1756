"""Requests that are waiting are answered together.

Batching adds no wait of its own: a batch is what has come in by the time the loop, or the model,
is free. With a delay, the first request of a batch waits that long for others.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

import numpy as np

from constellation_dagster.serving.manifest import SignatureLike
from constellation_dagster.serving.metrics import Metrics
from constellation_dagster.serving.predictors import Predictor
from constellation_dagster.serving.tensors import Array

Outputs: TypeAlias = dict[str, Array]
Answer: TypeAlias = "Outputs | BaseException"


@dataclass(frozen=True)
class Batching:
    """How requests wait for the model.

    Attributes:
        size: Most rows that are answered together; 1 turns batching off.
        delay_seconds: How long a request waits for others.
        queue_size: Requests that may wait.
        timeout_seconds: How long a request may take.
    """

    size: int = 64
    delay_seconds: float = 0.0
    queue_size: int = 1024
    timeout_seconds: float = 30.0


class TooBusy(Exception):
    """As many requests wait as may."""


class TookTooLong(Exception):
    """A request was not answered in its time."""


class Waiting:
    """A request that waits for its answer.

    Args:
        inputs: As the signature says.
        rows: How many rows they have.
        done: Called once in the loop's thread, with the outputs or with what went wrong.
    """

    __slots__ = ("deadline", "done", "inputs", "is_open", "key", "rows")

    def __init__(
        self, inputs: Mapping[str, Array], rows: int, done: Callable[[Answer], None]
    ) -> None:
        self.inputs = inputs
        self.rows = rows
        self.done = done
        self.key: tuple[tuple[int, ...], ...] = ()
        self.deadline = 0.0
        self.is_open = True

    def close(self) -> None:
        """Nobody waits for it any more."""
        self.is_open = False

    def answer(self, answer: Answer) -> None:
        """Gives the answer, unless it was given or nobody waits."""
        if self.is_open:
            self.is_open = False
            self.done(answer)


class Batcher:
    """Puts requests together and has the model answer them.

    The model has a thread of its own, so that the loop reads requests and answers health checks
    while it works.

    Args:
        predictor: The model.
        signature: What it takes and gives.
        batching: How requests wait for it.
        metrics: What is counted.
    """

    def __init__(
        self,
        predictor: Predictor,
        signature: SignatureLike,
        batching: Batching,
        metrics: Metrics,
    ) -> None:
        self._predictor = predictor
        self._metrics = metrics
        self._batch_size = batching.size if signature.batchable else 1
        self._delay = batching.delay_seconds if self._batch_size > 1 else 0.0
        self._queue_size = batching.queue_size
        self._timeout = batching.timeout_seconds
        self._same_shapes = all(-1 not in spec.shape[1:] for spec in signature.inputs)
        self._loop = asyncio.get_running_loop()
        self._pending: deque[Waiting] = deque()
        self._pending_rows = 0
        self._flush: asyncio.Handle | None = None
        self._running: Sequence[Waiting] = ()
        self._running_since = 0.0
        self._work: SimpleQueue[Sequence[Waiting]] = SimpleQueue()
        # A daemon: a model that hangs must not keep the process from ending.
        threading.Thread(target=self._thread, name="model", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Requests that wait, without those that the model is answering."""
        return len(self._pending)

    @property
    def is_idle(self) -> bool:
        """Whether everything that was accepted is answered."""
        return not self._pending and not self._running

    def stuck_seconds(self) -> float:
        """How long the model has been busy beyond the time of a request; 0 when it is not."""
        if not self._running:
            return 0.0
        busy = self._loop.time() - self._running_since
        return busy if busy > self._timeout else 0.0

    def submit(self, waiting: Waiting) -> None:
        """Takes a request.

        Raises:
            TooBusy: The queue is full.
        """
        if len(self._pending) >= self._queue_size:
            raise TooBusy
        waiting.deadline = self._loop.time() + self._timeout
        if not self._same_shapes:
            waiting.key = tuple(array.shape[1:] for array in waiting.inputs.values())
        self._pending.append(waiting)
        self._pending_rows += waiting.rows
        if self._running:
            return
        if self._delay and self._pending_rows < self._batch_size:
            if self._flush is None:
                self._flush = self._loop.call_later(self._delay, self._next)
        elif self._flush is None or self._delay:
            if self._flush is not None:
                self._flush.cancel()
            self._flush = self._loop.call_soon(self._next)

    def expire(self) -> None:
        """Gives up what has waited too long; called again and again."""
        now = self._loop.time()
        for waiting in self._running:
            if waiting.deadline <= now:
                waiting.answer(TookTooLong())
        while self._pending and self._pending[0].deadline <= now:
            waiting = self._pending.popleft()
            self._pending_rows -= waiting.rows
            waiting.answer(TookTooLong())

    def _next(self) -> None:
        """Runs the next batch."""
        self._flush = None
        batch = self._take()
        if not batch:
            return
        self._metrics.batch_rows.observe(sum(waiting.rows for waiting in batch))
        self._running = batch
        self._running_since = self._loop.time()
        self._work.put(batch)

    def _take(self) -> list[Waiting]:
        """The first request that waits, and others that fit to it, in their order."""
        batch: list[Waiting] = []
        others: list[Waiting] = []
        rows = 0
        while self._pending and rows < self._batch_size:
            waiting = self._pending.popleft()
            if not waiting.is_open:
                self._pending_rows -= waiting.rows
            elif batch and waiting.key != batch[0].key:
                others.append(waiting)
            elif batch and rows + waiting.rows > self._batch_size:
                others.append(waiting)
                break
            else:
                batch.append(waiting)
                rows += waiting.rows
                self._pending_rows -= waiting.rows
        self._pending.extendleft(reversed(others))
        return batch

    def _give(self, batch: Sequence[Waiting], answers: Sequence[Answer], seconds: float) -> None:
        self._metrics.model_seconds.observe(seconds)
        self._running = ()
        for waiting, answer in zip(batch, answers, strict=True):
            waiting.answer(answer)
        # After what the loop reads in this turn: larger batches cost less than the time they wait.
        if self._pending and self._flush is None:
            self._flush = self._loop.call_soon(self._next)

    def _thread(self) -> None:
        while True:
            batch = self._work.get()
            began = time.perf_counter()
            answers = self._answers(batch)
            seconds = time.perf_counter() - began
            self._loop.call_soon_threadsafe(self._give, batch, answers, seconds)

    def _answers(self, batch: Sequence[Waiting]) -> Sequence[Answer]:
        """One answer for each request; what one does wrong is told to that one alone."""
        if len(batch) == 1:
            return [self._answer(batch[0])]
        try:
            together = {
                name: np.concatenate([waiting.inputs[name] for waiting in batch])
                for name in batch[0].inputs
            }
            outputs = self._predictor.predict(together)
        # A model may raise anything, or end the process; whose fault it is, each alone will tell.
        except (Exception, SystemExit):  # noqa: BLE001
            return [self._answer(waiting) for waiting in batch]
        rows = sum(waiting.rows for waiting in batch)
        if any(len(array) != rows for array in outputs.values()):
            return [self._answer(waiting) for waiting in batch]
        answers: list[Answer] = []
        end = 0
        for waiting in batch:
            start, end = end, end + waiting.rows
            answers.append({name: array[start:end] for name, array in outputs.items()})
        return answers

    def _answer(self, waiting: Waiting) -> Answer:
        if not waiting.is_open:
            return TookTooLong()
        try:
            return self._predictor.predict(waiting.inputs)
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return error
