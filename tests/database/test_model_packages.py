"""Rows of packages: who takes a name, what a version is, where aliases point."""

import threading
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from psycopg.types.json import Jsonb

from tests.database.packages import ask_for, digest, manifest, point, register
from tests.database.rows import column, value
from tests.roles import as_service, as_user


def test_a_registered_package(connection: psycopg.Connection, owner: UUID) -> None:
    assert register(connection, owner)
    row = connection.execute(
        "select owner, status, digest, flavor, signature ->> 'inputs', card, measured "
        "from model_packages"
    ).fetchone()
    assert row is not None
    assert row[:4] == (owner, "packaged", digest(manifest()), "onnx")
    assert '"FP64"' in row[4]
    assert row[5:] == ("A card", {"seconds": 1})


def test_the_same_again_changes_nothing(connection: psycopg.Connection, owner: UUID) -> None:
    assert register(connection, owner)
    events = value(connection, "select count(*) from change_events")
    assert not register(connection, owner)
    assert value(connection, "select count(*) from change_events") == events


def test_a_version_never_changes(connection: psycopg.Connection, owner: UUID) -> None:
    register(connection, owner)
    with pytest.raises(errors.UniqueViolation, match=r"'penguins@1' exists, as sha256:") as caught:
        register(connection, owner, python="3.12")
    assert caught.value.diag.message_hint == "A version never changes: register another one."
    for assignment in (
        "digest = 'sha256:' || repeat('0', 64)",
        "manifest = '{}'",
        "digest = null, manifest = null",
        "flavor = 'python'",
        "signature = '{}'",
        "name = 'others'",
        "version = '2'",
        "owner = gen_random_uuid()",
        "source_url = 'elsewhere.onnx'",
    ):
        with pytest.raises(errors.CheckViolation), as_service(connection):
            connection.execute(f"update model_packages set {assignment}".encode())


@pytest.mark.parametrize("flavor", ["python", "mlflow"])
def test_code_is_registered_by_the_platform_only(
    connection: psycopg.Connection, owner: UUID, flavor: str
) -> None:
    with pytest.raises(errors.InsufficientPrivilege, match="only an operator can register it"):
        register(connection, owner, flavor=flavor)
    with as_service(connection):
        connection.execute(
            "select register_model_package('penguins', '1', %s, owner => %s)",
            (manifest(flavor=flavor), owner),
        )
    assert value(connection, "select owner from model_packages") == owner


def test_nobody_registers_for_others(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    with (
        pytest.raises(errors.InsufficientPrivilege, match="by its owner only"),
        as_user(connection, stranger),
    ):
        connection.execute(
            "select register_model_package('penguins', '1', %s, owner => %s)", (manifest(), owner)
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"flavor": "pickle"},
        {"flavor": None},
        {"signature": {}},
        {"signature": None},
        {"files": []},
        {"files": "model.onnx"},
    ],
)
def test_what_is_no_manifest(
    connection: psycopg.Connection, owner: UUID, changes: dict[str, Any]
) -> None:
    with pytest.raises(errors.CheckViolation, match="is no manifest of format 1"):
        register(connection, owner, **changes)


def test_a_name_is_its_first_owners(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    register(connection, owner)
    for take in (register, ask_for):
        with pytest.raises(errors.UniqueViolation, match="taken by somebody else"):
            take(connection, stranger, version="2")
    register(connection, stranger, name="others")


def test_one_of_two_at_once_takes_a_name(
    connection: psycopg.Connection, owner: UUID, stranger: UUID, database_url: str
) -> None:
    refused: list[str] = []

    def second() -> None:
        with psycopg.connect(database_url, autocommit=True) as other:
            try:
                register(other, stranger, version="2")
            except errors.UniqueViolation as error:
                refused.append(error.diag.message_primary or "")

    thread = threading.Thread(target=second)
    with as_user(connection, owner):
        connection.execute("select register_model_package('penguins', '1', %s)", (manifest(),))
        thread.start()
        # The other one waits for this transaction; either way only one may have the name.
        thread.join(0.3)
    thread.join()
    assert refused == ["the package name 'penguins' is taken by somebody else"]


@pytest.mark.parametrize(
    ("name", "version"), [("Penguins", "1"), ("pen-guins", "1"), ("penguins", "1@2"), ("x", "")]
)
def test_names_and_versions(
    connection: psycopg.Connection, owner: UUID, name: str, version: str
) -> None:
    with pytest.raises(errors.CheckViolation, match=r"cannot (be named|have a version)"):
        ask_for(connection, owner, name, version)


def test_what_a_person_asks_for_needs_an_address(
    connection: psycopg.Connection, owner: UUID
) -> None:
    with (
        pytest.raises(errors.CheckViolation, match="'x@1' needs a source_url"),
        as_user(connection, owner),
    ):
        connection.execute("insert into model_packages (name, version) values ('x', '1')")


def test_what_came_to_nothing_can_be_deleted(connection: psycopg.Connection, owner: UUID) -> None:
    package = ask_for(connection, owner)
    with as_service(connection):
        connection.execute(
            "update model_packages set status = 'rejected', problems = %s where id = %s",
            (Jsonb([{"message": "no file"}]), package),
        )
    with pytest.raises(errors.UniqueViolation, match="exists, as rejected") as caught:
        register(connection, owner)
    assert caught.value.diag.message_hint == "Delete its row, or register another version."
    with as_user(connection, owner):
        assert connection.execute("delete from model_packages").rowcount == 1
    assert register(connection, owner)
    with as_user(connection, owner):
        assert connection.execute("delete from model_packages").rowcount == 0


def test_what_was_put_aside_is_not_there_already(
    connection: psycopg.Connection, owner: UUID
) -> None:
    register(connection, owner)
    with as_service(connection):
        connection.execute("update model_packages set status = 'rejected'")
    with pytest.raises(errors.UniqueViolation, match="exists, as rejected"):
        register(connection, owner)


def test_aliases_move(connection: psycopg.Connection, owner: UUID) -> None:
    for version in ("1", "2"):
        register(connection, owner, version=version)
    assert point(connection, owner, "champion", "1") is None
    assert point(connection, owner, "challenger", "1") is None
    assert point(connection, owner, "champion", "2") == "1"
    assert point(connection, owner, "champion", "2") == "2"
    aliases = "select alias || ' ' || version from model_aliases order by 1"
    with as_user(connection, owner):
        assert column(connection, aliases) == ["challenger 1", "champion 2"]


def test_an_alias_moves_at_once_for_readers(
    connection: psycopg.Connection, owner: UUID, database_url: str
) -> None:
    for version in ("1", "2"):
        register(connection, owner, version=version)
    point(connection, owner, "champion", "1")
    seen: set[str] = set()
    done = threading.Event()

    def read() -> None:
        with psycopg.connect(database_url, autocommit=True) as reader:
            while not done.is_set():
                found = column(reader, "select version from model_aliases")
                assert len(found) == 1
                seen.update(found)

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(100):
        point(connection, owner, "champion", str(turn % 2 + 1))
    done.set()
    thread.join()
    assert seen <= {"1", "2"}


def test_aliases_are_their_owners(
    connection: psycopg.Connection, owner: UUID, stranger: UUID
) -> None:
    register(connection, owner)
    with pytest.raises(psycopg.Error, match="no package 'penguins@1' of yours") as caught:
        point(connection, stranger, "champion", "1")
    assert caught.value.sqlstate == "PT404"
    point(connection, owner, "champion", "1")
    with as_user(connection, stranger):
        assert connection.execute("delete from model_aliases").rowcount == 0
    with as_user(connection, owner):
        assert connection.execute("delete from model_aliases").rowcount == 1


@pytest.mark.parametrize(
    ("alias", "version", "reason"),
    [
        ("champion", "2", "no package 'penguins@2' of yours"),
        ("Champion", "1", "'Champion' is no alias"),
        ("v1", "1", "'v1' is a version"),
        ("champion", "asked", "is registered: it cannot have an alias"),
    ],
)
def test_aliases_that_are_refused(
    connection: psycopg.Connection, owner: UUID, alias: str, version: str, reason: str
) -> None:
    register(connection, owner)
    register(connection, owner, version="v1")
    ask_for(connection, owner, version="asked")
    with pytest.raises(psycopg.Error, match=reason):
        point(connection, owner, alias, version)


def test_a_version_is_not_named_as_an_alias(connection: psycopg.Connection, owner: UUID) -> None:
    register(connection, owner)
    point(connection, owner, "champion", "1")
    with pytest.raises(errors.UniqueViolation, match="'champion' is an alias of package"):
        register(connection, owner, version="champion")


def test_what_an_alias_points_to_stays(connection: psycopg.Connection, owner: UUID) -> None:
    register(connection, owner)
    point(connection, owner, "champion", "1")
    with (
        pytest.raises(errors.ForeignKeyViolation, match="cannot be deleted: it is champion"),
        as_service(connection),
    ):
        connection.execute("delete from model_packages")


@pytest.mark.parametrize(
    "statement",
    [
        "update model_packages set status = 'imaged'",
        "update model_packages set card = 'better'",
        "insert into model_packages (name, version, status) values ('x', '1', 'packaged')",
        "insert into model_packages (name, version, source_url, digest) values ('x', '1', 'y', 'z')",
        "insert into model_packages (version, source_url, owner) values ('1', 'y', auth.uid())",
        "insert into model_aliases (owner, alias, version) values (auth.uid(), 'best', '1')",
        "update model_aliases set version = '1'",
    ],
)
def test_what_owners_may_not_write(
    connection: psycopg.Connection, owner: UUID, statement: LiteralString
) -> None:
    register(connection, owner)
    with pytest.raises(errors.InsufficientPrivilege), as_user(connection, owner):
        connection.execute(statement)


def test_changes_are_told(connection: psycopg.Connection, owner: UUID) -> None:
    ask_for(connection, owner)
    register(connection, owner, version="2")
    point(connection, owner, "champion", "2")
    tables = column(connection, "select table_name from change_events order by id")
    assert tables == ["model_packages", "model_packages", "model_aliases"]
