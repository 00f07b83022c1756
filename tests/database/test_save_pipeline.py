"""`save_pipeline` and `pipeline_spec`: a pipeline as one document and as rows."""

import threading
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from psycopg.types.json import Jsonb

from tests.database.rows import SPEC, approve, column, published, save, status_of, value
from tests.roles import acting, as_user


def spec_of(connection: psycopg.Connection, user: UUID, pipeline: UUID) -> dict[str, Any]:
    with as_user(connection, user):
        return value(connection, "select pipeline_spec(%s)", pipeline)


def all_rows(connection: psycopg.Connection) -> list[Any]:
    tables: tuple[LiteralString, ...] = ("pipelines", "nodes", "edges", "change_events")
    return [connection.execute(f"select * from {t} order by id").fetchall() for t in tables]


def with_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    node_defaults: dict[str, Any] = {"config": {}, "retries": 0}
    defaults: dict[str, Any] = {"description": "", "edges": [], "schedule": None, "tags": {}}
    return defaults | spec | {"nodes": [node_defaults | node for node in spec["nodes"]]}


def test_round_trip(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    spec = spec_of(connection, owner, pipeline)
    assert spec == with_defaults(SPEC)
    before = all_rows(connection)
    assert save(connection, owner) == pipeline
    with as_user(connection, owner):
        assert value(connection, "select save_pipeline(%s)", Jsonb(spec)) == pipeline
    assert all_rows(connection) == before, "saving the same again changes nothing"


def test_least_pipeline_and_defaults(connection: psycopg.Connection, owner: UUID) -> None:
    spec: dict[str, Any] = {"name": "least", "nodes": []}
    with as_user(connection, owner):
        pipeline = value(connection, "select save_pipeline(%s)", Jsonb(spec))
    assert spec_of(connection, owner, pipeline) == with_defaults(spec)
    with as_user(connection, owner):
        again = Jsonb(spec | {"schedule": {"cron": "@daily"}})
        connection.execute("select save_pipeline(%s)", (again,))
    schedule = spec_of(connection, owner, pipeline)["schedule"]
    assert schedule == {"cron": "@daily", "timezone": "UTC"}


def test_what_is_wrong_for_the_compiler_is_kept_as_it_is(
    connection: psycopg.Connection, owner: UUID
) -> None:
    node = {"id": "Twice!", "block": "no such", "config": {"a": 1}, "retries": 0}
    edge = {"source": "nowhere", "target": "x.y.z"}
    odd = {"name": "Not A Name", "nodes": [node, node, node | {"retries": 3}], "edges": [edge] * 3}
    with as_user(connection, owner):
        pipeline = value(connection, "select save_pipeline(%s)", Jsonb(odd))
    assert spec_of(connection, owner, pipeline) == with_defaults(odd)
    before = all_rows(connection)
    with as_user(connection, owner):
        connection.execute("select save_pipeline(%s)", (Jsonb(odd),))
    assert all_rows(connection) == before


def test_an_edit_touches_only_what_differs(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    with as_user(connection, owner):
        connection.execute('update nodes set position = \'{"x": 1, "y": 2}\'')
    ids = "select id from nodes where node <> 'both' order by node"
    before = column(connection, ids)
    touched = "select count(*) from change_events where id > %s and table_name = %s"
    head = value(connection, "select max(id) from change_events")

    first, second, _ = SPEC["nodes"]
    edges = [SPEC["edges"][1], SPEC["edges"][0]]
    nodes = [first, second | {"retries": 3}, {"id": "new", "block": "chart"}]
    save(connection, owner, nodes=nodes, edges=edges)

    assert spec_of(connection, owner, pipeline) == with_defaults(
        SPEC | {"nodes": nodes, "edges": edges}
    )
    assert column(connection, ids.replace("both", "new")) == before
    placed = "select position from nodes where node = 'clean'"
    assert value(connection, placed) == {"x": 1, "y": 2}
    assert value(connection, touched, head, "pipelines") == 0
    assert value(connection, touched, head, "nodes") == 3  # one gone, one changed, one new
    assert value(connection, touched, head, "edges") == 3  # one gone, two swapped


def test_single_rows_are_appended(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    with as_user(connection, owner):
        connection.execute(
            "insert into nodes (pipeline_id, node, block) "
            "select %s, 'n' || i, 'chart' from generate_series(1, 2) i",
            (pipeline,),
        )
        connection.execute(
            "insert into edges (pipeline_id, source, target) values (%s, 'both.table', 'n1.table')",
            (pipeline,),
        )
    spec = spec_of(connection, owner, pipeline)
    assert [node["id"] for node in spec["nodes"]] == ["load", "clean", "both", "n1", "n2"]
    assert spec["edges"][-1] == {"source": "both.table", "target": "n1.table"}


def test_names_of_others(connection: psycopg.Connection, owner: UUID, stranger: UUID) -> None:
    save(connection, owner)
    with pytest.raises(errors.UniqueViolation) as caught:
        save(connection, stranger, description="mine")
    message = caught.value.diag
    assert message.message_primary == "pipeline name 'penguins' is taken by somebody else"
    assert message.message_hint == "Choose another name."
    # Not even the platform's own role saves over another person's pipeline.
    claims = {"sub": str(stranger)}
    with pytest.raises(errors.UniqueViolation), acting(connection, "service_role", claims):
        connection.execute("select save_pipeline(%s)", (Jsonb(SPEC),))
    with pytest.raises(errors.InsufficientPrivilege, match="nobody is signed in"):
        connection.execute("select save_pipeline(%s)", (Jsonb(SPEC),))


def test_every_problem_of_shape_is_told_at_once(
    connection: psycopg.Connection, owner: UUID
) -> None:
    bad: dict[str, Any] = {
        "name": "",
        "description": 1,
        "tags": {"a": 1},
        "schedule": {"timezone": 2, "when": "daily"},
        "nodes": [
            {"id": "a", "block": 1, "config": [], "retries": 11, "colour": "red"},
            {"block": "b", "retries": 1.5},
            "c",
        ],
        "edges": [{"source": "a.b", "to": "c.d"}, 7],
        "owner": "me",
    }
    with pytest.raises(errors.InvalidParameterValue) as caught, as_user(connection, owner):
        connection.execute("select save_pipeline(%s)", (Jsonb(bad),))
    assert (caught.value.diag.message_primary or "").splitlines() == [
        "pipeline '' cannot be saved:",
        "- unknown 'owner'; known are name, description, nodes, edges, schedule, tags",
        "- name: it must be a text of 1 to 200 characters",
        "- description: it must be a text",
        "- tags: it must be an object of texts",
        "- schedule: it needs a text 'cron'",
        "- schedule: timezone must be a text",
        "- schedule: unknown 'when'; known are cron, timezone",
        "- node 'a': it needs a text 'block'",
        "- node 'a': config must be an object",
        "- node 'a': retries must be a whole number from 0 to 10",
        "- node 'a': unknown 'colour'; known are id, block, config, retries",
        "- nodes[1]: it needs a text 'id'",
        "- nodes[1]: retries must be a whole number from 0 to 10",
        "- nodes[2]: it needs a text 'id'",
        "- nodes[2]: it needs a text 'block'",
        "- edges[0]: it needs a text 'target'",
        "- edges[0]: unknown 'to'; known are source, target",
        "- edges[1]: it needs a text 'source'",
        "- edges[1]: it needs a text 'target'",
    ]
    assert value(connection, "select count(*) from pipelines") == 0


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ([], "it must be an object"),
        (None, "it must be an object"),
        ({"name": "x"}, "nodes: it must be a list"),
        ({"name": "x", "nodes": {}, "edges": 1}, "edges: it must be a list"),
        ({"name": 3, "nodes": []}, "name: it must be a text"),
        ({"name": "x", "nodes": [], "tags": [], "schedule": 3}, "schedule: it must be an object"),
    ],
)
def test_shapes(connection: psycopg.Connection, owner: UUID, spec: object, problem: str) -> None:
    with (
        pytest.raises(errors.InvalidParameterValue, match=problem),
        as_user(connection, owner),
    ):
        connection.execute("select save_pipeline(%s)", (Jsonb(spec),))


def test_edits_leave_what_is_published(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = published(connection, owner)
    save(connection, owner, nodes=[])
    with as_user(connection, owner):
        connection.execute("delete from edges")
    assert status_of(connection, pipeline) == ("published", 1, [])
    spec = value(connection, "select spec from pipeline_versions")
    assert spec == with_defaults(SPEC)


def test_names_stay_once_approved(connection: psycopg.Connection, owner: UUID) -> None:
    pipeline = save(connection, owner)
    with as_user(connection, owner):
        connection.execute("update pipelines set name = 'seabirds'")
    approve(connection, owner, pipeline)
    with (
        pytest.raises(errors.CheckViolation, match="'seabirds' cannot be renamed to 'x'"),
        as_user(connection, owner),
    ):
        connection.execute("update pipelines set name = 'x'")


def test_many_savers_of_one_pipeline(
    connection: psycopg.Connection, database_url: str, owner: UUID
) -> None:
    """Whoever comes last wins whole; a version is never a mixture."""
    specs = [
        SPEC | {"nodes": [{"id": f"n{i}_{j}", "block": "b"} for j in range(20)], "edges": []}
        for i in range(6)
    ]
    failures: list[Exception] = []

    def work(spec: dict[str, Any]) -> None:
        try:
            with psycopg.connect(database_url, autocommit=True) as own:
                for _ in range(3):
                    with as_user(own, owner):
                        pipeline = value(own, "select save_pipeline(%s)", Jsonb(spec))
                    with as_user(own, owner):
                        own.execute("select approve_pipeline(%s)", (pipeline,))
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(spec,)) for spec in specs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    wanted = [with_defaults(spec) for spec in specs]
    versions = connection.execute("select version, spec from pipeline_versions order by 1")
    for number, (version, spec) in enumerate(versions, start=1):
        assert version == number
        assert spec in wanted
