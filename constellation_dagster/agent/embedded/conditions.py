"""Conditions on rows: "price over 100 and the city is Bonn" becomes `price > 100 and …`."""

import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from constellation_dagster.agent.embedded.reading import Token
from constellation_dagster.agent.embedded.superlatives import column_for, compared_column
from constellation_dagster.agent.embedded.words import vocabulary, words_of
from constellation_dagster.domain.facts import ColumnFact

_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}


@lru_cache(maxsize=1)
def _comparators() -> list[tuple[tuple[str, ...], str]]:
    known = cast("dict[str, list[str]]", vocabulary()["comparators"])
    pairs = [(tuple(phrase.split()), sign) for sign, all_ in known.items() for phrase in all_]
    return sorted(pairs, key=lambda pair: -len(pair[0]))


def comparator(tokens: Sequence[Token], place: int) -> tuple[str, int]:
    """The comparison that begins at a place, and how many tokens it takes; none is ("", 0)."""
    for phrase, sign in _comparators():
        run = tokens[place : place + len(phrase)]
        if len(run) == len(phrase) and all(
            t.kind in ("word", "mark") and t.text == w for t, w in zip(run, phrase, strict=True)
        ):
            return sign, len(phrase)
    return "", 0


@dataclass
class _Conditions:
    """Reads the comparisons of a clause one after another.

    Attributes:
        tokens: The clause.
        columns: The columns that may be meant.
    """

    tokens: Sequence[Token]
    columns: Sequence[ColumnFact]
    parts: list[str] = field(default_factory=list[str])
    joins: list[str] = field(default_factory=list[str])
    column: Token | None = None
    joined: str = "and"

    def read(self) -> None:
        """Read the whole clause."""
        place = 0
        while place < len(self.tokens):
            place = self.step(place)

    def step(self, place: int) -> int:
        """Read what stands at a place; the next place."""
        token = self.tokens[place]
        sign, length = comparator(self.tokens, place)
        if token.kind == "column":
            self.column = token
            return self.plain_value(place)
        if token.is_any(("and", "or")) and sign == "":
            self.joined = token.text
        elif token.is_any(("is", "are")) and comparator(self.tokens, place + 1)[0]:
            pass  # "is over", "is not equal to": the next words say how.
        elif sign:
            return self.compared(place, sign, length)
        elif token.is_any(("between",)):
            column = self.column or self.of_age()
            return place + 1 if column is None else self.between(place, column)
        elif token.is_any(("missing", "empty", "null")) and self.column is not None:
            is_not = any(t.is_any(("not", "without")) for t in self.tokens[:place])
            name = column_name(self.column.text)
            self.add(f"{name} is not None" if is_not else f"{name} is None")
        elif self.column is None or self.parts:
            self.known_value(place)
        return place + 1

    def add(self, part: str) -> None:
        """Add a comparison."""
        if part in self.parts:
            return
        if self.parts:
            self.joins.append(self.joined)
        self.parts.append(part)

    def compared(self, place: int, sign: str, length: int) -> int:
        """A comparison with a sign or words for one."""
        column = self.column or self.implied(place, length)
        if column is None:
            return place + length
        other, width = comparator(self.tokens, place + length)
        if sign == "!=" and other in _OPPOSITE:
            # "is not over"
            sign, length = _OPPOSITE[other], length + width
        value, end = _value(self.tokens, place + length, column)
        if value is None:
            return place + length
        following, width = comparator(self.tokens, end)
        # "100 or more"
        if following in (">=", "<=") and self.tokens[end].is_any(("or",)):
            sign, end = following, end + width
        self.add(_written(column, sign, value))
        return end

    def implied(self, place: int, length: int) -> Token | None:
        """The column of "older than 65", or the one that only follows."""
        found = compared_column(self.tokens[: place + length], self.columns)
        if found is not None:
            return Token("column", found.name, column=found)
        value = self.tokens[place + length : place + length + 1]
        dates = [c for c in self.columns if c.type == "date"]
        if len(dates) == 1 and value and re.fullmatch(r"\d{4}-\d\d-\d\d", value[0].text):
            return Token("column", dates[0].name, column=dates[0])
        years = [c for c in self.columns if "year" in words_of(c.name)]
        if len(years) == 1 and value and re.fullmatch(r"(1[89]|20)\d\d", value[0].text):
            return Token("column", years[0].name, column=years[0])
        later = [t for t in self.tokens[place + length :] if t.kind == "column"]
        number = any(t.kind == "number" for t in self.tokens[place + length : place + length + 2])
        return later[0] if number and len(later) == 1 else None

    def of_age(self) -> Token | None:
        """The column of "between 30 and 50 years old"."""
        old = any(t.is_any(("old", "aged")) for t in self.tokens)
        name = column_for(("age",), self.columns) if old else None
        found = next((c for c in self.columns if c.name == name), None)
        return None if found is None else Token("column", found.name, column=found)

    def between(self, place: int, column: Token) -> int:
        """Two limits."""
        low, end = _value(self.tokens, place + 1, column)
        high, last = _value(self.tokens, end + 1, column)
        if not (low and high):
            return place + 1
        name = column_name(column.text)
        self.add(f"{name} >= {low} and {name} <= {high}")
        return last

    def plain_value(self, place: int) -> int:
        """A column's name with one of its values right behind it: "region North"."""
        token = self.tokens[place]
        following = self.tokens[place + 1 : place + 2]
        if token.column is not None and following and following[0].kind in ("word", "quote"):
            said = following[0].said.strip("\"'`“”„«»")
            known = [s for s in token.column.samples if s.lower() == said.lower()]
            known = known or [said for _ in (0,) if said.lower() in ("yes", "no")]
            if known and token.column.type != "boolean":
                self.add(_written(token, "==", _constant(known[0], token.column)))
                return place + 2
        return place + 1

    def known_value(self, place: int) -> None:
        """A value that only one column has: "from Biscoe only"."""
        token = self.tokens[place]
        before = self.tokens[place - 1 : place] if place else ()
        if token.kind not in ("word", "quote") or len(token.said) < 4:
            return
        said = token.said.strip("\"'`“”„«»").lower()
        cued = any(t.is_any(("from", "in", "only", "for", "of", "and", "or")) for t in before)
        having = [c for c in self.columns if said in (sample.lower() for sample in c.samples)]
        if cued and len(having) == 1 and having[0].type == "text" and token.said[0].isupper():
            sample = next(s for s in having[0].samples if s.lower() == said)
            self.add(f"{column_name(having[0].name)} == {sample!r}")


def find_condition(
    tokens: Sequence[Token], columns: Sequence[ColumnFact] = (), *, negated: bool = False
) -> str | None:
    """The condition that a clause states.

    Args:
        tokens: The clause.
        columns: The columns that may be meant where none is named.
        negated: Whether the rows that it holds for are to go.
    """
    found = _Conditions(tokens, columns)
    found.read()
    parts = found.parts
    if not parts:
        return None
    if len(parts) == 1 and negated:
        return _negated(parts[0])
    text = parts[0]
    for join, part in zip(found.joins, parts[1:], strict=False):
        text += f" {join} {part}"
    return f"not ({text})" if negated else text


def _negated(part: str) -> str:
    words = part.split(" ")
    if len(words) >= 3 and words[1] in _OPPOSITE and " and " not in part:
        return " ".join((words[0], _OPPOSITE[words[1]], *words[2:]))
    return f"not ({part})"


def _value(tokens: Sequence[Token], place: int, column: Token) -> tuple[str | None, int]:
    """The value from a place on, as an expression has it, and where it ends."""
    while place < len(tokens) and tokens[place].is_any(("the", "a", "an", "to", "than", "either")):
        place += 1
    if place >= len(tokens):
        return None, place
    token = tokens[place]
    fact = column.column or ColumnFact(name=column.text)
    if token.kind == "number":
        return _number(token.text.rstrip("%"), fact), place + 1
    if token.kind == "column":
        return column_name(token.text), place + 1
    if token.kind == "quote":
        return _constant(token.text, fact), place + 1
    if token.kind != "word" or token.is_any(("and", "or", "by")):
        return None, place
    return _words(tokens, place, fact)


def _number(number: str, fact: ColumnFact) -> str:
    """A number, in quotes where the column's values are texts that are no numbers."""
    quoted = fact.type == "text" and not all(_is_number(s) for s in fact.samples or ("x",))
    return repr(number) if quoted else number


def _words(tokens: Sequence[Token], place: int, fact: ColumnFact) -> tuple[str, int]:
    """A value of one word, or of several where the samples have it."""
    for length in (3, 2):
        run = tokens[place : place + length]
        said = " ".join(t.said for t in run)
        for sample in fact.samples:
            if len(run) == length and sample.lower() == said.lower():
                return repr(sample), place + length
    return _constant(tokens[place].said or tokens[place].text, fact), place + 1


def _constant(said: str, fact: ColumnFact) -> str:
    if fact.type == "boolean" and said.lower() in ("true", "false", "yes", "no"):
        return str(said.lower() in ("true", "yes"))
    if fact.type == "date":
        return f"date({said!r})"
    if fact.type == "number" and _is_number(said):
        return said
    alike = [sample for sample in fact.samples if sample.lower() == said.lower()]
    return repr(alike[0] if alike else said)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _written(column: Token, sign: str, value: str) -> str:
    name = column_name(column.text)
    if sign in ("contains", "starts_with", "ends_with"):
        return f"{sign}({name}, {value})"
    return f"{name} {sign} {value}"


def column_name(column: str) -> str:
    """A column as an expression names it."""
    plain = column.isidentifier() and not keyword.iskeyword(column)
    return column if plain else f"col({column!r})"
