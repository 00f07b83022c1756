"""Requests in other languages, word by word in English.

Words are looked up as they are, then without their endings: `speichern`, `speichere` and
`gespeichert` are one. What has no entry stays as it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

from rapidfuzz.distance import OSA

from constellation_dagster.agent.embedded.words import fold, load, vocabulary

_LANGUAGES = ("de", "es", "fr")
_ENDS = {"de": "enrtsm", "es": "aeiorsnd", "fr": "eszrntx"}
"""Letters that the endings of verbs, nouns and adjectives are made of."""
_PRONOUNS = {
    "de": re.compile(r"$^"),
    "es": re.compile(r"(?<=[aeir])(?:me|nos|lo|la|los|las|se|le|les|melo|mela)$"),
    "fr": re.compile(r"-(?:moi|nous|le|la|les|lui|y|en|vous|tu)$"),
}
"""What is hung on a verb: `guárdalo`, `convertis-la`."""
_SHORTEST = 4
_LONGEST_PHRASE = 6
_GAP = " .. "
"""Stands in a phrase for words between: `sage .. vorher`."""


@dataclass(frozen=True)
class Reading:
    """What a text is in English."""

    language: str
    """Its code; `en` if it is left as it is."""
    words: Mapping[int, tuple[int, str]]
    """Place → how many words, English words; no words for what is left out."""


@dataclass(frozen=True)
class _Language:
    code: str
    exact: Mapping[str, str]
    stems: Mapping[str, str]
    apart: Mapping[str, tuple[tuple[str, str], ...]]
    """First parts of verbs in two parts: the second part, English."""

    def stem(self, word: str) -> str:
        word = _PRONOUNS[self.code].sub("", word)
        if self.code == "de" and word.startswith("ge") and len(word) > 7:
            word = word[2:]
        short = word.rstrip(_ENDS[self.code])
        return short if len(short) >= _SHORTEST else word[:_SHORTEST]

    def word(self, word: str) -> str | None:
        """One word in English."""
        if word in self.exact:
            return self.exact[word]
        plain = _PRONOUNS[self.code].sub("", word)
        if plain in self.exact:
            return self.exact[plain]
        if len(plain) < _SHORTEST:
            return None
        found = self.stems.get(self.stem(word))
        return found if found is not None else self.misspelt(plain)

    def misspelt(self, word: str) -> str | None:
        """What a word is likely to mean that is one letter off."""
        if len(word) < 7:
            return None
        near = (key for key in self.exact if key[0] == word[0] and abs(len(key) - len(word)) < 2)
        return next(
            (self.exact[k] for k in near if OSA.distance(k, word, score_cutoff=1) <= 1), None
        )

    def read(self, words: Sequence[str]) -> dict[int, tuple[int, str]]:
        found: dict[int, tuple[int, str]] = {}
        place = 0
        while place < len(words):
            length, english = self.phrase(words, place)
            second = self.second_part(words, place) if length < 2 else None
            if second is not None:
                at, english = second
                found[at] = (1, "")
                length = 1
            if length and place not in found:
                found[place] = (length, english)
            place += length or 1
        return found

    def phrase(self, words: Sequence[str], place: int) -> tuple[int, str]:
        """How many words from a place on are known as one, and what they are in English."""
        for length in range(min(_LONGEST_PHRASE, len(words) - place), 1, -1):
            said = " ".join(words[place : place + length])
            if said in self.exact:
                return length, self.exact[said]
        english = self.word(words[place]) if words[place] else None
        return (0, "") if english is None else (1, english)

    def second_part(self, words: Sequence[str], place: int) -> tuple[int, str] | None:
        """Where the second part of a verb is, and what both are in English."""
        for part, english in self.apart.get(words[place], ()):
            for at in range(place + 1, min(place + 9, len(words))):
                last = at + 1 == len(words) or words[at + 1] in ("", "und", "dann")
                if words[at] == part and last:
                    return at, english
        return None


@lru_cache(maxsize=1)
def _languages() -> tuple[_Language, ...]:
    return tuple(_loaded(code) for code in _LANGUAGES)


def _loaded(code: str) -> _Language:
    raw = {fold(str(key)): str(value or "") for key, value in load(code).items()}
    exact = {key: value for key, value in raw.items() if _GAP not in key}
    apart: dict[str, tuple[tuple[str, str], ...]] = {}
    for key, value in raw.items():
        if _GAP in key:
            first, _, second = key.partition(_GAP)
            apart[first] = (*apart.get(first, ()), (second, value))
    language = _Language(code, exact, {}, apart)
    stems: dict[str, str] = {}
    for key, value in exact.items():
        if " " not in key and len(key) > _SHORTEST:
            stems.setdefault(language.stem(key), value)
    return _Language(code, exact, stems, apart)


def in_english(words: Sequence[str]) -> Reading:
    """A text in English, if it is in another language that is known.

    The language is the one that knows most of the words.

    Args:
        words: The words in order; empty texts stand for what is no word.
    """
    folded = [fold(word) for word in words]
    known = set(cast("list[str]", vocabulary()["common"]))
    most = sum(word in known for word in folded)
    best = Reading("en", {})
    for language in _languages():
        # Only what is written as it is in the dictionary tells the language.
        sure = sum(word in language.exact for word in folded if word)
        if sure > most:
            most, best = sure, Reading(language.code, language.read(folded))
    return best
