"""What a message is about: work on data, what only a person could do, or nothing that is clear."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import cast

from constellation_dagster.agent.embedded.matching import Matcher, meaning
from constellation_dagster.agent.embedded.reading import Clause, Token, stem_of
from constellation_dagster.agent.embedded.words import vocabulary
from constellation_dagster.domain.facts import Facts

CANNOT = (
    "I cannot do this. I build pipelines that read files and tables, change them, train and use "
    "models, and write what comes of it: say which data to read and what to do with it."
)
_MEDIA = re.compile(
    r"\b[\w-]+\.(mp3|mp4|wav|avi|mov|mkv|pdf|docx?|pptx?|xlsx?|zip|rar|tar|gz|exe|sh|py|ipynb|js)\b",
    re.IGNORECASE,
)
_ARTICLES = ("the", "a", "an", "all", "my", "our", "your", "of", "every", "whole", "entire",
             "from", "down", "these", "those", "this", "that", "please", "in", "on")  # fmt: skip
_KNOWLEDGE = ("what", "what's", "whats", "who", "who's", "whom", "why", "when", "should", "is",
              "are", "does", "did", "will", "am", "was")  # fmt: skip
_NAMED = ("file", "table", "deployment", "package", "pipeline")


@lru_cache(maxsize=8)
def _phrases(part: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(text.split()) for text in cast("list[str]", vocabulary()[part]))


def says_any(tokens: Sequence[Token], part: str) -> bool:
    """Whether one of the phrases of a part of the vocabulary is said."""
    return says_one(tokens, _phrases(part))


def says_one(tokens: Sequence[Token], phrases: Iterable[tuple[str, ...]]) -> bool:
    """Whether one of these phrases is said."""
    words = [t.text if t.kind == "word" else "" for t in tokens]
    return any(
        tuple(words[place : place + len(phrase)]) == phrase
        for phrase in phrases
        for place in range(len(words) - len(phrase) + 1)
    )


def is_outside(clause: Clause) -> bool:
    """Whether a step is asked for that is no work on data."""
    return says_any(clause, "outside")


def unreadable(text: str) -> str | None:
    """The kind of a file that is named and that no block reads, such as `mp3`."""
    found = _MEDIA.search(text)
    return None if found is None else found[1].lower()


def destroys(tokens: Sequence[Token]) -> bool:
    """Whether files, tables or what else is kept are to be deleted: no pipeline does that."""
    verbs, things = _phrases("destroys"), _phrases("destroyed")
    for place, token in enumerate(tokens):
        if token.kind != "word" or (token.text,) not in verbs:
            continue
        thing = next((t for t in tokens[place + 1 :] if not t.is_any(_ARTICLES)), None)
        if thing is None:
            continue
        if thing.kind in _NAMED and not token.is_any(("remove", "drop")):
            return True
        if thing.kind == "word" and (thing.text,) in things:
            return True
    return False


def is_clear(tokens: Sequence[Token], matcher: Matcher, facts: Facts) -> bool:
    """Whether it is about data at all, so that it is worth a question."""
    kinds = {token.kind for token in tokens}
    if kinds & {*_NAMED, "column"}:
        return True
    words = [t.text for t in tokens if t.kind == "word"]
    stems = {stem_of(file.path) for file in facts.files}
    if stems & {*words, *(f"{word}s" for word in words)}:
        return True
    said = [word for word in words if meaning([word])]
    known = [word for word in said if matcher.knows(word)]
    if words and words[0] in _KNOWLEDGE and len(known) < len(said):
        return says_any([t for t in tokens if not t.is_any(("it", "this", "that"))], "about_data")
    if says_any(tokens, "about_data"):
        return True
    return bool(known) and 2 * len(known) > len(said)


def is_question(text: str, tokens: Sequence[Token]) -> bool:
    """Whether something is asked about what there is, instead of asked for."""
    words = [t.text for t in tokens if t.kind == "word"]
    if not words or (any(t.kind == "file" for t in tokens) and not text.rstrip().endswith("?")):
        return False
    if words[0] in ("explain", "tell"):
        named = any(t.kind in ("pipeline", "deployment", "package") for t in tokens)
        return named or bool({"pipeline", "draft", "run", "block", "deployment"} & set(words))
    if words[0] in ("list", "describe", "how"):
        return bool({"pipelines", "deployments", "runs", "tables", "files", "blocks", "packages",
                     "pipeline"} & set(words))  # fmt: skip
    asks = words[0] in set(cast("list[str]", vocabulary()["questions"]))
    polite = words[:2] in (["can", "you"], ["could", "you"])
    about = says_any(tokens, "asked_about") or any(
        t.kind in ("table", "deployment", "package", "pipeline", "file") for t in tokens
    )
    wh = words[0] in ("what", "which", "why", "who", "when")
    return asks and not polite and about and (wh or text.rstrip().endswith("?"))


def is_chatter(clause: Clause) -> bool:
    """Whether a clause says nothing of a step: "make a pipeline for that, thanks"."""
    known = {word for (word,) in _phrases("chatter")} | {word for (word,) in _phrases("stop")}
    return all(t.kind == "mark" or (t.kind == "word" and t.text in known) for t in clause)
