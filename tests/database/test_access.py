"""Who may read and write what. Grants are compared whole, so that nothing new slips through."""

from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from tests.database.conversations import proposed
from tests.database.packages import point, register
from tests.database.rows import (
    column,
    published,
    request_run,
    save,
    value,
)
from tests.roles import as_anon, as_service, as_user

PEOPLES_TABLES = (
    "profiles",
    "pipelines",
    "nodes",
    "edges",
    "pipeline_versions",
    "runs",
    "model_packages",
    "model_aliases",
    "deployments",
    "deployment_revisions",
    "conversations",
    "messages",
    "drafts",
    "completions",
    "audit_log",
)
TABLES = (*PEOPLES_TABLES, "blocks", "embeddings", "change_events", "deployment_secrets")

# Column by column; an asterisk stands for all of them.
AUTHENTICATED = {
    "profiles": {"SELECT": "*", "UPDATE": "display_name"},
    "blocks": {"SELECT": "*"},
    "pipelines": {
        "SELECT": "*",
        "INSERT": "id name description tags schedule",
        "UPDATE": "name description tags schedule",
        "DELETE": "*",
    },
    "nodes": {
        "SELECT": "*",
        "INSERT": "id pipeline_id node block config retries position ordinal",
        "UPDATE": "node block config retries position ordinal",
        "DELETE": "*",
    },
    "edges": {
        "SELECT": "*",
        "INSERT": "id pipeline_id source target position",
        "UPDATE": "source target position",
        "DELETE": "*",
    },
    "pipeline_versions": {"SELECT": "*"},
    "runs": {"SELECT": "*", "INSERT": "id pipeline_id nodes_selected tags"},
    "model_packages": {
        "SELECT": "*",
        "INSERT": "id name version source_url card",
        "DELETE": "*",
    },
    "model_aliases": {"SELECT": "*", "DELETE": "*"},
    "deployments": {
        "SELECT": "*",
        "INSERT": "id name package replicas runtime resources env batching latency_budget_ms "
        "ready_timeout_s canary desired_state note expires_at",
        "UPDATE": "package replicas runtime resources env batching latency_budget_ms "
        "ready_timeout_s canary desired_state note expires_at",
        "DELETE": "*",
    },
    "deployment_revisions": {"SELECT": "*"},
    "conversations": {"SELECT": "*", "INSERT": "id title", "DELETE": "*"},
    "messages": {"SELECT": "*", "INSERT": "id conversation_id content"},
    "drafts": {"SELECT": "*"},
    "completions": {"SELECT": "*"},
    "embeddings": {"SELECT": "*"},
    "audit_log": {"SELECT": "*"},
}
ALL = dict.fromkeys(("SELECT", "INSERT", "UPDATE", "DELETE"), "*")
SERVICE = {
    "profiles": {"SELECT": "*", "UPDATE": "*"},
    "blocks": ALL,
    "pipelines": ALL,
    "nodes": ALL,
    "edges": ALL,
    "pipeline_versions": {"SELECT": "*"},
    "runs": ALL,
    "model_packages": ALL,
    "model_aliases": ALL,
    "deployments": ALL,
    "deployment_revisions": {"SELECT": "*"},
    "deployment_secrets": {"SELECT": "*"},
    "conversations": {"SELECT": "*"},
    "messages": {"SELECT": "*"},
    "drafts": {"SELECT": "*"},
    "completions": {"SELECT": "*", "INSERT": "*"},
    "embeddings": ALL,
    "change_events": {"SELECT": "*"},
    "audit_log": {"SELECT": "*"},
}
PEOPLES_FUNCTIONS = {
    "is_member",
    "save_pipeline",
    "pipeline_spec",
    "approve_pipeline",
    "archive_pipeline",
    "cancel_run",
    "register_model_package",
    "set_model_alias",
    "set_deployment_secret",
    "restart_deployment",
    "rollback_deployment",
    "promote_canary",
    "approve_draft",
    "reject_draft",
    "platform_tables",
    "search",
    "users_of",
}
SERVICE_FUNCTIONS = PEOPLES_FUNCTIONS | {
    "publish_result",
    "run_progress",
    "change_cursor",
    "read_changes",
    "prune_changes",
    "resolve_package",
    "report_deployment",
    "end_canary",
    "due_messages",
    "begin_turn",
    "finish_turn",
    "release_turn",
    "prune_completions",
    "search_is_outdated",
    "outdated_search",
    "forget_search",
}


def privileges(connection: psycopg.Connection, role: str) -> dict[str, dict[str, str]]:
    """What a role may do with the tables of schema public, in the notation of the above."""
    found: dict[str, dict[str, str]] = {}
    rows = connection.execute(
        """
        select c.relname, p.privilege, a.attname, p.privilege = 'DELETE'
            or has_table_privilege(%(role)s, c.oid, p.privilege)
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) p (privilege)
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'm', 'p')
        and case p.privilege
            when 'DELETE' then has_table_privilege(%(role)s, c.oid, 'DELETE')
            else has_column_privilege(%(role)s, c.oid, a.attnum, p.privilege)
        end
        order by c.relname, p.privilege, a.attnum
        """,
        {"role": role},
    )
    for table, privilege, name, whole in rows:
        of_table = found.setdefault(table, {})
        if whole:
            of_table[privilege] = "*"
        else:
            of_table[privilege] = f"{of_table.get(privilege, '')} {name}".strip()
    return found


@pytest.mark.parametrize(
    ("role", "expected"),
    [("anon", {}), ("authenticated", AUTHENTICATED), ("service_role", SERVICE)],
)
def test_grants_on_tables(
    connection: psycopg.Connection, role: str, expected: dict[str, dict[str, str]]
) -> None:
    assert privileges(connection, role) == expected
    more = column(
        connection,
        "select c.relname from pg_class c, unnest(array['TRUNCATE', 'TRIGGER', 'REFERENCES']) p "
        "where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' "
        "and has_table_privilege(%s, c.oid, p)",
        role,
    )
    assert more == []


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("anon", set[str]()),
        ("authenticated", PEOPLES_FUNCTIONS),
        ("service_role", SERVICE_FUNCTIONS),
    ],
)
def test_grants_on_functions(connection: psycopg.Connection, role: str, expected: set[str]) -> None:
    callable_ones = column(
        connection,
        "select proname from pg_proc where pronamespace = 'public'::regnamespace "
        "and has_function_privilege(%s, oid, 'EXECUTE')",
        role,
    )
    assert set(callable_ones) == expected


def test_every_table_has_row_level_security(connection: psycopg.Connection) -> None:
    query = (
        "select relname from pg_class where relnamespace = 'public'::regnamespace "
        "and relkind = 'r' and relrowsecurity = %s"
    )
    assert set(column(connection, query, True)) == set(TABLES)
    assert column(connection, query, False) == []


def test_every_policy_goes_through_is_member(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "select tablename, roles, coalesce(qual, '') || coalesce(with_check, '') from pg_policies "
        "where schemaname = 'public'"
    ).fetchall()
    assert {row[0] for row in rows} == {*PEOPLES_TABLES, "blocks", "embeddings"}
    assert all(row[1] == ["authenticated"] and "is_member(owner)" in row[2] for row in rows)


def test_functions_pin_their_search_path(connection: psycopg.Connection) -> None:
    unpinned = column(
        connection,
        "select proname from pg_proc where pronamespace in "
        "('public'::regnamespace, 'constellation'::regnamespace) "
        """and coalesce(proconfig, '{}')::text not like '%%search_path=\\\\"\\\\"%%'""",
    )
    assert unpinned == []


@pytest.fixture
def populated(connection: psycopg.Connection, owner: UUID) -> UUID:
    """A pipeline of the owner, with rows in every table."""
    pipeline = published(connection, owner)
    request_run(connection, owner, pipeline)
    register(connection, owner)
    point(connection, owner, "champion", "1")
    proposed(connection, owner)
    return pipeline


def counts(connection: psycopg.Connection, tables: tuple[str, ...]) -> dict[str, int]:
    return {
        table: value(connection, f"select count(*) from {table}")  # type: ignore[arg-type]
        for table in tables
    }


def test_owners_read_their_rows_and_strangers_none(
    connection: psycopg.Connection, owner: UUID, stranger: UUID, populated: UUID
) -> None:
    everything = counts(connection, PEOPLES_TABLES)
    with as_service(connection):
        assert counts(connection, PEOPLES_TABLES) == everything
    with as_user(connection, owner):
        seen = counts(connection, PEOPLES_TABLES)
    with as_user(connection, stranger):
        seen_by_stranger = counts(connection, PEOPLES_TABLES)
    own = {"profiles": 1, "audit_log": 1}
    assert seen_by_stranger == dict.fromkeys(PEOPLES_TABLES, 0) | own
    assert seen == everything | {"profiles": 1, "audit_log": everything["audit_log"] - 1}
    for table in TABLES:
        with pytest.raises(errors.InsufficientPrivilege), as_anon(connection):
            counts(connection, (table,))


def test_shipped_blocks_are_everybodys(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    insert = (
        "insert into blocks (owner, name, version, kind, code_version) values (%s, %s, 1, %s, '1')"
    )
    with as_service(connection):
        connection.execute(insert, (None, "read_csv", "source"))
        connection.execute(insert, (owner, "my_block", "transform"))
    with as_user(connection, owner):
        assert column(connection, "select name from blocks order by 1") == ["my_block", "read_csv"]
    with as_user(connection, stranger):
        assert column(connection, "select name from blocks") == ["read_csv"]


@pytest.mark.parametrize(
    "statement",
    [
        "update pipelines set description = 'mine now'",
        "update nodes set config = '{}'",
        "update edges set source = 'x.y'",
        "update profiles set display_name = 'me' where id <> auth.uid()",
        "delete from pipelines",
        "delete from nodes",
        "delete from edges",
    ],
)
def test_strangers_write_nothing(
    connection: psycopg.Connection, stranger: UUID, populated: UUID, statement: LiteralString
) -> None:
    with as_user(connection, stranger):
        assert connection.execute(statement).rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "insert into nodes (pipeline_id, node, block) values (%s, 'a', 'b')",
        "insert into edges (pipeline_id, source, target) values (%s, 'a.b', 'c.d')",
        "insert into runs (pipeline_id) values (%s)",
        "select pipeline_spec(%s)",
        "select approve_pipeline(%s)",
        "select archive_pipeline(%s)",
    ],
)
def test_other_peoples_pipelines_look_absent(
    connection: psycopg.Connection, stranger: UUID, populated: UUID, statement: LiteralString
) -> None:
    with (
        pytest.raises(psycopg.Error, match=r"there is no pipeline .* of yours") as caught,
        as_user(connection, stranger),
    ):
        connection.execute(statement, (populated,))
    assert caught.value.sqlstate == "PT404"  # PostgREST answers 404


def test_other_peoples_runs_look_absent(
    connection: psycopg.Connection, stranger: UUID, populated: UUID
) -> None:
    run = value(connection, "select id from runs")
    with (
        pytest.raises(psycopg.Error, match=r"there is no run .* of yours"),
        as_user(connection, stranger),
    ):
        connection.execute("select cancel_run(%s)", (run,))


@pytest.mark.parametrize(
    "statement",
    [
        "update pipelines set status = 'published'",
        "update pipelines set version = 1",
        "update pipelines set problems = '[]'",
        "update pipelines set owner = auth.uid()",
        "insert into pipelines (name, owner) values ('x', auth.uid())",
        "insert into pipelines (name, status) values ('x', 'published')",
        "update nodes set pipeline_id = pipeline_id",
        "insert into pipeline_versions (pipeline_id, version, spec) select id, 9, '{}' from pipelines",
        "update pipeline_versions set status = 'published'",
        "delete from pipeline_versions",
        "update runs set status = 'succeeded'",
        "update runs set progress = '{}'",
        "insert into runs (pipeline_id, status) select id, 'running' from pipelines",
        "insert into runs (pipeline_id, dagster_run_id) select id, 'x' from pipelines",
        "delete from runs",
        "insert into blocks (name, version, kind, code_version) values ('x', 1, 'sink', '1')",
        "update profiles set email = 'x@example.com'",
        "delete from audit_log",
        "select * from change_events",
        "select * from read_changes()",
        "select run_progress(gen_random_uuid(), 'x', '{}')",
        "select publish_result(id, 1, true) from pipelines",
        "select * from auth.users",
    ],
)
def test_owners_write_only_what_is_theirs_to_write(
    connection: psycopg.Connection, owner: UUID, populated: UUID, statement: LiteralString
) -> None:
    with pytest.raises(errors.InsufficientPrivilege), as_user(connection, owner):
        connection.execute(statement)


def test_the_service_acts_for_owners(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    with as_service(connection):
        connection.execute("select approve_pipeline(%s)", (pipeline,))
        publish_result = "select publish_result(%s, 1, true)"
        assert value(connection, publish_result, pipeline) == "published"
        connection.execute("select archive_pipeline(%s)", (pipeline,))
        connection.execute(
            "insert into nodes (pipeline_id, node, block) values (%s, 'n', 'b')", (pipeline,)
        )
    assert set(column(connection, "select owner from nodes")) == {owner}


def test_profiles_follow_accounts(connection: psycopg.Connection, owner: UUID) -> None:
    with as_user(connection, owner):
        connection.execute("update profiles set display_name = 'Someone'")
    connection.execute("update auth.users set email = 'new@example.com' where id = %s", (owner,))
    row = connection.execute("select id, email, display_name from profiles").fetchone()
    assert row == (owner, "new@example.com", "Someone")
    pipeline = save(connection, owner)
    connection.execute("delete from auth.users")
    assert value(connection, "select count(*) from profiles") == 0
    assert value(connection, "select owner from pipelines where id = %s", pipeline) == owner
