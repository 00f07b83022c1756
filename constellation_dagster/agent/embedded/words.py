"""Words as they are compared: folded, stemmed, spelt, and looked up in the vocabulary."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any, cast

import yaml
from rapidfuzz.distance import OSA

_ENDINGS = (
    "ations",
    "ation",
    "ating",
    "ated",
    "ates",
    "ate",
    "ings",
    "ing",
    "ers",
    "er",
    "ors",
    "or",
    "ies",
    "ied",
    "es",
    "ed",
)
_SHORTEST = 4
"""Shorter words are too much alike to tell what a misspelt one means."""


def fold(text: str) -> str:
    """The text in lower case without accents."""
    text = text.lower().replace("ß", "ss")
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """What stays the same of an English word: `sorting`, `sorted` and `sorts` are one."""
    word = fold(word)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + ("y" if ending in ("ies", "ied") else "")
            break
    else:
        if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
            word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def words_of(text: str) -> list[str]:
    """The words of a text or of a name such as `read_csv`, folded."""
    return re.findall(r"[a-z0-9]+", fold(text))


@lru_cache(maxsize=1)
def vocabulary() -> Mapping[str, Any]:
    """What English words mean to the planner."""
    return load("en")


def load(name: str) -> Mapping[str, Any]:
    """A vocabulary of this package by its name."""
    folder = resources.files("constellation_dagster.agent.embedded") / "vocabulary"
    # A safe loader that takes all for text: `on`, `no` and `true` are words here.
    loader: Any = yaml.BaseLoader((folder / f"{name}.yaml").read_text("utf-8"))
    return cast("Mapping[str, Any]", loader.get_data())


def texts_in(value: object) -> Iterable[str]:
    """All texts of a part of a vocabulary, the keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in cast("Mapping[object, object]", value).items():
            yield str(key)
            yield from texts_in(part)
    elif isinstance(value, list):
        for part in cast("list[object]", value):
            yield from texts_in(part)


class Spelling:
    """Puts words right that are nearly ones that are known.

    Args:
        texts: Where the known words stand.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._words = {word for text in texts for word in words_of(text) if len(word) > 1}
        self._stems = {stem(word) for word in self._words}
        self._by_letter: dict[str, list[str]] = {}
        for word in sorted(self._words):
            self._by_letter.setdefault(word[0], []).append(word)

    def knows(self, word: str) -> bool:
        """Whether a word, or another form of it, is known."""
        inflected = word.endswith(("s", *_ENDINGS))
        return word in self._words or (inflected and stem(word) in self._stems)

    def corrected(self, word: str, names: Iterable[str] = ()) -> str:
        """The known word or name that a misspelt one is likely to mean, or the word itself.

        Args:
            word: The word, folded.
            names: What else is known here, such as columns; they go first.
        """
        if word not in self._words and f"{word}e" in self._words:
            return f"{word}e"
        if self.knows(word) or len(word) < _SHORTEST or not word.isalpha():
            return word
        # Few misspell how a word begins.
        by_name = nearest(word, (name for name in names if name[:1] == word[0]))
        by_word = nearest(word, self._by_letter.get(word[0], ()))
        ranked = [found for found in (by_name, by_word) if found is not None]
        # A name and a word that are as near: the name.
        return min(ranked, key=lambda found: found[:2], default=(0, False, word))[2]


def nearest(word: str, known: Iterable[str]) -> tuple[int, bool, str] | None:
    """The word that is nearest: by how many letters it is off, and whether other ones are used.

    None if all are too far: one letter in short words, two in long ones, and two where only vowels
    are wrong.
    """
    most = 1 if len(word) < 7 else 2
    letters, sound = sorted(word), _sound(word)
    ranked: list[tuple[int, bool, int, str]] = []
    for other in known:
        longer = abs(len(other) - len(word))
        if len(other) < 3 or longer > 2:
            continue
        distance = OSA.distance(word, other, score_cutoff=2)
        if distance <= most or (distance == 2 and len(word) > 4 and sound == _sound(other)):
            ranked.append((distance, sorted(other) != letters, longer, other))
    best = min(ranked, default=None)
    return None if best is None else (best[0], best[1], best[3])


@lru_cache(maxsize=10_000)
def _sound(word: str) -> str:
    """The consonants of a word."""
    return re.sub(r"(.)\1", r"\1", re.sub("[aeiouy]", "", word))
