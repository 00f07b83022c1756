"""Where one step ends and the next begins."""

from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from constellation_dagster.agent.embedded.reading import Clause, Token
from constellation_dagster.agent.embedded.words import fold, vocabulary

_FILLERS = ("and", "also", "please", "finally", "afterwards", "next", "after", "that", "a", "an",
            "the", "it", "to", "i", "want", "would", "like", "just", "you", "me", "them", "this",
            "result", "should", "be", "all")  # fmt: skip
_NOUNS = ("sum", "total", "average", "count", "order", "set", "group", "test", "rank", "list")
"""Verbs that are nouns after an article."""
_ENDS = ".;!?"


@lru_cache(maxsize=1)
def _verbs() -> frozenset[str]:
    return frozenset(cast("list[str]", vocabulary()["verbs"]))


@lru_cache(maxsize=1)
def _openers() -> frozenset[str]:
    return frozenset(cast("list[str]", vocabulary()["openers"]))


def clauses(tokens: Sequence[Token]) -> list[Clause]:
    """The tokens step by step: split at marks and `then`, at commas only where a verb follows."""
    found: list[list[Token]] = [[]]
    for place, token in enumerate(tokens):
        ends = (token.kind == "mark" and token.text in _ENDS) or token.is_any(("then",))
        if not ends and (token.text == "," or token.is_any(("and", "but", "plus"))):
            ends = _is_between_steps(tokens, place, found[-1])
        if ends:
            found.append([])
        else:
            found[-1].append(token)
    return [
        _verb_first(clause) for clause in found if any(token.kind != "mark" for token in clause)
    ]


def _is_between_steps(tokens: Sequence[Token], place: int, before: Sequence[Token]) -> bool:
    summed = any(t.is_any(("average", "mean", "sum", "median", "min", "max")) for t in before)
    following = tokens[place + 1 : place + 2] if summed else ()
    if any(t.is_any(_NOUNS) for t in following):
        return False
    return _ends_with_verb(before) or _begins_step(tokens[place + 1 :])


def _ends_with_verb(clause: Sequence[Token]) -> bool:
    """Whether a clause is done: "die Tabelle lesen und …" has its verb at the end."""
    if not clause or not clause[-1].foreign or not clause[-1].is_any(_verbs()):
        return False
    return not any(t.is_any(_verbs()) for t in clause[:-1])


def _verb_first(clause: list[Token]) -> Clause:
    """The clause with its verb where English has it."""
    if len(clause) > 1 and _ends_with_verb(clause):
        return (clause[-1], *clause[:-1])
    return tuple(clause)


def _begins_step(rest: Sequence[Token]) -> bool:
    article = False
    for place, token in enumerate(rest):
        if token.is_any(_FILLERS) or token.text == ",":
            article = article or token.is_any(("a", "an", "the"))
            continue
        following = rest[place + 1] if place + 1 < len(rest) else None
        alone = following is None or following.kind == "mark" or following.is_any(("and",))
        if token.kind == "column":
            # "and order by date": a column's name that is also a verb, before its object.
            by = following is not None and following.is_any(("by", "the", "it", "rows"))
            return by and fold(token.said) in _verbs()
        if token.kind != "word":
            return False
        if token.text in _verbs() and not (article and token.text in _NOUNS):
            return not alone or token.text not in ("total", "order", "set")
        if token.text in _openers():
            return True
        return article and any(t.is_any(_openers()) for t in rest[place : place + 3])
    return False
