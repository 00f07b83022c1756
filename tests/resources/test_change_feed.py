"""The reader of the change feed; what the feed itself promises, tests/database shows."""

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest

from constellation_dagster.resources.change_feed import ChangeFeed, Cursor
from tests.roles import create_user

TABLES = ["pipelines"]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def owner(connection: psycopg.Connection) -> UUID:
    return create_user(connection)


@pytest.fixture
def feed(database_url: str) -> ChangeFeed:
    return ChangeFeed(database_url)


@pytest.fixture
def head(feed: ChangeFeed) -> Cursor:
    return feed.wait(None, TABLES, 0)


def insert_pipeline(connection: psycopg.Connection, owner: UUID) -> None:
    connection.execute(
        "insert into pipelines (owner, name) values (%s, %s)", (owner, f"p_{uuid4().hex[:8]}")
    )


@contextmanager
def after(seconds: float, connection: psycopg.Connection, owner: UUID) -> Generator[list[float]]:
    """Commits a pipeline some time from now; the list holds when."""
    committed: list[float] = []

    def commit() -> None:
        insert_pipeline(connection, owner)
        committed.append(time.monotonic())

    timer = threading.Timer(seconds, commit)
    timer.start()
    try:
        yield committed
    finally:
        timer.join()


def test_a_commit_wakes_within_a_second(
    feed: ChangeFeed, head: Cursor, connection: psycopg.Connection, owner: UUID
) -> None:
    with after(0.3, connection, owner) as committed:
        new = feed.wait(head, TABLES, 20)
        assert time.monotonic() - committed[0] < 1.0
    assert new != head
    # It has been read: nothing is left to wake for.
    assert feed.wait(new, TABLES, 0) == new


def test_what_was_there_before_is_found_at_once(
    feed: ChangeFeed, head: Cursor, connection: psycopg.Connection, owner: UUID
) -> None:
    insert_pipeline(connection, owner)
    began = time.monotonic()
    assert feed.wait(head, TABLES, 20) != head
    assert time.monotonic() - began < 1.0


def test_other_tables_wake_nobody_and_time_runs_out(
    feed: ChangeFeed, head: Cursor, connection: psycopg.Connection, owner: UUID
) -> None:
    with after(0.1, connection, owner):
        began = time.monotonic()
        assert feed.wait(head, ["runs"], 0.5) == head
        assert 0.5 <= time.monotonic() - began < 1.5


def test_a_new_reader_starts_at_the_head(
    feed: ChangeFeed, connection: psycopg.Connection, owner: UUID
) -> None:
    insert_pipeline(connection, owner)
    began = time.monotonic()
    head = feed.wait(None, TABLES, 20)
    assert time.monotonic() - began < 1.0
    assert feed.wait(head, TABLES, 0) == head


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"system_identifier": "1"}, id="of another cluster"),
        pytest.param({"xid": str(2**62)}, id="ahead of a restored one"),
    ],
)
def test_a_cursor_that_is_no_good_here_is_the_head(
    feed: ChangeFeed, head: Cursor, changes: dict[str, str]
) -> None:
    new = feed.wait(head.model_copy(update=changes), TABLES, 20)
    assert new.system_identifier == head.system_identifier
    assert int(new.xid) <= int(head.xid) + 10


def test_a_cursor_whose_events_are_pruned_is_the_head(
    feed: ChangeFeed, head: Cursor, connection: psycopg.Connection, owner: UUID
) -> None:
    insert_pipeline(connection, owner)
    pruned = connection.execute("select prune_changes('0 seconds')").fetchone()
    assert pruned is not None
    assert pruned[0] > 0
    new = feed.wait(head, TABLES, 20)
    assert new != head
    insert_pipeline(connection, owner)
    assert feed.wait(new, TABLES, 20) != new


def test_an_open_transaction_holds_back_and_loses_nothing(
    feed: ChangeFeed, head: Cursor, connection: psycopg.Connection, database_url: str, owner: UUID
) -> None:
    with psycopg.connect(database_url) as slow:
        insert_pipeline(slow, owner)
        # Later, and committed first: to read past it would be to read past the open one.
        insert_pipeline(connection, owner)
        assert feed.wait(head, TABLES, 0.3) == head
        timer = threading.Timer(0.3, slow.commit)
        timer.start()
        new = feed.wait(head, TABLES, 20)
        timer.join()
    assert new != head
    read = connection.execute("select count(*) from read_changes(%s, %s)", (head.xid, head.id))
    assert read.fetchone() == (2,)
    assert feed.wait(new, TABLES, 0) == new


def test_a_cursor_survives_being_written_down(head: Cursor) -> None:
    assert Cursor.model_validate_json(head.model_dump_json()) == head
