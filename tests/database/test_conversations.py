"""Conversations: who says and reads what, and that each message is answered once."""

import threading
from typing import LiteralString
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from tests.database.conversations import begin, draft, due, finish, release, say, start
from tests.database.rows import column, value
from tests.roles import as_anon, as_service, as_user


@pytest.fixture
def conversation(connection: psycopg.Connection, owner: UUID) -> UUID:
    return start(connection, owner)


def statuses(connection: psycopg.Connection) -> list[tuple[str, str]]:
    return connection.execute("select role, status from messages order by position").fetchall()


def test_a_message_and_its_reply(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation, "Plot the penguins")
    assert due(connection) == [message]
    assert begin(connection, message, "run-1")
    assert due(connection) == []
    reply = finish(connection, message, "Done.", draft())
    with as_user(connection, owner):
        rows = connection.execute(
            "select role, content, status, reply_to, tokens_in, tokens_out, latency_ms "
            "from messages order by position"
        ).fetchall()
        [kept] = column(connection, "select id from drafts")
        assert column(connection, "select draft_id from messages") == [kept, kept]
    assert rows == [
        ("user", "Plot the penguins", "answered", None, 0, 0, 0),
        ("assistant", "Done.", "answered", message, 10, 5, 120),
    ]
    assert value(connection, "select id from messages where role = 'assistant'") == reply


def test_a_conversation_is_called_by_its_first_words(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    say(connection, owner, conversation, "x" * 100)
    say(connection, owner, conversation, "second")
    assert value(connection, "select title from conversations") == "x" * 80


@pytest.mark.parametrize("content", ["", "  ", "x" * 20_001])
def test_what_is_no_message(
    connection: psycopg.Connection, owner: UUID, conversation: UUID, content: str
) -> None:
    with pytest.raises(errors.CheckViolation, match="a message has 1 to 20000 characters"):
        say(connection, owner, conversation, content)


@pytest.mark.parametrize(
    "statement",
    [
        "update messages set status = 'answered'",
        "update messages set content = 'else'",
        "delete from messages",
        (
            "insert into messages (conversation_id, content, role) "
            "select id, 'x', 'assistant' from conversations"
        ),
        (
            "insert into messages (conversation_id, content, status) "
            "select id, 'x', 'answered' from conversations"
        ),
        (
            "insert into messages (conversation_id, content, owner) "
            "select id, 'x', owner from conversations"
        ),
        "update conversations set title = 'else'",
        "insert into conversations (owner) values (auth.uid())",
        (
            "insert into completions (owner, message_id, model, request, response) "
            "select owner, id, 'm', '{}', '{}' from messages"
        ),
        "select begin_turn(id, 'run') from messages",
        "select finish_turn(id, 'yes') from messages",
        "select release_turn(id) from messages",
        "select due_messages()",
        "select prune_completions()",
        "select constellation.hold_message(id) from messages",
    ],
)
def test_what_owners_may_not_do(
    connection: psycopg.Connection, owner: UUID, conversation: UUID, statement: LiteralString
) -> None:
    say(connection, owner, conversation)
    with pytest.raises(errors.InsufficientPrivilege), as_user(connection, owner):
        connection.execute(statement)


def test_strangers_see_nothing_and_say_nothing(
    connection: psycopg.Connection, owner: UUID, stranger: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    finish(connection, message, proposal=draft())
    with as_user(connection, stranger):
        for table in ("conversations", "messages", "drafts", "completions"):
            assert column(connection, f"select id from {table}") == []  # type: ignore[arg-type]
        assert connection.execute("delete from conversations").rowcount == 0
    with pytest.raises(psycopg.Error, match=r"there is no conversation .* of yours") as caught:
        say(connection, stranger, conversation)
    assert caught.value.sqlstate == "PT404"
    with pytest.raises(errors.InsufficientPrivilege), as_anon(connection):
        connection.execute("select * from messages")


def test_one_message_of_a_conversation_at_a_time(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    first, second = (say(connection, owner, conversation) for _ in range(2))
    elsewhere = say(connection, owner, start(connection, owner))
    assert due(connection) == [first, elsewhere]
    assert due(connection, 1) == [first]
    assert begin(connection, first, "run-1")
    assert due(connection) == [elsewhere]
    assert not begin(connection, second, "run-2")
    finish(connection, first)
    assert due(connection) == [second, elsewhere]
    assert begin(connection, second, "run-2")


def test_who_may_begin(connection: psycopg.Connection, owner: UUID, conversation: UUID) -> None:
    message = say(connection, owner, conversation)
    assert begin(connection, message, "run-1")
    assert begin(connection, message, "run-1"), "the same run, again"
    assert not begin(connection, message, "run-2")
    assert not begin(connection, message, "run-2", instead="run-0")
    assert begin(connection, message, "run-2", instead="run-1"), "its re-execution"
    assert not begin(connection, message, "run-1")
    finish(connection, message)
    assert not begin(connection, message, "run-2"), "it is answered"
    assert not begin(connection, uuid4(), "run-1"), "it is gone"


def test_one_of_many_runs_at_once_begins(
    connection: psycopg.Connection, database_url: str, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    barrier = threading.Barrier(6)
    may: list[bool] = []

    def claim(number: int) -> None:
        with psycopg.connect(database_url, autocommit=True) as other:
            barrier.wait()
            may.append(begin(other, message, f"run-{number}"))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(may) == [False] * 5 + [True]


def test_many_ends_at_once_make_one_reply(
    connection: psycopg.Connection, database_url: str, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    begin(connection, message, "run-1")
    barrier = threading.Barrier(6)
    replies: list[UUID | None] = []

    def end(number: int) -> None:
        with psycopg.connect(database_url, autocommit=True) as other:
            barrier.wait()
            replies.append(finish(other, message, f"reply {number}", draft()))

    threads = [threading.Thread(target=end, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert column(connection, "select id from messages where role = 'assistant'") == [replies[0]]
    assert len(set(replies)) == 1
    assert value(connection, "select count(*) from drafts") == 1


def test_a_turn_that_fails_half_way_leaves_nothing(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    begin(connection, message, "run-1")
    with pytest.raises(errors.CheckViolation):
        finish(connection, message, "", draft())
    assert value(connection, "select count(*) from drafts") == 0
    assert statuses(connection) == [("user", "running")]


def test_a_turn_that_cannot_answer(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    begin(connection, message, "run-1")
    finish(connection, message, "I cannot.", error={"code": "no_budget", "message": "Used up."})
    assert statuses(connection) == [("user", "failed"), ("assistant", "failed")]
    assert column(connection, "select error ->> 'code' from messages") == ["no_budget"] * 2


def test_dead_turns_are_released_twice_and_then_fail(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    for tries in range(2):
        assert begin(connection, message, f"run-{tries}")
        assert release(connection, message, f"run-{tries}", tries) == "requested"
        assert due(connection) == [message]
    assert begin(connection, message, "run-2")
    assert release(connection, message) == "failed"
    assert release(connection, message) == "failed"
    assert statuses(connection) == [("user", "failed"), ("assistant", "failed")]
    said = value(connection, "select content from messages where role = 'assistant'")
    assert "Please say it again" in said


def test_only_the_dead_run_is_released(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    begin(connection, message, "run-1")
    assert release(connection, message, "run-0") == "running"
    assert release(connection, message, tried=1) == "running"
    assert release(connection, message, tried=0) == "requested"
    assert release(connection, message, tried=0) == "requested"
    assert value(connection, "select tries from messages") == 1
    assert release(connection, uuid4()) is None


def test_the_late_answer_of_a_run_given_up_counts_once(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    begin(connection, message, "run-1")
    release(connection, message)
    begin(connection, message, "run-2")
    late = finish(connection, message, "late")
    assert finish(connection, message, "again") == late
    assert statuses(connection) == [("user", "answered"), ("assistant", "answered")]


def test_deleting_a_conversation(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    answered, running = (say(connection, owner, conversation) for _ in range(2))
    finish(connection, answered, proposal=draft())
    begin(connection, running, "run-1")
    with as_service(connection):
        connection.execute(
            "insert into completions (message_id, model, request, response) "
            "values (%s, 'm', '{}', '{}')",
            (running,),
        )
    with as_user(connection, owner):
        assert column(connection, "select model from completions") == ["m"]
        assert connection.execute("delete from conversations").rowcount == 1
    for table in ("messages", "drafts", "completions"):
        assert value(connection, f"select count(*) from {table}") == 0  # type: ignore[arg-type]
    assert finish(connection, running) is None


def test_old_completions_are_pruned(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation)
    with as_service(connection):
        for model in ("old", "new"):
            connection.execute(
                "insert into completions (message_id, model, request, response) "
                "values (%s, %s, '{}', '{}')",
                (message, model),
            )
    connection.execute(
        "update completions set created_at = now() - interval '31 days' where model = 'old'"
    )
    with as_service(connection):
        assert value(connection, "select prune_completions()") == 1
    assert column(connection, "select model from completions") == ["new"]


def test_changes_are_told_and_texts_stay_out_of_the_log(
    connection: psycopg.Connection, owner: UUID, conversation: UUID
) -> None:
    message = say(connection, owner, conversation, "a secret plan")
    finish(connection, message, "an answer", draft(explanation="a long one"))
    tables = column(connection, "select table_name from change_events order by id")
    assert tables == ["conversations", "messages", "drafts", "messages", "messages"]
    logged = column(connection, "select coalesce(new, old)::text from audit_log")
    assert not [text for text in logged if "secret plan" in text or "a long one" in text]
