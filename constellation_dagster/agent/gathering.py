"""Gathers what there is to work with, with the person's rights."""

import logging
import re
from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from constellation_dagster.agent.file_facts import read_file_facts
from constellation_dagster.agent_settings import get_agent_settings
from constellation_dagster.domain.errors import ConstellationError
from constellation_dagster.domain.facts import (
    ColumnFact,
    ColumnType,
    Facts,
    PipelineFact,
    TableFact,
)
from constellation_dagster.domain.places import Places
from constellation_dagster.domain.registry import load_registry
from constellation_dagster.resources.person_sql import as_person
from constellation_dagster.settings import get_settings

PER_PART = 6
_MOST_PARTS = 10
_BETWEEN_CLAUSES = re.compile(r"[.,;:\n]\s|\b(?:and|then)\b")
_MOST_ROWS = 200

_TABLES = """
select c.relname, a.attname, t.typcategory::text
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and has_column_privilege(c.oid, a.attnum, 'select')
    and not c.relname = any(public.platform_tables())
order by c.relname, a.attnum
limit 4000
"""
_DEPLOYMENTS = "select name from public.deployments where owner = %s order by name limit 200"
_PACKAGES = """
select distinct name from public.model_packages
where owner = %s and status <> 'rejected' order by name limit 200
"""
_PIPELINES = """
select name, id::text, public.pipeline_spec(id), status::text from public.pipelines
where owner = %s order by updated_at desc limit 200
"""
_TYPES: dict[str, ColumnType] = {"N": "number", "B": "boolean", "D": "date"}

_log = logging.getLogger(__name__)


def gather_facts(person: UUID) -> Facts:
    """The files, tables, deployments, packages and pipelines that a person may use.

    Args:
        person: Their user id.
    """
    settings = get_settings()
    files = read_file_facts(Places(settings.file_roots))
    with as_person(settings.require_database(), person) as connection:
        return Facts(
            files=files,
            tables=tuple(_tables(connection)),
            deployments=tuple(row[0] for row in _rows(connection, _DEPLOYMENTS, person)),
            packages=tuple(row[0] for row in _rows(connection, _PACKAGES, person)),
            pipelines=tuple(
                PipelineFact(name=name, id=id_, spec=spec, status=status)
                for name, id_, spec, status in _rows(connection, _PIPELINES, person)
            ),
        )


def likely_blocks(request: str) -> tuple[str, ...]:
    """Names of the blocks that a language model is to choose from, the likeliest first.

    None, which stands for all of them, when there is no model: the embedded planner looks at all,
    and a search would cost it more time than it takes to plan.
    """
    return search_blocks(request) if get_agent_settings().model_name is not None else ()


def search_blocks(request: str) -> tuple[str, ...]:
    """Names of the blocks that the search finds for a request, the likeliest first.

    None when the search cannot be used.
    """
    from constellation_dagster.resources.search import SearchRows
    from constellation_dagster.resources.supabase import service_client

    registry = load_registry()
    try:
        # Those that everybody has: nothing of another person can be among them.
        rows = SearchRows(service_client())
        found = [row for part in _parts(request) for row in rows.search(part, ["block"], PER_PART)]
    except ConstellationError as error:
        _log.warning("The search for blocks failed, so that all are looked at: %s", error)
        return ()
    found.sort(key=lambda row: row.score, reverse=True)
    return tuple(dict.fromkeys(row.name for row in found if registry.find(row.name) is not None))


def _parts(request: str) -> list[str]:
    """The whole of it and each of its clauses, which mean a step each."""
    clauses = [part.strip() for part in _BETWEEN_CLAUSES.split(request)]
    return list(dict.fromkeys([request, *(part for part in clauses if part)]))[:_MOST_PARTS]


def _rows(
    connection: psycopg.Connection, query: LiteralString, person: UUID
) -> list[tuple[Any, ...]]:
    return connection.execute(query, (person,)).fetchall()


def _tables(connection: psycopg.Connection) -> Iterator[TableFact]:
    columns: dict[str, list[ColumnFact]] = {}
    for table, column, category in connection.execute(_TABLES):
        fact = ColumnFact(name=column, type=_TYPES.get(category, "text"))
        columns.setdefault(table, []).append(fact)
    for name, found in columns.items():
        yield TableFact(name=name, columns=tuple(found))
