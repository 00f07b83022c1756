"""Checks a pipeline against what there is: its blocks, and the files, tables and columns it names."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from constellation_dagster.agent.column_flow import Tables, columns_at_inputs
from constellation_dagster.agent.file_facts import MOST_FILES
from constellation_dagster.agent.refused_places import RefusedPlace, refused_places
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.completeness import judge
from constellation_dagster.domain.config_formats import (
    COLUMN,
    CONDITION,
    DEPLOYMENT,
    EXPRESSION,
    PACKAGE,
    READ_URL,
    TABLE,
    WRITE_URL,
    formats,
)
from constellation_dagster.domain.conversations import Question
from constellation_dagster.domain.errors import Problem
from constellation_dagster.domain.facts import Facts
from constellation_dagster.domain.places import Places
from constellation_dagster.domain.registry import Registry
from constellation_dagster.domain.suggestions import closest, did_you_mean
from constellation_dagster.settings import get_settings

_MOST_OPTIONS = 8
_FIGURE = re.compile(r"\w+\((.*)\)")


@dataclass(frozen=True)
class Mismatch:
    """A name in the configuration of something that is not there, or may not be used."""

    problem: Problem
    """As a planner is told it."""
    question: Question
    """As a person is asked."""


@dataclass(frozen=True)
class Checked:
    """A pipeline and what there is to say about it."""

    spec: dict[str, Any]
    problems: tuple[Problem, ...]
    questions: tuple[Question, ...]
    mismatches: tuple[Mismatch, ...]

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """All that a planner might put right."""
        return (*self.problems, *(mismatch.problem for mismatch in self.mismatches))


def check(
    spec: Mapping[str, Any],
    registry: Registry,
    facts: Facts,
    asked: Iterable[Question] = (),
    *,
    said: str | None = None,
    places: Places | None = None,
) -> Checked:
    """Compile a pipeline, find what is missing, and compare its names with what there is.

    Args:
        spec: The pipeline, as `PipelineCreateSchema` takes it.
        registry: The blocks.
        facts: What there is.
        asked: Questions that are open already.
        said: The person's own words so far: an address that stands neither there nor in a pipeline
            of theirs is not used. It is not looked for if None.
        places: What the person's pipelines may reach, if not what the settings say.
    """
    verdict = judge(spec, registry, asked)
    columns = columns_at_inputs(spec, registry, facts)
    places = places or Places(get_settings().file_roots)
    refused = {
        (place.node, place.key): _refused(place, facts)
        for place in refused_places(spec, registry, places, facts.pipelines, said)
    }
    mismatches = (
        *refused.values(),
        *(
            mismatch
            for mismatch in _mismatches(spec, registry, facts, columns)
            if (mismatch.question.node, mismatch.question.key) not in refused
        ),
    )
    # A name that the planner asks about already is not asked about twice.
    open_keys = {(question.node, question.key) for question in verdict.questions}
    return Checked(
        spec=dict(spec),
        problems=verdict.problems,
        questions=tuple(
            _with_options(question, spec, registry, facts, columns)
            for question in verdict.questions
        ),
        mismatches=tuple(
            mismatch
            for mismatch in mismatches
            if (mismatch.question.node, mismatch.question.key) not in open_keys
        ),
    )


def _with_options(
    question: Question,
    spec: Mapping[str, Any],
    registry: Registry,
    facts: Facts,
    columns: Mapping[str, Tables],
) -> Question:
    """The question with what there is to choose from, where that is known."""
    node = next((node for node in spec["nodes"] if node["id"] == question.node), None)
    block = registry.find(node["block"]) if node is not None else None
    if node is None or block is None or question.options:
        return question
    format_ = formats(block).get(question.key or "")
    options: Sequence[str] = ()
    if format_ == READ_URL:
        options = [file.path for file in facts.files]
    elif format_ == TABLE:
        options = [table.name for table in facts.tables]
    elif format_ == DEPLOYMENT:
        options = facts.deployments
    elif format_ == PACKAGE and block.kind != "sink":
        options = facts.packages
    elif format_ == COLUMN:
        known = [found or () for port in columns.get(node["id"], {}).values() for found in port]
        options = known[0] if known else ()
    return question.model_copy(update={"options": tuple(options[:_MOST_OPTIONS])})


def _mismatches(
    spec: Mapping[str, Any],
    registry: Registry,
    facts: Facts,
    columns: Mapping[str, Tables],
) -> Iterator[Mismatch]:
    written = set(_written(spec, registry))
    for node in spec["nodes"]:
        block = registry.find(node["block"])
        if block is None:
            continue
        config = cast("Mapping[str, object]", node.get("config") or {})
        for key, format_ in formats(block).items():
            if config.get(key) is None:
                continue
            value = config[key]
            if format_ in (COLUMN, CONDITION, EXPRESSION):
                tables = columns.get(node["id"], {})
                yield from _columns(node["id"], block, key, names_in(value, format_), tables)
            elif isinstance(value, str):
                there = _there(format_, block, value, facts, written)
                if there is not None:
                    yield _mismatch(node["id"], key, *there)
        if block.name == "aggregate":
            yield from _figures(node["id"], block, config, columns.get(node["id"], {}))


def _there(
    format_: str, block: AnyBlock, value: str, facts: Facts, written: set[str]
) -> tuple[str, str, Sequence[str]] | None:
    """What kind of thing is not there, its name, and what there is; nothing if all is well."""
    if format_ == READ_URL:
        paths = [file.path for file in facts.files]
        path = _plain(value)
        # Elsewhere cannot be looked at, nor can all of many files.
        if path is None or len(paths) >= MOST_FILES or path in {*paths, *written}:
            return None
        alike = [name for name in paths if PurePosixPath(name).suffix == PurePosixPath(path).suffix]
        return "file", value, alike or paths
    if format_ == TABLE:
        tables = [table.name for table in facts.tables]
        return None if value in tables else ("table", value, tables)
    if format_ == DEPLOYMENT:
        return None if value in facts.deployments else ("deployment", value, facts.deployments)
    if format_ == PACKAGE and block.kind != "sink":
        name = re.split(r"[@:]", value)[0]
        return None if name in facts.packages else ("package", value, facts.packages)
    return None


def _plain(url: str) -> str | None:
    """A path in the person's first folder, as facts have it."""
    if ":" in url or url.startswith("/"):
        return None
    return PurePosixPath(url).as_posix()


def _written(spec: Mapping[str, Any], registry: Registry) -> Iterator[str]:
    for node in spec["nodes"]:
        block = registry.find(node["block"])
        for key, format_ in formats(block).items() if block is not None else ():
            value = cast("Mapping[str, object]", node.get("config") or {}).get(key)
            if format_ == WRITE_URL and isinstance(value, str):
                yield _plain(value) or value


def names_in(value: object, format_: str) -> list[str]:
    """The columns that a value of the configuration names."""
    if format_ in (CONDITION, EXPRESSION):
        return _names_of_expression(value) if isinstance(value, str) else []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple | dict):
        return [name for name in cast("Iterable[object]", value) if isinstance(name, str)]
    return []


def _names_of_expression(text: str) -> list[str]:
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in called]


def _figures(
    node: str,
    block: AnyBlock,
    config: Mapping[str, object],
    tables: Tables,
) -> Iterator[Mismatch]:
    figures = config.get("aggregates")
    if not isinstance(figures, dict):
        return
    texts = [text for text in cast("dict[str, object]", figures).values() if isinstance(text, str)]
    found = [match[1].strip() for match in map(_FIGURE.fullmatch, texts) if match is not None]
    yield from _columns(node, block, "aggregates", [name for name in found if name], tables)


def _columns(
    node: str,
    block: AnyBlock,
    key: str,
    names: list[str],
    tables: Tables,
) -> Iterator[Mismatch]:
    """Columns that a table which comes in lacks; a source has its own and none come in."""
    if block.kind == "source":
        return
    for columns in (columns for port in tables.values() for columns in port):
        missing = [name for name in names if columns is not None and name not in columns]
        if missing and columns is not None:
            yield _mismatch(node, key, "column", missing[0], columns)
            return


def _refused(place: RefusedPlace, facts: Facts) -> Mismatch:
    then = "Where should it be written?" if place.writes else "What should be read?"
    files = [] if place.writes else [file.path for file in facts.files]
    question = Question(
        node=place.node,
        key=place.key,
        text=f"{place.node!r}: {place.why} {then}",
        options=tuple(files[:_MOST_OPTIONS]),
    )
    problem = Problem(
        code="refused_place",
        message=f"{place.key}: {place.why.message}",
        node=place.node,
        hint=place.why.hint,
    )
    return Mismatch(problem, question)


def _mismatch(node: str, key: str, kind: str, name: str, there: Sequence[str]) -> Mismatch:
    message = f"{key}: there is no {kind} {name!r}."
    hint = did_you_mean(name, list(there), there_are=f"The {kind}s are")
    meant = closest(name, there) if there else None
    options = dict.fromkeys((meant, *there) if meant is not None else there)
    question = Question(
        node=node,
        key=key,
        text=f"{node!r}: there is no {kind} {name!r}. Which {kind} is meant?",
        options=tuple(options)[:_MOST_OPTIONS],
    )
    problem = Problem(code=f"unknown_{kind}", message=message, node=node, hint=hint)
    return Mismatch(problem, question)
