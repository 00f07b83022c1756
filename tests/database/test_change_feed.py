"""The change feed loses nothing and repeats nothing, whoever commits when."""

import random
import threading
import time
from datetime import timedelta
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest

from tests.database.rows import approve, archive, column, publish, request_run, save, value

WRITERS = 8
TRANSACTIONS = 25

INSERT: LiteralString = (
    "insert into pipelines (owner, name) values (%s, 'p' || gen_random_uuid()) returning id"
)


class SafeReader:
    """Reads the feed as readers should."""

    def __init__(self, connection: psycopg.Connection, page: int = 1000) -> None:
        self._connection = connection
        self._page = page
        row = connection.execute("select xid, id from change_cursor()").fetchone()
        assert row is not None
        self._xid, self._id = row
        self.rows: list[UUID] = []

    def read(self) -> None:
        while True:
            events = self._connection.execute(
                "select xid, id, row_id from read_changes(%s, %s, '{pipelines}', %s)",
                (self._xid, self._id, self._page),
            ).fetchall()
            self.rows += [row for _, _, row in events]
            if not events:
                return
            self._xid, self._id, _ = events[-1]


class NaiveReader:
    """Remembers the greatest number it has seen."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._id = value(connection, "select coalesce(max(id), 0) from change_events")
        self.rows: list[UUID] = []

    def read(self) -> None:
        events = self._connection.execute(
            "select id, row_id from change_events "
            "where id > %s and table_name = 'pipelines' order by id",
            (self._id,),
        ).fetchall()
        self.rows += [row for _, row in events]
        if events:
            self._id = events[-1][0]


def test_a_late_commit_is_lost_by_a_naive_reader_only(
    connection: psycopg.Connection, database_url: str, owner: UUID
) -> None:
    safe, naive = SafeReader(connection), NaiveReader(connection)
    with psycopg.connect(database_url) as slow, psycopg.connect(database_url) as quick:
        late = value(slow, INSERT, owner)
        early = value(quick, INSERT, owner)
        quick.commit()
        safe.read()
        naive.read()
        assert safe.rows == [], "while an older transaction is open, later ones have to wait"
        assert naive.rows == [early]
        slow.commit()
    safe.read()
    naive.read()
    assert safe.rows == [late, early]
    assert naive.rows == [early], "it never sees the other one"


def test_rolled_back_changes_are_not_told(
    connection: psycopg.Connection, database_url: str, owner: UUID
) -> None:
    reader = SafeReader(connection)
    with psycopg.connect(database_url) as other:
        other.execute(INSERT, (owner,))
        other.rollback()
        with other.transaction():
            kept = value(other, INSERT, owner)
            with other.transaction(force_rollback=True):
                other.execute(INSERT, (owner,))
    reader.read()
    assert reader.rows == [kept]


def test_concurrent_writers_with_rollbacks_and_late_commits(
    connection: psycopg.Connection, database_url: str, owner: UUID
) -> None:
    committed: list[list[UUID]] = [[] for _ in range(WRITERS)]

    def write(number: int) -> None:
        chance = random.Random(number)
        with psycopg.connect(database_url) as own:
            for _ in range(TRANSACTIONS):
                rows: list[UUID] = []
                for _ in range(chance.randint(1, 3)):
                    rows.append(value(own, INSERT, owner))
                    time.sleep(chance.choice((0, 0, 0.002, 0.01)))
                if chance.random() < 0.25:
                    own.rollback()
                else:
                    own.commit()
                    committed[number] += rows

    safe, naive = SafeReader(connection, page=7), NaiveReader(connection)
    writers = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    with psycopg.connect(database_url) as slow:
        late = value(slow, INSERT, owner)
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            safe.read()
            naive.read()
            if naive.rows:
                slow.commit()
        naive.read()
    safe.read()
    naive.read()

    expected = {row for rows in committed for row in rows} | {late}
    assert len(safe.rows) == len(set(safe.rows)), "nothing twice"
    assert set(safe.rows) == expected, "nothing lost, nothing invented"
    assert late in expected - set(naive.rows), "as hard as it takes to make a naive reader lose"


def test_what_the_feed_tells(connection: psycopg.Connection, owner: UUID) -> None:
    start = connection.execute("select xid, id from change_cursor()").fetchone()
    assert start is not None
    pipeline = save(connection, owner)
    publish(connection, pipeline, approve(connection, owner, pipeline))
    run = request_run(connection, owner, pipeline)
    connection.execute("update runs set status = 'starting'")
    archive(connection, owner, pipeline)

    told = connection.execute(
        "select op, row_id, owner, pipeline_id from read_changes(%s, %s, '{runs}')", start
    ).fetchall()
    assert told == [("INSERT", run, owner, pipeline), ("UPDATE", run, owner, pipeline)]
    tables = column(connection, "select distinct table_name from read_changes() order by 1")
    assert tables == ["edges", "nodes", "pipeline_versions", "pipelines", "runs"]
    of_pipeline = column(connection, "select distinct pipeline_id from read_changes()")
    assert of_pipeline == [pipeline]
    head = connection.execute("select xid, id from change_cursor()").fetchone()
    assert connection.execute("select from read_changes(%s, %s)", head).fetchall() == []


def test_readers_are_notified(
    connection: psycopg.Connection, database_url: str, owner: UUID
) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute("listen constellation")
        save(connection, owner)
        heard = {n.payload for n in listener.notifies(timeout=5, stop_after=3)}
    assert heard == {"pipelines", "nodes", "edges"}


def test_a_position_names_its_cluster(connection: psycopg.Connection) -> None:
    assert value(connection, "select system_identifier from change_cursor()") == str(
        value(connection, "select system_identifier from pg_control_system()")
    )


def test_a_position_ahead_of_the_database_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.Error, match="lies ahead of this database") as caught:
        connection.execute("select * from read_changes('999999999999', 0)")
    assert caught.value.sqlstate == "PT410"


def test_pruning(connection: psycopg.Connection, owner: UUID) -> None:
    start = connection.execute("select xid, id from change_cursor()").fetchone()
    save(connection, owner)
    connection.execute("update change_events set at = at - interval '8 days'")
    save(connection, owner, description="newer")
    assert value(connection, "select prune_changes()") == 7
    assert column(connection, "select op from change_events") == ["UPDATE"]
    with pytest.raises(psycopg.Error, match="have been pruned") as caught:
        connection.execute("select * from read_changes(%s, %s, '{pipelines}')", start)
    assert caught.value.sqlstate == "PT410"
    # Nothing was lost for those who read other tables.
    runs = connection.execute("select * from read_changes(%s, %s, '{runs}')", start)
    assert runs.fetchall() == []
    assert value(connection, "select prune_changes(%s)", timedelta(0)) == 1
