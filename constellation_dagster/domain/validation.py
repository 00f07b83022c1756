"""Pydantic's errors in plain words."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from constellation_dagster.domain.suggestions import closest, did_you_mean

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Issue:
    """One thing that is wrong with a value."""

    code: str
    """`unknown_key`, `missing_key` or `bad_value`."""
    path: Path
    """The keys and indices that lead to it."""
    rule: str
    """What is wrong, to be read after the path: `must be at least 1, not 0`."""
    hint: str | None = None

    def sentence(self, path: Path | None = None, *, noun: str = "key") -> str:
        """The whole sentence, with `path` (the issue's own if it is not given) as the place."""
        path = self.path if path is None else path
        if not path:
            return f"it {self.rule}."
        last, parents = path[-1], path[:-1]
        inside = f" in {dotted(parents)}" if parents else ""
        if self.code == "unknown_key":
            return f"there is no {noun} {str(last)!r}{inside}{self.rule}."
        if self.code == "missing_key":
            return f"{noun} {str(last)!r} is missing{inside}."
        return f"{noun} {dotted(path)!r} {self.rule}."


def dotted(path: Path) -> str:
    """The path as a person would write it: `nodes[2].config`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def explain(error: ValidationError, model: type[BaseModel], data: object) -> list[Issue]:
    """Every issue of a validation error, each mistake once.

    Args:
        error: What pydantic raised.
        model: The model that was validated against; its fields are what is suggested.
        data: What was validated.
    """
    unknown: list[Path] = []
    missing: list[Path] = []
    rules: dict[Path, list[tuple[str, str | None]]] = {}
    for detail in error.errors(include_url=False):
        path, alternative = _place(detail, data)
        match detail["type"]:
            case "extra_forbidden" | "invalid_key":
                unknown.append(path)
            case "missing":
                missing.append(path)
            case _:
                rule = _rule(detail, inside=path[len(alternative) :] if alternative else ())
                entry = rules.setdefault(alternative or path, [])
                if rule not in entry:
                    entry.append(rule)
    issues = list(_key_issues(unknown, missing, model))
    for path, found in rules.items():
        hints = [hint for _, hint in found if hint is not None]
        issues.append(
            Issue(
                "bad_value", path, " or ".join(rule for rule, _ in found), next(iter(hints), None)
            )
        )
    return issues


def _key_issues(
    unknown: Sequence[Path], missing: Sequence[Path], model: type[BaseModel]
) -> Iterator[Issue]:
    """Unknown and missing keys; a required key under a wrong name is one mistake, not two."""
    left = list(missing)
    for path in unknown:
        siblings = [str(other[-1]) for other in left if other[:-1] == path[:-1]]
        name = str(path[-1])
        lacking = closest(name, siblings) or next(iter(siblings), None)
        rule = ""
        if lacking is not None:
            left.remove((*path[:-1], lacking))
            rule = f", and {lacking!r} is missing"
        keys = _keys_at(model, path[:-1])
        hint = did_you_mean(name, keys, there_are="The keys are") or "It takes no keys."
        yield Issue("unknown_key", path, rule, hint)
    for path in left:
        yield Issue("missing_key", path, "is missing")


def _place(detail: ErrorDetails, data: object) -> tuple[Path, Path | None]:
    """The path into the data, and the part of it before pydantic went into alternatives.

    Pydantic's location also holds names of union members, which are no place in the data.
    """
    path: list[str | int] = []
    alternative: Path | None = None
    location = detail["loc"]
    for index, step in enumerate(location):
        if isinstance(data, dict) and step in data:
            data = cast("dict[object, object]", data)[step]
        elif isinstance(data, list | tuple) and isinstance(step, int):
            data = cast("Sequence[object]", data)[step]
        elif index == 0 or (detail["type"] == "missing" and index == len(location) - 1):
            # A key that is missing, or whose default is at fault.
            pass
        else:
            if step != "[key]" and detail["type"] != "invalid-json-value":
                alternative = tuple(path) if alternative is None else alternative
            continue
        path.append(step)
    return tuple(path), alternative


def _keys_at(model: type[BaseModel], path: Path) -> list[str]:
    for step in path:
        if isinstance(step, str):
            field = model.model_fields.get(step)
            nested = _model_in(field.annotation) if field is not None else None
            if nested is None:
                return []
            model = nested
    return list(model.model_fields)


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)


_KINDS = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
    "none": "null",
    "invalid-json-value": "a JSON value",
    "date": "a date such as 2026-01-31",
    "datetime": "a date and time such as 2026-01-31T12:00:00Z",
}

# What pydantic's context holds, and how to say it.
_LIMITS = {
    "greater_than": ("gt", "must be greater than {}"),
    "greater_than_equal": ("ge", "must be at least {}"),
    "less_than": ("lt", "must be less than {}"),
    "less_than_equal": ("le", "must be at most {}"),
    "multiple_of": ("multiple_of", "must be a multiple of {}"),
    "string_too_short": ("min_length", "must have at least {} characters"),
    "string_too_long": ("max_length", "must have at most {} characters"),
    "string_pattern_mismatch": ("pattern", "must match the pattern {!r}"),
    "too_short": ("min_length", "must have at least {} items"),
    "too_long": ("max_length", "must have at most {} items"),
    "literal_error": ("expected", "must be {}"),
    "enum": ("expected", "must be {}"),
}


def _rule(detail: ErrorDetails, *, inside: Path) -> tuple[str, str | None]:
    """What the value has to be, and a hint."""
    kind, context = detail["type"], detail.get("ctx", {})
    value = cast("object", detail["input"])
    at = f" at {dotted(inside)}" if inside else ""
    if kind == "value_error":
        return f"{context['error']}{at}", None
    if kind in ("string_too_short", "too_short") and context["min_length"] == 1:
        return f"must not be empty{at}", None
    if kind in _LIMITS:
        key, words = _LIMITS[kind]
        words = words.format(context[key])
    else:
        name = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
        words = f"must be {_KINDS.get(name) or detail['msg'].removeprefix('Input should be ')}"
    meant: str | None = None
    if "expected" in context and isinstance(value, str):
        meant = closest(value, _quoted(str(context["expected"])))
    return f"{words}, not {shown(value)}{at}", f"Did you mean {meant!r}?" if meant else None


def _quoted(expected: str) -> list[str]:
    """The names in pydantic's "'a', 'b' or 'c'"."""
    return [part for part in expected.split("'")[1::2] if part]


def shown(value: object) -> str:
    """The value as a person wrote it, cut short."""
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
