"""Tokens with names and in plain English: what is known by name, translated, spelt right."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import cast

from constellation_dagster.agent.embedded.languages import in_english
from constellation_dagster.agent.embedded.reading import Kind, Token, scan, stem_of
from constellation_dagster.agent.embedded.words import Spelling, fold, vocabulary
from constellation_dagster.domain.facts import ColumnFact, Facts

_NUMBERS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20",
    "thirty": "30", "fifty": "50", "hundred": "100", "thousand": "1000",
}  # fmt: skip
_PARTS = {"half": "50%", "third": "33%", "quarter": "25%", "fifth": "20%", "tenth": "10%"}
NO_WORDS = Spelling(())
"""Words of another language are no misspelt English ones; names are the same in all."""
Names = Mapping[tuple[str, ...], Token]


def read(text: str, facts: Facts, columns: Sequence[ColumnFact], spelling: Spelling) -> list[Token]:
    """The tokens of a text, in English and spelt right.

    Args:
        text: What was said.
        facts: What is there.
        columns: The columns that may be meant.
        spelling: Knows the words that the planner does.
    """
    tokens = scan(text, facts)
    names = known_names(facts, columns)
    tagged = _tagged(tokens, names)
    # Names of several words are seen once each of them is spelt right.
    return _tagged(_spelt(_translated(tagged), names, facts, spelling), names)


def known_names(facts: Facts, columns: Sequence[ColumnFact]) -> Names:
    """What is there, by the words that name it."""
    names: dict[tuple[str, ...], Token] = {}
    kinds: tuple[tuple[Kind, Iterable[str]], ...] = (
        ("package", facts.packages),
        ("deployment", facts.deployments),
        ("table", (table.name for table in facts.tables)),
    )
    for kind, known in kinds:
        for name in known:
            names[_parts(name)] = Token(kind, name)
            names[(fold(name),)] = Token(kind, name)
    for pipeline in facts.pipelines:
        # One that is called like a plain word is spoken of as "the pipeline sales".
        parts = _parts(pipeline.name)
        keys = [parts] if len(parts) > 1 else [("pipeline", *parts), (*parts, "pipeline")]
        for key in (*keys, *([(fold(pipeline.name),)] if len(parts) > 1 else [])):
            names.setdefault(key, Token("pipeline", pipeline.name))
    short: dict[tuple[str, ...], Token | None] = {}
    for column in reversed(columns):
        token = Token("column", column.name, column=column)
        parts = _parts(column.name)
        names[parts] = token
        names[(fold(column.name),)] = token
        if len(parts) > 2:
            # "body mass" is body_mass_g, if nothing else can be meant.
            other = short.get(parts[:-1], token)
            short[parts[:-1]] = token if other == token else None
    for parts, token in short.items():
        if token is not None:
            names.setdefault(parts, token)
    names.pop((), None)
    return names


def _tagged(tokens: list[Token], names: Names) -> list[Token]:
    longest = max((len(parts) for parts in names), default=1)
    result: list[Token] = []
    place = 0
    while place < len(tokens):
        found, length = _named(tokens, place, names, longest)
        if found is not None:
            said = " ".join(t.said for t in tokens[place : place + length])
            result.append(replace(found, said=said))
        else:
            result.append(tokens[place])
        place += length
    return result


def _named(
    tokens: Sequence[Token], place: int, names: Names, longest: int
) -> tuple[Token | None, int]:
    """What is named from a place on, and by how many tokens."""
    for length in range(min(longest, len(tokens) - place), 0, -1):
        run = tokens[place : place + length]
        if not all(t.kind in ("word", "quote", "number") for t in run):
            continue
        if length == 1 and run[0].kind == "number":
            continue
        found = names.get(tuple(fold(t.text) for t in run))
        if found is None and length == 1 and run[0].kind == "word" and len(run[0].text) > 4:
            found = names.get((run[0].text.removesuffix("s"),))
        if found is not None:
            return found, length
    return None, 1


def _parts(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", fold(name)))


def _translated(tokens: list[Token]) -> list[Token]:
    """The tokens in English; what is in no dictionary keeps its text."""
    reading = in_english([t.text if t.kind == "word" else "" for t in tokens])
    result: list[Token] = []
    place = 0
    while place < len(tokens):
        length, english = reading.words.get(place, (1, None))
        run = tokens[place : place + length]
        if english is None:
            result.append(replace(run[0], foreign=reading.language != "en"))
        else:
            said = " ".join(t.said for t in run)
            result.extend(Token("word", word, said, foreign=True) for word in english.split())
        place += length
    return result


def _spelt(tokens: Sequence[Token], names: Names, facts: Facts, spelling: Spelling) -> list[Token]:
    """The tokens with misspelt words put right, verbs in their plain form, numbers as digits."""
    single = {parts[0]: token for parts, token in names.items() if len(parts) == 1}
    stems = {stem_of(file.path) for file in facts.files}
    parts = {part for name in names for part in name if len(name) > 1}
    result: list[Token] = []
    for place, token in enumerate(tokens):
        if token.kind != "word":
            result.append(token)
            continue
        word = token.text
        if word not in stems and not (token.foreign and spelling.knows(word)):
            known = NO_WORDS if token.foreign else spelling
            word = known.corrected(word, [*single, *stems, *parts])
            if word in single and word != token.text:
                result.append(replace(single[word], said=token.said))
                continue
        following = tokens[place + 1] if place + 1 < len(tokens) else None
        if word == "form" and following is not None and following.kind in ("file", "table"):
            word = "from"
        before = result[-1] if result else None
        result.append(_as_digits(replace(token, text=word), before))
    return [_in_base_form(token, result[place - 1 : place]) for place, token in enumerate(result)]


def _as_digits(token: Token, before: Token | None) -> Token:
    if token.text in _NUMBERS:
        return replace(token, kind="number", text=_NUMBERS[token.text])
    article = before is not None and before.is_any(("a", "one", "the"))
    if token.text in _PARTS and (article or token.text == "half"):
        return replace(token, kind="number", text=_PARTS[token.text])
    return token


def _in_base_form(token: Token, before: Sequence[Token]) -> Token:
    """A verb as it is looked up: `written` is `write`; "the written rows" is none."""
    if token.kind != "word" or any(t.is_any(("the", "all", "these", "those")) for t in before):
        return token
    base = base_forms().get(token.text)
    return token if base is None else replace(token, text=base)


@lru_cache(maxsize=1)
def base_forms() -> Mapping[str, str]:
    """Other forms of verbs, each with the form that is looked up."""
    forms = dict(cast("Mapping[str, str]", vocabulary()["forms"]))
    for verb in cast("list[str]", vocabulary()["verbs"]):
        bare = verb.removesuffix("e")
        double = f"{verb}{verb[-1]}"
        for root in (bare, double):
            for form in (f"{root}ed", f"{root}ing"):
                forms.setdefault(form, verb)
        if verb.endswith("y"):
            forms.setdefault(f"{verb[:-1]}ied", verb)
    for kept in cast("list[str]", vocabulary()["no_forms"]):
        forms.pop(kept, None)
    return forms
