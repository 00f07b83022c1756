"""Streams of turns in a real Valkey, and without one."""

from uuid import uuid4

import pytest
from redis import Redis

from constellation_dagster.resources.turn_streams import TurnEvent, TurnStream
from tests.resources.valkey_server import server

__all__ = ["server"]

NOWHERE = "redis://127.0.0.1:1/0"
WAIT_SECONDS = 0.05


def test_a_reader_sees_all_from_the_beginning_to_the_end(server: str) -> None:
    message = uuid4()
    writer = TurnStream(server, message)
    writer.add("progress", "Planning.")
    writer.add("token", "Here ", "it is: «é».")
    writer.add("done")
    assert list(TurnStream(server, message).follow(WAIT_SECONDS)) == [
        TurnEvent("progress", "Planning."),
        TurnEvent("token", "Here "),
        TurnEvent("token", "it is: «é»."),
        TurnEvent("done"),
    ]
    with Redis.from_url(server) as client:
        assert 0 < int(str(client.ttl(f"constellation:turn:{message}"))) <= 3600


def test_a_reader_that_is_early_is_told_that_nothing_happens(server: str) -> None:
    message = uuid4()
    events = TurnStream(server, message).follow(WAIT_SECONDS)
    assert next(events) is None
    TurnStream(server, message).add("done")
    # It may wait once more in the meantime.
    assert [event for event in events if event is not None] == [TurnEvent("done")]


def test_a_turn_that_begins_anew_has_a_stream_of_its_own(server: str) -> None:
    stream = TurnStream(server, uuid4())
    stream.add("token", "Half a rep")
    stream.begin()
    stream.add("token", "All of it.")
    stream.add("done")
    assert list(stream.follow(WAIT_SECONDS)) == [
        TurnEvent("token", "All of it."),
        TurnEvent("done"),
    ]


@pytest.mark.parametrize("url", [None, NOWHERE, "no address"])
def test_without_a_server_nothing_fails(url: str | None) -> None:
    stream = TurnStream(url, uuid4())
    stream.begin()
    stream.add("progress", "Planning.")
    assert list(stream.follow(WAIT_SECONDS)) == []
