"""Search and relations in SQL: ranks, rights, what is outdated, who uses what."""

import json
from collections.abc import Sequence
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from tests.database.packages import register
from tests.database.rows import SPEC, column, published, save, value
from tests.roles import as_anon, as_service, as_user


def unit(axis: int) -> str:
    """A vector along one of the 384 axes."""
    return json.dumps([1.0 if number == axis else 0.0 for number in range(384)])


def put(
    connection: psycopg.Connection,
    name: str,
    content: str,
    axis: int,
    owner: UUID | None = None,
    kind: str = "table",
) -> None:
    with as_service(connection):
        connection.execute(
            "insert into embeddings (owner, kind, entity_id, name, content, content_hash, model, "
            "embedding) values (%s, %s, %s, %s, %s, '', 'm', %s::extensions.vector)",
            (owner, kind, name, name, content, unit(axis)),
        )


def found(
    connection: psycopg.Connection,
    user: UUID,
    query: str,
    axis: int | None = None,
    kinds: Sequence[str] | None = None,
) -> list[tuple[str, int | None, int | None]]:
    with as_user(connection, user):
        return connection.execute(
            "select name, full_text_rank, vector_rank from search(%s, %s::extensions.vector, %s)",
            (query, None if axis is None else unit(axis), list(kinds) if kinds else None),
        ).fetchall()


def test_words_and_meaning_are_fused(connection: psycopg.Connection, owner: UUID) -> None:
    put(connection, "drop_missing", "Drops rows with holes", 1)
    put(connection, "sort_rows", "Puts rows in an order", 2)
    put(connection, "bar_chart", "Draws bars", 3)
    assert found(connection, owner, "dropping rows", 1)[0] == ("drop_missing", 1, 1)
    assert [row[0] for row in found(connection, owner, "sorted", 3)[:2]] == [
        "sort_rows",
        "bar_chart",
    ]


def test_without_an_embedding_words_are_enough(connection: psycopg.Connection, owner: UUID) -> None:
    put(connection, "drop_missing", "Drops rows with holes", 1)
    put(connection, "bar_chart", "Draws bars", 3)
    assert found(connection, owner, "please draw some bars") == [("bar_chart", 1, None)]
    assert found(connection, owner, "drop_missing") == [("drop_missing", 1, None)]


@pytest.mark.parametrize(
    "query", ["", "  ", "'", "a' | b", "\\", "!&|():*", "the of and", "ü 日本"]
)
def test_any_text_can_be_searched_for(
    connection: psycopg.Connection, owner: UUID, query: str
) -> None:
    put(connection, "bar_chart", "Draws bars", 3)
    assert found(connection, owner, query) == []
    assert found(connection, owner, query, 3) == [("bar_chart", None, 1)]


def test_kinds_narrow_a_search(connection: psycopg.Connection, owner: UUID) -> None:
    put(connection, "bars", "Draws bars", 3, kind="block")
    put(connection, "bars_table", "Draws bars", 3)
    assert [row[0] for row in found(connection, owner, "bars", 3, ["block"])] == ["bars"]


def test_people_find_what_is_shared_and_their_own(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    put(connection, "shared", "bars", 1)
    put(connection, "own", "bars", 1, owner)
    put(connection, "other", "bars", 1, stranger)
    assert {row[0] for row in found(connection, owner, "bars", 1)} == {"shared", "own"}
    with as_anon(connection), pytest.raises(errors.InsufficientPrivilege):
        connection.execute("select search('bars')")
    with as_user(connection, owner), pytest.raises(errors.InsufficientPrivilege):
        connection.execute("delete from embeddings")


def test_everybody_elses_rows_hide_nothing_of_ones_own(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    for number in range(300):
        put(connection, f"other_{number}", "bars", 1, stranger)
    put(connection, "own", "something", 2, owner)
    with as_user(connection, owner):
        connection.execute("set local enable_seqscan = off")
        connection.execute("set local enable_sort = off")
        rows = connection.execute(
            "select name from search('', %s::extensions.vector)", (unit(1),)
        ).fetchall()
    assert rows == [("own",)]


def test_what_changed_is_outdated_until_it_is_written(
    connection: psycopg.Connection, owner: UUID
) -> None:
    pipeline = save(connection, owner)
    with as_service(connection):
        rows = connection.execute("select * from outdated_search('m')").fetchall()
    ((row_owner, kind, entity, name, content, digest),) = rows
    assert (row_owner, kind, entity, name) == (owner, "pipeline", str(pipeline), "penguins")
    assert content.startswith("penguins. From a sample to a table. sample data, impute missing")
    write = (
        "insert into embeddings (owner, kind, entity_id, name, content, content_hash, model, "
        "embedding) values (%s, %s, %s, %s, %s, %s, 'm', %s::extensions.vector)"
    )
    with as_service(connection):
        connection.execute(write, (row_owner, kind, entity, name, content, digest, unit(1)))
    assert outdated(connection) == (False, False)
    assert outdated(connection, "another model") == (True, True)
    save(connection, owner, description="Another one.")
    assert outdated(connection) == (True, True)
    with as_user(connection, owner):
        connection.execute("delete from pipelines")
    assert outdated(connection) == (True, False)
    with as_service(connection):
        assert value(connection, "select forget_search()") == 1
    assert outdated(connection) == (False, False)


def outdated(connection: psycopg.Connection, model: str = "m") -> tuple[bool, bool]:
    """Whether a refresh has something to do, and whether something to write."""
    with as_service(connection):
        return (
            value(connection, "select search_is_outdated(%s)", model),
            value(connection, "select exists (select from outdated_search(%s))", model),
        )


def test_blocks_are_found_by_their_phrases_in_the_newest_version(
    connection: psycopg.Connection,
) -> None:
    with as_service(connection):
        connection.execute(
            "insert into blocks (name, version, kind, summary, phrases, code_version) values "
            "('a', 1, 'sink', 'Old.', '{}', '1'), ('a', 2, 'sink', 'New.', '{\"do so\",so}', '1')"
        )
        contents = column(connection, "select content from outdated_search('m')")
    assert contents == ["New. do so. so"]
    assert column(connection, "select table_name from change_events") == ["blocks", "blocks"]


def test_tables_of_people_are_found_with_what_may_be_read_of_them(
    connection: psycopg.Connection,
) -> None:
    connection.execute("create table sales (id int, paid_at date, secret text)")
    connection.execute("comment on table sales is 'What was sold.'")
    connection.execute("create table hidden (id int)")
    connection.execute("revoke all on sales, hidden from authenticated")
    connection.execute("grant select (id, paid_at) on sales to authenticated")
    with as_service(connection):
        rows = connection.execute(
            "select owner, kind, name, content from outdated_search('m')"
        ).fetchall()
    assert rows == [(None, "table", "sales", "sales. What was sold. Columns: id, paid at")]
    put(connection, "sales", "sales", 1)
    connection.execute("drop table sales, hidden")
    with as_service(connection):
        assert value(connection, "select forget_search()") == 1


def test_the_platforms_tables_are_no_tables_of_people(connection: psycopg.Connection) -> None:
    ours = column(
        connection,
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace "
        "and relkind in ('r', 'p', 'v', 'm', 'f') order by relname",
    )
    assert ours == sorted(value(connection, "select platform_tables()"))


def asking(name: str, deployment: str) -> dict[str, object]:
    """A pipeline that asks a deployment, and registers a model."""
    nodes = [
        {"id": "ask", "block": "predict_endpoint", "config": {"deployment": deployment}},
        {"id": "keep", "block": "register_model@1", "config": {"name": "birds"}},
    ]
    return {"name": name, "nodes": nodes, "edges": []}


def users(
    connection: psycopg.Connection, user: UUID, kind: str, name: str
) -> list[tuple[str, str, int]]:
    with as_user(connection, user):
        return connection.execute("select * from users_of(%s, %s)", (kind, name)).fetchall()


def deploy(connection: psycopg.Connection, user: UUID, name: str, package: str) -> None:
    with as_user(connection, user):
        connection.execute(
            "insert into deployments (name, package) values (%s, %s)", (name, package)
        )


def test_users_of_something_are_found_through_others_and_around_a_circle(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    register(connection, owner, name="birds")
    deploy(connection, owner, "birds", "birds@1")
    save(connection, owner, **asking("guess", "birds"))
    save(connection, owner)
    assert users(connection, owner, "block", "sample_data") == [("pipeline", "penguins", 1)]
    assert users(connection, owner, "package", "birds") == [
        ("deployment", "birds", 1),
        ("pipeline", "guess", 2),
    ]
    assert users(connection, owner, "pipeline", "guess") == [
        ("package", "birds", 1),
        ("deployment", "birds", 2),
    ]
    assert users(connection, owner, "block", "nothing") == []
    assert users(connection, stranger, "block", "sample_data") == []


def test_a_deployment_that_published_pipelines_ask_is_not_deleted(
    connection: psycopg.Connection, owner: UUID
) -> None:
    register(connection, owner, name="birds")
    deploy(connection, owner, "birds", "birds@1")
    pipeline = published(connection, owner, **(SPEC | asking("guess", "birds")))
    with (
        as_user(connection, owner),
        pytest.raises(errors.ForeignKeyViolation, match="published pipelines ask it: guess"),
    ):
        connection.execute("delete from deployments")
    with as_user(connection, owner):
        connection.execute("select archive_pipeline(%s)", (pipeline,))
        connection.execute("delete from deployments")
    assert value(connection, "select count(*) from deployments") == 0
