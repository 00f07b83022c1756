"""Which columns each step of a pipeline gets, as far as that is known without running it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

from constellation_dagster.domain.explanation import in_order
from constellation_dagster.domain.facts import ColumnFact, Facts
from constellation_dagster.domain.ports import PortType
from constellation_dagster.domain.registry import Registry

Columns = tuple[str, ...] | None
"""None where they are not known."""
Config = Mapping[str, Any]
Tables = Mapping[str, Sequence[Columns]]
"""What comes into each table port."""


def columns_at_inputs(
    spec: Mapping[str, Any], registry: Registry, facts: Facts
) -> dict[str, Tables]:
    """For each node and each of its table ports: the columns of each table that comes in.

    Args:
        spec: The pipeline; it may be incomplete or wrong.
        registry: The blocks.
        facts: What the sources hold.
    """
    nodes = {node["id"]: node for node in spec["nodes"]}
    made: dict[str, Columns] = {}
    taken: dict[str, Tables] = {}
    for name in in_order(spec):
        block = registry.find(nodes[name]["block"])
        if block is None:
            continue
        tables: dict[str, list[Columns]] = {}
        for edge in spec["edges"]:
            target, _, port = edge["target"].partition(".")
            source, _, output = edge["source"].partition(".")
            into = block.input(port) if port else next(iter(block.inputs), None)
            if target == name and into is not None and into.type is PortType.TABLE:
                of = registry.find(nodes[source]["block"]) if source in nodes else None
                first = of is not None and output in ("", *_main_outputs(of.name))
                tables.setdefault(into.name, []).append(made.get(source) if first else None)
        taken[name] = tables
        config: Config = nodes[name].get("config") or {}
        made[name] = _made(block.name, config, tables, facts)
    return taken


def _main_outputs(block: str) -> tuple[str, ...]:
    """The outputs of a block that have the columns which are known of it."""
    return ("train", "test") if block == "split_rows" else ("table",)


def _made(block: str, config: Config, tables: Tables, facts: Facts) -> Columns:
    if block in _SOURCES:
        return _SOURCES[block](config, facts)
    if block == "join_tables":
        left, right = (next(iter(tables.get(port, ())), None) for port in ("left", "right"))
        return _joined(config, left, right)
    of = [columns for port in tables.values() for columns in port]
    if not of or any(columns is None for columns in of):
        return None
    first = tuple(dict.fromkeys(name for columns in of for name in columns or ()))
    if block in _KEEP:
        return first
    return _EFFECTS[block](config, first) if block in _EFFECTS else None


_KEEP = frozenset(
    {
        "cast_columns",
        "concatenate",
        "deduplicate",
        "drop_missing",
        "filter_rows",
        "impute_missing",
        "limit_rows",
        "sample_rows",
        "sort_rows",
        "split_rows",
    }
)


def _selected(config: Config, columns: tuple[str, ...]) -> Columns:
    chosen = _texts(config.get("columns"))
    if config.get("mode") == "drop":
        return tuple(name for name in columns if name not in chosen)
    return chosen


def _renamed(config: Config, columns: tuple[str, ...]) -> Columns:
    names = config.get("names")
    if not isinstance(names, dict):
        return None
    new = cast("dict[str, object]", names)
    return tuple(str(new.get(name, name)) for name in columns)


def _with_prediction(config: Config, columns: tuple[str, ...]) -> Columns:
    # What the probabilities' columns are called depends on the data.
    if config.get("probabilities"):
        return None
    return (*columns, str(config.get("column") or "prediction"))


_EFFECTS: Mapping[str, Callable[[Config, tuple[str, ...]], Columns]] = {
    "select_columns": _selected,
    "rename_columns": _renamed,
    "derive_column": lambda config, columns: (*columns, str(config.get("name"))),
    "aggregate": lambda config, _: (*_texts(config.get("by")), *_texts(config.get("aggregates"))),
    "predict": _with_prediction,
    "train_clusterer": lambda config, columns: (*columns, str(config.get("column") or "cluster")),
}


def _joined(config: Config, left: Columns, right: Columns) -> Columns:
    if left is None or config.get("how") in ("semi", "anti"):
        return left
    if right is None:
        return None
    keys = _texts(config.get("keys"))
    added = (f"{name}_right" if name in left else name for name in right if name not in keys)
    return (*left, *added)


def _of_file(config: Config, facts: Facts) -> Columns:
    file = facts.file(str(config.get("url")))
    # With other settings than the usual ones the file is read in another way than it was looked at.
    if file is None or config.get("has_header") is False or config.get("records_path"):
        return None
    separator = str(config.get("separator", ","))
    if file.note.startswith("separator ") and file.note != f"separator {separator!r}":
        return None
    return _texts(config.get("columns")) or _names(file.columns)


def _of_table(config: Config, facts: Facts) -> Columns:
    table = facts.table(str(config.get("name")))
    if table is None:
        return None
    return _texts(config.get("columns")) or _names(table.columns)


@lru_cache(maxsize=16)
def sample_facts(name: str) -> tuple[ColumnFact, ...]:
    """The columns of a data set that `sample_data` has; none if it has no such one."""
    from constellation_dagster.agent.file_facts import columns_of
    from constellation_dagster.blocks.sources import sample_data

    try:
        sample_data.config_model.model_validate({"name": name})
    except ValueError:
        return ()
    return columns_of(sample_data(name=cast("Any", name)))


_SOURCES: Mapping[str, Callable[[Config, Facts], Columns]] = {
    "read_csv": _of_file,
    "read_parquet": _of_file,
    "read_json": _of_file,
    "read_table": _of_table,
    "sample_data": lambda config, _: _names(sample_facts(str(config.get("name")))),
}


def _names(columns: tuple[ColumnFact, ...]) -> Columns:
    return tuple(column.name for column in columns) or None


def _texts(value: object) -> tuple[str, ...]:
    """The texts of a list, or the keys of an object."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple | dict):
        items = cast("Iterable[object]", value)
        return tuple(item for item in items if isinstance(item, str))
    return ()
