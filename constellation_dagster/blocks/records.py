"""JSON records as tables."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import polars as pl

from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.suggestions import did_you_mean, listing

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def parse_json(content: bytes, *, url: str) -> object:
    """What a JSON document says, or the list of what its lines say if it has one on each.

    Raises:
        BlockFailed: It is neither.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BlockFailed(f"{url!r} is not in UTF-8.", "Save it in UTF-8.") from error
    if not text.strip():
        raise BlockFailed(f"{url!r} is empty.")
    try:
        return _parsed(text)
    except RecursionError as error:
        raise BlockFailed(f"{url!r} is nested too deeply.") from error
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        try:
            # One broken line is a document that is not JSON, rather than lines of it.
            if len(lines) > 1:
                return [_parsed(line) for line in lines]
        except (ValueError, RecursionError):
            pass
        raise BlockFailed(f"{url!r} cannot be read as JSON: {error}.") from error


def _parsed(text: str) -> object:
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no value of JSON")


def find_records(
    document: object, records_path: str | None, *, url: str
) -> list[Mapping[str, object]]:
    """The records in a JSON document.

    Args:
        document: A list of objects, an object that is the only record, or one that holds a list.
        records_path: The keys that lead to the list, with dots between.
        url: Where it is from, for messages.

    Raises:
        BlockFailed: There are no records at that place.
    """
    for key in records_path.split(".") if records_path else ():
        if not isinstance(document, dict):
            raise BlockFailed(f"records_path: there is no object with {key!r} in {url!r}.")
        keys = cast("dict[str, object]", document)
        if key not in keys:
            raise BlockFailed(
                f"records_path: there is no {key!r} in {url!r}.",
                did_you_mean(key, list(keys), there_are="The keys are"),
            )
        document = keys[key]
    if isinstance(document, dict):
        record = cast("dict[str, object]", document)
        lists = [key for key, value in record.items() if _has_objects(value)]
        if lists:
            raise BlockFailed(
                f"{url!r} holds an object and not a list of records.",
                f"Set records_path to where they are: {listing(lists)}.",
            )
        return [record]
    if not isinstance(document, list):
        raise BlockFailed(f"{url!r} holds no records.", "Records are a list of objects.")
    records = cast("list[object]", document)
    odd = next((i for i, item in enumerate(records) if not isinstance(item, dict)), None)
    if odd is not None:
        raise BlockFailed(
            f"{url!r}: entry {odd + 1} of the list is no object.", "Records are a list of objects."
        )
    return cast("list[Mapping[str, object]]", records)


def _has_objects(value: object) -> bool:
    return isinstance(value, list) and any(
        isinstance(item, dict) for item in cast("list[object]", value)
    )


def as_table(records: Sequence[Mapping[str, object]]) -> pl.DataFrame:
    """Records as rows: a column for each key, lists and objects within them as JSON text."""
    names = dict.fromkeys(name for record in records for name in record)
    return pl.DataFrame([_column(name, [record.get(name) for record in records]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    kinds: set[type[Any]] = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and all(v is None or _SMALLEST <= v <= _LARGEST for v in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds in ({float}, {int, float}):
        return pl.Series(name, values, dtype=pl.Float64, strict=False)
    texts = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in values
    ]
    return pl.Series(name, texts, dtype=pl.String)
