"""Words that compare without naming a column: "the oldest", "cheaper than 5", "newest first"."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from constellation_dagster.agent.embedded.reading import Token
from constellation_dagster.agent.embedded.words import vocabulary, words_of
from constellation_dagster.domain.facts import ColumnFact


@dataclass(frozen=True)
class Superlative:
    """An order that a word stands for."""

    column: str | None
    """The one column that it can be about; none if it does not say or several can."""
    descending: bool
    first: bool
    """Whether rows are to be put in this order: "the oldest first"."""


def superlative(tokens: Sequence[Token], columns: Sequence[ColumnFact]) -> Superlative | None:
    """The order that a clause asks for in one word; none if there is no such word."""
    known = cast("dict[str, list[str]]", vocabulary()["superlatives"])
    for place, token in enumerate(tokens):
        if token.kind != "word" or token.text not in known:
            continue
        way, *hints = known[token.text]
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        first = following is not None and following.is_any(("first",))
        return Superlative(column_for(hints, columns), way == "descending", first)
    return None


def compared_column(tokens: Sequence[Token], columns: Sequence[ColumnFact]) -> ColumnFact | None:
    """The column that a comparative such as `older` is about, if just one can be meant."""
    known = cast("dict[str, list[str]]", vocabulary()["comparatives"])
    for token in tokens:
        if token.kind == "word" and token.text in known:
            name = column_for(known[token.text], columns)
            return next((column for column in columns if column.name == name), None)
    return None


def column_for(hints: Sequence[str], columns: Sequence[ColumnFact]) -> str | None:
    """The only column that one of these words is part of the name of."""
    for hint in hints:
        if hint == "date":
            found = [c.name for c in columns if c.type == "date"]
        else:
            found = [c.name for c in columns if hint in words_of(c.name) and c.type == "number"]
        if found:
            return found[0] if len(found) == 1 else None
    return None
