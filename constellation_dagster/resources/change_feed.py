"""The change feed: which rows changed, in an order that never skips a late commit.

An event names a row, not its contents: the reader reads the row itself. See
`supabase/migrations` for `read_changes`, which hides what is not yet safe to read past.
"""

import time
from collections.abc import Sequence

import psycopg
from pydantic import BaseModel, ConfigDict

CHANNEL = "constellation"
# Behind a transaction pooler LISTEN hears nothing, and an open transaction holds events back
# after their NOTIFY: so look again this often, in seconds.
POLL_SECONDS = 1.0
# Rows that are written together are found together.
GATHER_SECONDS = 0.1
PAGE = 1000
# The state with which `read_changes` refuses a cursor whose next events have been pruned.
CURSOR_GONE = "PT410"


class Cursor(BaseModel):
    """A position in the feed of one database cluster.

    Transaction ids start again in a restored cluster, hence its identifier.
    """

    model_config = ConfigDict(frozen=True)

    system_identifier: str
    xid: str
    id: int


class ChangeFeed:
    """A reader of the feed; it keeps nothing, the caller keeps the cursor."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url

    def wait(self, cursor: Cursor | None, tables: Sequence[str], seconds: float) -> Cursor:
        """Waits until rows of the tables have changed after the cursor.

        Args:
            cursor: Where the reader stands; None, or a cursor that is no good here any more (of
                another cluster, or older than what the feed keeps), is the head.
            tables: The tables of interest.
            seconds: How long to wait at most.

        Returns:
            The new position, the same one when nothing changed in time.
        """
        deadline = time.monotonic() + seconds
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            connection.execute(f"listen {CHANNEL}")
            head = _head(connection)
            if cursor is None or cursor.system_identifier != head.system_identifier:
                return head
            try:
                while (after := _read(connection, cursor, tables)) == cursor:
                    remaining = deadline - time.monotonic()
                    if remaining <= 0:
                        return cursor
                    timeout = min(POLL_SECONDS, remaining)
                    for _ in connection.notifies(timeout=timeout, stop_after=1):
                        pass
                time.sleep(GATHER_SECONDS)
                return _read(connection, after, tables)
            except psycopg.Error as error:
                if error.sqlstate != CURSOR_GONE:
                    raise
                return head

    def prune(self) -> int:
        """Deletes events that are old; returns how many."""
        with psycopg.connect(self._database_url) as connection:
            row = connection.execute("select prune_changes()").fetchone()
        assert row is not None  # a function that returns one row
        return row[0]


def _head(connection: psycopg.Connection) -> Cursor:
    row = connection.execute("select system_identifier, xid, id from change_cursor()").fetchone()
    assert row is not None  # a function that returns one row
    return Cursor(system_identifier=str(row[0]), xid=str(row[1]), id=row[2])


def _read(connection: psycopg.Connection, cursor: Cursor, tables: Sequence[str]) -> Cursor:
    """Reads to the end of what is readable."""
    while True:
        rows = connection.execute(
            "select xid::text, id from read_changes(%s, %s, %s, %s)",
            (cursor.xid, cursor.id, list(tables), PAGE),
        ).fetchall()
        if not rows:
            return cursor
        cursor = cursor.model_copy(update={"xid": rows[-1][0], "id": rows[-1][1]})
        if len(rows) < PAGE:
            return cursor
