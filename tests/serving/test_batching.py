"""Requests that wait are answered together, and none is disturbed by another."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import numpy as np
import pytest
import uvloop

from constellation_dagster.domain.packages import Signature, TensorSpec
from constellation_dagster.serving.batching import (
    Answer,
    Batcher,
    Batching,
    TooBusy,
    TookTooLong,
    Waiting,
)
from constellation_dagster.serving.metrics import Metrics
from constellation_dagster.serving.tensors import Array


class Recorder:
    """A model that doubles, remembers what it was asked, and does as it is told."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.threads.add(threading.current_thread().name)
        x = inputs["x"]
        self.batches.append(x.ravel().tolist())
        assert self.gate.wait(30)
        if (x == -1).any():
            raise ValueError("minus one")
        if (x == -2).any():
            raise SystemExit("minus two")
        if (x == -3).any():
            return {"x": x[:1]}
        return {"x": 2 * x}


class Client:
    """Asks a batcher."""

    def __init__(self, batcher: Batcher) -> None:
        self.batcher = batcher

    def ask(self, *rows: Any) -> "asyncio.Future[Answer]":
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting = Waiting({"x": np.array(rows, float)}, len(rows), answer.set_result)
        self.batcher.submit(waiting)
        return answer


ROWS = Signature(
    inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1,)),),
    outputs=(TensorSpec(name="x", datatype="FP64", shape=(-1,)),),
)
ANY_WIDTH = Signature(
    inputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, -1)),),
    outputs=(TensorSpec(name="x", datatype="FP64", shape=(-1, -1)),),
)
NO_ROWS = Signature(
    inputs=(TensorSpec(name="x", datatype="FP64", shape=(1,)),), outputs=ROWS.outputs
)


def run(
    test: Callable[[Client, Recorder, Metrics], Coroutine[Any, Any, None]],
    signature: Signature = ROWS,
    **options: Any,
) -> None:
    """Runs a test with a batcher of its own."""

    async def within() -> None:
        recorder, metrics = Recorder(), Metrics({})
        batching = Batching(**{"size": 8, "queue_size": 100, **options})
        batcher = Batcher(recorder, signature, batching, metrics)
        try:
            await test(Client(batcher), recorder, metrics)
        finally:
            recorder.gate.set()

    uvloop.run(asyncio.wait_for(within(), 60))


def values(answer: Answer) -> list[float]:
    assert not isinstance(answer, BaseException), answer
    return answer["x"].ravel().tolist()


async def occupied(client: Client, recorder: Recorder) -> "asyncio.Future[Answer]":
    """The model is busy with one request until its gate is opened."""
    recorder.gate.clear()
    answer = client.ask(100)
    while not recorder.batches:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    return answer


def test_what_comes_at_once_is_answered_together() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        answers = await asyncio.gather(*(client.ask(n, n + 0.5) for n in range(3)))
        assert [values(answer) for answer in answers] == [[0, 1], [2, 3], [4, 5]]
        assert recorder.batches == [[0, 0.5, 1, 1.5, 2, 2.5]]
        assert client.batcher.is_idle

    run(test)


def test_what_comes_while_the_model_works_is_answered_together_then() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        first = await occupied(client, recorder)
        rest = [client.ask(n) for n in range(10)]
        assert client.batcher.waiting == 10
        recorder.gate.set()
        assert values(await first) == [200]
        assert [values(await answer) for answer in rest] == [[2 * n] for n in range(10)]
        assert recorder.batches == [[100], list(range(8)), [8, 9]]

    run(test)


def test_a_batch_has_no_more_rows_than_it_may_unless_one_request_has() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        answers = [client.ask(*range(5)), client.ask(*range(5)), client.ask(*range(20)),
                   client.ask(1)]  # fmt: skip
        for answer, rows in zip(answers, (5, 5, 20, 1), strict=True):
            assert len(values(await answer)) == rows
        assert [len(batch) for batch in recorder.batches] == [5, 5, 20, 1]

    run(test)


@pytest.mark.parametrize(("signature", "size"), [(ROWS, 1), (NO_ROWS, 8)])
def test_no_batching(signature: Signature, size: int) -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        await asyncio.gather(*(client.ask(n) for n in range(4)))
        assert recorder.batches == [[0], [1], [2], [3]]

    run(test, signature, size=size)


def test_a_delay_gathers_until_the_batch_is_full() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        answers: list[asyncio.Future[Answer]] = []
        for n in range(8):
            answers.append(client.ask(n))
            await asyncio.sleep(0.001)
        # The eighth row fills it: nobody waits for an hour.
        await asyncio.gather(*answers)
        assert recorder.batches == [list(range(8))]

    run(test, delay_seconds=3600.0)


def test_a_delay_ends() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        first = client.ask(1)
        await asyncio.sleep(0)
        second = client.ask(2)
        await asyncio.gather(first, second)
        assert recorder.batches == [[1, 2]]

    run(test, delay_seconds=0.05)


def test_only_who_is_at_fault_is_told() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        answers = await asyncio.gather(*(client.ask(n) for n in (1, -1, 2, -2, 3)))
        assert [values(answers[place]) for place in (0, 2, 4)] == [[2], [4], [6]]
        assert str(answers[1]) == "minus one"
        assert isinstance(answers[1], ValueError)
        # Code of a model may want to end the process: it does not.
        assert isinstance(answers[3], SystemExit)
        assert values(await client.ask(5)) == [10]

    run(test)


def test_a_model_that_loses_rows_is_asked_one_by_one() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        answers = await asyncio.gather(client.ask(1, 2), client.ask(-3, 4), client.ask(5, 6))
        assert [values(answer) for answer in answers] == [[2, 4], [-3], [10, 12]]

    run(test)


def test_requests_of_other_shapes_are_not_put_together() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        shapes = ([1, 2], [3], [4, 5], [6])
        answers = await asyncio.gather(*(client.ask(row) for row in shapes))
        assert [values(answer) for answer in answers] == [[2, 4], [6], [8, 10], [12]]
        assert recorder.batches == [[1, 2, 4, 5], [3, 6]]

    run(test, ANY_WIDTH)


def test_a_full_queue() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        first = await occupied(client, recorder)
        waiting = [client.ask(n) for n in range(3)]
        with pytest.raises(TooBusy):
            client.ask(4)
        recorder.gate.set()
        assert values(await first) == [200]
        assert len(await asyncio.gather(*waiting)) == 3
        assert values(await client.ask(5)) == [10]

    run(test, queue_size=3)


def test_what_takes_too_long_is_given_up_and_the_rest_goes_on() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        first = await occupied(client, recorder)
        second = client.ask(1)
        while not (first.done() and second.done()):
            await asyncio.sleep(0.01)
            client.batcher.expire()
        assert isinstance(await first, TookTooLong)
        assert isinstance(await second, TookTooLong)
        assert client.batcher.stuck_seconds() > 0
        third = client.ask(2)
        recorder.gate.set()
        assert values(await third) == [4]
        assert client.batcher.stuck_seconds() == 0
        # The second was never asked: nobody waited for it any more.
        assert recorder.batches == [[100], [2]]

    run(test, timeout_seconds=0.1)


def test_who_has_gone_is_not_asked_for() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        first = await occupied(client, recorder)
        gone = Waiting({"x": np.array([7.0])}, 1, lambda _: pytest.fail("answered"))
        client.batcher.submit(gone)
        stayed = client.ask(8)
        gone.close()
        recorder.gate.set()
        await asyncio.gather(first, stayed)
        assert recorder.batches == [[100], [8]]

    run(test)


def test_the_loop_goes_on_while_the_model_works() -> None:
    async def test(client: Client, recorder: Recorder, metrics: Metrics) -> None:
        first = await occupied(client, recorder)
        for _ in range(100):
            await asyncio.sleep(0)
        assert not first.done()
        recorder.gate.set()
        assert values(await first) == [200]
        assert recorder.threads == {"model"}

    run(test)
