"""Holds a language model's proposal to what the person said and to what there is.

A file, address, table or deployment that the person did not speak of is left out, so that it is
asked for: a model that guesses, or that heeds what a file is called, gets nothing by it. Names that
are nearly those of what there is become these.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

from pydantic import JsonValue

from constellation_dagster.agent.answer_schema import bare
from constellation_dagster.agent.column_names import ColumnNames
from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.reading import EXTENSIONS, named_files
from constellation_dagster.agent.embedded.words import fold
from constellation_dagster.agent.spoken import Spoken
from constellation_dagster.domain import config_formats as is_a
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.config_formats import formats
from constellation_dagster.domain.facts import Facts
from constellation_dagster.domain.proposals import Step
from constellation_dagster.domain.registry import Registry

_READS = ("read_csv", "read_parquet", "read_json", "read_text", "read_image")
_WRITES = ("write_csv", "write_parquet", "write_json", "write_text", "write_image", "html_report")


def ground(
    steps: Sequence[Step], context: Context, base: Mapping[str, Any], registry: Registry
) -> tuple[Step, ...]:
    """The steps, with no name in them that neither the person nor the data has.

    Args:
        steps: What a language model proposed.
        context: What there is, and what was said.
        base: The pipeline or draft that is changed; nothing for a new one.
        registry: The blocks.
    """
    grounder = _Grounder(context.facts, Spoken(context, base), registry)
    placed = grounder.with_named_files([grounder.places(step) for step in steps], context.request)
    names = ColumnNames(placed, registry, context.facts)
    keys = _shared_keys(placed, context.facts)
    return tuple(grounder.columns(names.corrected(step), keys) for step in placed)


@dataclass
class _Grounder:
    facts: Facts
    spoken: Spoken
    registry: Registry

    def places(self, step: Step) -> Step:
        """A step with the files, tables and models that are meant."""
        block = self.registry.find(step.block)
        if block is None:
            return step
        config = _as_typed(step.config, block)
        for key, kind in formats(block).items():
            value = config.get(key)
            if not isinstance(value, str):
                continue
            found = self.place(kind, value, block)
            if found is None:
                del config[key]
            else:
                config[key] = found
        if block.kind == "source" and not formats(block).keys() & config.keys():
            # A data set that nobody spoke of is a guess as well.
            config = {key: v for key, v in config.items() if self.spoken.tells(str(v))}
        step = step.model_copy(update={"config": config})
        url = config.get("url")
        return self.by_ending(step, url) if isinstance(url, str) else step

    def place(self, kind: str, value: str, block: AnyBlock) -> str | None:
        """What is meant by a value; none if it was made up."""
        if value in self.spoken.kept:
            return value
        if kind == is_a.READ_URL:
            return self.read(value)
        if kind == is_a.WRITE_URL:
            return value if self.is_target(value) else None
        there = {
            is_a.TABLE: tuple(table.name for table in self.facts.tables),
            is_a.DEPLOYMENT: self.facts.deployments,
            is_a.PACKAGE: () if block.kind == "sink" else self.facts.packages,
        }
        return self.named(value, there[kind]) if kind in there else value

    def read(self, url: str) -> str | None:
        if "://" in url:
            return url if fold(url.rstrip("/")) in self.spoken.text else None
        paths = [file.path for file in self.facts.files]
        name = fold(PurePosixPath(url).name)
        stem = name.partition(".")[0]
        alike = [path for path in paths if fold(path) == fold(url)]
        alike = alike or [path for path in paths if fold(PurePosixPath(path).name) == name]
        alike = alike or [p for p in paths if fold(PurePosixPath(p).name.partition(".")[0]) == stem]
        # A file that there is not may be what the person means all the same: it is asked about.
        if self.spoken.literally(url):
            return alike[0] if len(alike) == 1 and fold(alike[0]) == fold(url) else url
        if len(alike) == 1 and self.spoken.picks(alike[0], paths):
            return alike[0]
        return None

    def is_target(self, url: str) -> bool:
        """Whether the person said that this is to be written."""
        if "://" in url or "/" in url:
            return fold(url) in self.spoken.text
        stem = url.partition(".")[0]
        inputs = {fold(PurePosixPath(f.path).name.partition(".")[0]) for f in self.facts.files}
        return self.spoken.literally(url) or (
            fold(stem) not in inputs and self.spoken.literally(stem)
        )

    def named(self, name: str, there: Sequence[str]) -> str | None:
        known = next((other for other in there if fold(other) == fold(name)), None)
        if known is not None and self.spoken.picks(known, there):
            return known
        return name if self.spoken.literally(name.partition("@")[0]) else None

    def by_ending(self, step: Step, url: str) -> Step:
        """The step of the block for files of that ending, where there is one for each."""
        name = bare(step.block)
        for blocks, verb in ((_READS, "read"), (_WRITES, "write")):
            meant = _block_for(verb, url)
            if name in blocks and meant in blocks and name != meant:
                return step.model_copy(update={"block": meant, "config": {"url": url}})
        return step

    def with_named_files(self, steps: Sequence[Step], request: str) -> list[Step]:
        """The steps with the files that are named for them, where a model left them out."""
        given = {str(step.config.get("url")) for step in steps}
        free = [name for name in named_files(request) if name not in given]
        there = {file.path for file in self.facts.files}
        open_ = Counter(bare(step.block) for step in steps if "url" not in step.config)
        found = {
            block: [
                name
                for name in free
                if block in (_block_for("read", name), _fetcher(name))
                or (block == _block_for("write", name) and name not in there)
            ]
            for block in open_
        }
        filled: list[Step] = []
        for step in steps:
            fitting = found.get(bare(step.block), [])
            # Only where there is one for each.
            if "url" not in step.config and len(fitting) == open_[bare(step.block)]:
                open_[bare(step.block)] -= 1
                config = {**step.config, "url": fitting.pop(0)}
                filled.append(step.model_copy(update={"config": config}))
            else:
                filled.append(step)
        return filled

    def columns(self, step: Step, shared: Sequence[str]) -> Step:
        """A step without a target or key that was only guessed."""
        block = self.registry.find(step.block)
        config = dict(step.config)
        target = config.get("target")
        if (
            block is not None
            and isinstance(target, str)
            and target not in self.spoken.kept
            and not self.spoken.tells(target)
        ):
            del config["target"]
        keys = config.get("keys")
        if isinstance(keys, list):
            names = [str(key) for key in keys]
            said = all(self.spoken.tells(key) or key in self.spoken.kept for key in names)
            joins = block is not None and len(block.inputs) > 1
            if not said and not (joins and names == list(shared)):
                del config["keys"]
        return step.model_copy(update={"config": config})


def _block_for(verb: str, url: str) -> str:
    """The block that reads or writes a file, by its ending."""
    kind = EXTENSIONS.get(url.rpartition(".")[2].lower())
    return "html_report" if (verb, kind) == ("write", "html") else f"{verb}_{kind}"


def _fetcher(url: str) -> str:
    return "fetch_json" if url.startswith(("http://", "https://")) else ""


def _shared_keys(steps: Sequence[Step], facts: Facts) -> list[str]:
    """The columns that all tables which are read have; joining by the only one is no guess."""
    tables: list[set[str]] = []
    for step in steps:
        file = facts.file(str(step.config.get("url")))
        table = facts.table(str(step.config.get("name"))) if step.block == "read_table" else None
        source = table or file
        if source is not None and bare(step.block) != "infer":
            tables.append({column.name for column in source.columns})
    shared = set[str].intersection(*tables) if len(tables) > 1 else set[str]()
    return sorted(shared) if len(shared) == 1 else []


def _as_typed(config: Mapping[str, JsonValue], block: AnyBlock) -> dict[str, JsonValue]:
    """The configuration with one value as a list where a list is due, and without empty ones."""
    properties = cast("Mapping[str, Mapping[str, Any]]", block.config_schema.get("properties", {}))
    typed: dict[str, JsonValue] = {}
    for key, value in config.items():
        schema = properties.get(key, {})
        shapes = [schema, *cast("list[Mapping[str, Any]]", schema.get("anyOf", []))]
        types = {str(shape.get("type")) for shape in shapes}
        if value in ("", [], {}):
            continue
        if "array" in types and isinstance(value, str):
            typed[key] = [part.strip() for part in value.split(",")]
        elif types == {"string"} and isinstance(value, list) and len(value) == 1:
            typed[key] = value[0]
        else:
            typed[key] = value
    return typed
