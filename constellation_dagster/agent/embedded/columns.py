"""The columns that a clause names, and what it says of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from pydantic import JsonValue
from rapidfuzz import fuzz, process

from constellation_dagster.agent.embedded.reading import Token
from constellation_dagster.agent.embedded.words import fold, vocabulary
from constellation_dagster.domain.block import AnyBlock
from constellation_dagster.domain.facts import ColumnFact

Groups = dict[str, list[str]]

_NEW = ("word", "quote", "column")
_SUFFIXES = {
    "index": ("rows", "row", "index"),
    "columns": ("columns", "column"),
    "values": ("values", "value"),
    "target": ("target", "label"),
    "features": ("features", "feature", "inputs", "predictors"),
}


@dataclass
class ColumnReader:
    """Finds the columns of one step in its clause.

    Attributes:
        block: The step's block.
        tokens: The clause.
        columns: The columns that may be meant.
        used: Places of tokens that a key has taken.
    """

    block: AnyBlock
    tokens: Sequence[Token]
    columns: Sequence[ColumnFact]
    used: set[int] = field(default_factory=set[int], kw_only=True)

    def required(self) -> set[str]:
        """The keys that have to be given."""
        fields = self.block.config_model.model_fields
        return {key for key, model in fields.items() if model.is_required()}

    def free(self) -> list[tuple[int, str]]:
        """The columns that no key has taken yet."""
        return [
            (place, t.text)
            for place, t in enumerate(self.tokens)
            if t.kind == "column" and place not in self.used
        ]

    def misspelt(self) -> list[str]:
        """Columns that a word is nearly the name of, or words that are said to be columns."""
        names = [column.name for column in self.columns]
        found: list[str] = []
        for place, token in enumerate(self.tokens):
            if token.kind == "quote" and not names:
                found.append(token.text)
            if token.kind != "word" or len(token.text) < 4 or place in self.used or not names:
                continue
            best = process.extractOne(
                token.text, names, scorer=fuzz.ratio, processor=fold, score_cutoff=80
            )
            if best is not None:
                found.append(best[0])
        return list(dict.fromkeys(found)) or self.unknown()

    def unknown(self) -> list[str]:
        """With no columns to know, what is written like one after a word such as `by`."""
        if self.columns:
            return []
        found: list[str] = []
        for place, token in enumerate(self.tokens[:-1]):
            after = self.tokens[place + 1]
            cues = ("by", "predict", "column", "on", "per", "columns", *(("and",) if found else ()))
            if token.is_any(cues) and after.kind == "word" and is_name(after):
                found.append(after.said)
        return found

    def after_cue(self, key: str, *, many: bool) -> list[str]:
        """The columns after the words that stand for a key."""
        for place, token in enumerate(self.tokens[:-2]):
            # "region as rows" says it after the column.
            after = [t.text for t in self.tokens[place + 1 : place + 3]]
            if (
                token.kind == "column"
                and after[0] in ("as", "in")
                and after[1] in _SUFFIXES.get(key, ())
            ):
                return self.listed_before(place, many=many)
        cues = cast("Groups", vocabulary()["cues"]).get(key, [])
        for cue in sorted(cues, key=lambda cue: -len(cue.split())):
            words = cue.split()
            for place in range(len(self.tokens) - len(words)):
                run = self.tokens[place : place + len(words)]
                if not all(
                    t.kind == "word" and t.text == w for t, w in zip(run, words, strict=True)
                ):
                    continue
                names = self.listed(place + len(words), many=many)
                if names:
                    return names
        return []

    def listed_before(self, place: int, *, many: bool) -> list[str]:
        """The columns that are listed up to a place."""
        names: list[str] = []
        while place >= 0:
            token = self.tokens[place]
            if token.kind == "column":
                names.insert(0, token.text)
                self.used.add(place)
                if not many:
                    break
            elif not (token.text == "," or token.is_any(("and", "the"))):
                break
            place -= 1
        return names

    def with_id(self, word: str) -> str | None:
        """The column that tells which one it is: "each customer" is customer_id."""
        names = {f"{word}_id", f"{word.removesuffix('s')}_id"}
        found = [column.name for column in self.columns if fold(column.name) in names]
        return found[0] if len(found) == 1 else None

    def is_one_of(self, place: int) -> bool:
        """Whether a word is what a group is made of each of: "per customer"."""
        token, before = self.tokens[place], self.tokens[place - 1] if place else None
        each = before is not None and before.is_any(("per", "each", "every", "by"))
        return each and token.kind == "word" and self.with_id(token.text) is not None

    def listed(self, place: int, *, many: bool) -> list[str]:
        """The columns that are listed from a place on."""
        names: list[str] = []
        for at, token in enumerate(self.tokens[place:], place):
            if token.kind == "column" and at not in self.used:
                names.append(token.text)
                self.used.add(at)
                if not many:
                    break
            elif not names and self.is_one_of(at):
                names.append(str(self.with_id(token.text)))
                break
            elif token.text == "," or token.is_any(
                ("and", "the", "a", "column", "columns", "their")
            ):
                continue
            else:
                break
        return list(dict.fromkeys(names))

    def renamed(self) -> JsonValue:
        """What columns are to be called: "rename a to b"."""
        names: dict[str, JsonValue] = {}
        for place, token in enumerate(self.tokens[:-1]):
            if token.is_any(("call", "name")):
                # "call price unit_price"
                named = [t for t in self.tokens[place + 1 :] if not t.is_any(("the", "column"))]
                if len(named) > 1 and named[0].kind == "column" and named[1].kind in _NEW:
                    names[named[0].text] = new_text(named[1])
                continue
            if not (
                token.is_any(("to", "into", "as"))
                or token.text in ("=", ">")
                or self.is_german_to(place)
            ):
                continue
            old = next((t for t in reversed(self.tokens[:place]) if t.kind == "column"), None)
            if old is None and not self.columns and self.tokens[place - 1].kind == "word":
                old = self.tokens[place - 1]
            new = self.tokens[place + 1]
            if old is not None and new.kind in _NEW:
                names[old.text] = new_text(new)
        return names or None

    def is_german_to(self, place: int) -> bool:
        """Whether `in` stands before the new name: "die Spalte a in b umbenennen"."""
        token, new = self.tokens[place], self.tokens[place + 1]
        return token.is_any(("in",)) and token.foreign and new.kind == "word" and is_name(new)

    def cast(self) -> JsonValue:
        """What columns are to become."""
        choices = cast("Groups", vocabulary()["choices"])
        kinds = ("datetime", "integer", "number", "text", "date", "boolean")
        text = " ".join(t.text for t in self.tokens if t.kind == "word")
        kind = next((k for k in kinds if says(text, [k, *choices.get(k, [])])), None)
        names = [name for _, name in self.free()] or self.misspelt()
        return dict.fromkeys(names, kind) if kind and names else None

    def aggregated(self) -> JsonValue:
        """The new columns of a grouping: `{"mean_price": "mean(price)"}`."""
        known = cast("Groups", vocabulary()["aggregates"])
        found: dict[str, JsonValue] = {}
        current: list[str] = []
        fresh = False
        counts = False
        text = [t.text if t.kind == "word" else "\0" for t in self.tokens]
        for place, token in enumerate(self.tokens):
            for name, phrases in known.items():
                if any(text[place : place + len(p.split())] == p.split() for p in phrases):
                    if name == "count":
                        counts = True
                        continue
                    current = [*current, name] if fresh else [name]
                    fresh = True
            if token.kind == "column" and place not in self.used and not current:
                # "temperature moyenne" says how after what.
                current = [
                    name
                    for name, phrases in known.items()
                    if text[place + 1 :][:1] and text[place + 1] in phrases and name != "count"
                ]
            if token.kind == "column" and place not in self.used and current:
                fresh = False
                for name in current:
                    found[f"{name}_{token.text}"] = f"{name}({token.text})"
        if not found and current:
            # "the amount by status, summed" says it at the end.
            for _, column in self.free():
                found |= {f"{name}_{column}": f"{name}({column})" for name in current}
        if counts and "count_distinct" not in current:
            found["count"] = "count()"
        return found or None


def new_text(token: Token) -> str:
    """A new name as it was written."""
    return token.text if token.kind == "quote" else token.said


def is_name(token: Token) -> bool:
    """Whether a word can be the name of something new."""
    said = re.fullmatch(r"[A-Za-z_]\w*", token.said) is not None
    stop = cast("list[str]", vocabulary()["stop"])
    return said and token.text not in stop and token.text not in ("table", "column", "columns")


def says(text: str, phrases: Sequence[str]) -> bool:
    """Whether a text has one of these phrases, in the singular or the plural."""
    return any(re.search(rf"(?<!\w){re.escape(phrase)}s?(?!\w)", text) for phrase in phrases)
