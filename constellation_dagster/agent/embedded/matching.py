"""Which block a clause means: stems that it shares with the blocks' phrases, by their weight."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import cast

from constellation_dagster.agent.embedded.words import stem, vocabulary, words_of
from constellation_dagster.domain.registry import Registry


@lru_cache(maxsize=1)
def _synonyms() -> dict[str, str]:
    groups = cast("dict[str, list[str]]", vocabulary()["synonyms"])
    return {stem(other): stem(word) for word, others in groups.items() for other in others}


@lru_cache(maxsize=1)
def _stop() -> frozenset[str]:
    return frozenset(str(word) for word in cast("list[str]", vocabulary()["stop"]))


@lru_cache(maxsize=10_000)
def _meaning(word: str) -> str:
    found = stem(word)
    return _synonyms().get(found, found)


def meaning(texts: Iterable[str]) -> list[str]:
    """The stems of words that say something, one for all that mean the same."""
    return [_meaning(word) for text in texts for word in words_of(text) if word not in _stop()]


@lru_cache(maxsize=64)
def name_stems(paths: tuple[str, ...]) -> frozenset[str]:
    """Stems of what files are called: words that name data say nothing about what to do."""
    names = (path.rpartition("/")[2].partition(".")[0] for path in paths)
    return frozenset(stem(word) for name in names for word in words_of(name))


class Matcher:
    """Scores the blocks of a registry for the words of a clause.

    Args:
        registry: The blocks.
    """

    def __init__(self, registry: Registry) -> None:
        self.phrases = tuple(_phrases(registry))
        """Each block's name with one of the ways to say what it does."""
        self._stems: list[tuple[str, frozenset[str]]] = []
        blocks: dict[str, set[str]] = {}
        for name, phrase in self.phrases:
            stems = frozenset(meaning([phrase]))
            if stems:
                self._stems.append((name, stems))
            for found in stems:
                blocks.setdefault(found, set()).add(name)
        total = len(registry.names) or 1
        self._weights = {s: math.log(1 + total / len(names)) for s, names in blocks.items()}

    def knows(self, word: str) -> bool:
        """Whether a word stands in what is said of some block."""
        return all(found in self._weights for found in meaning([word]))

    def scores(self, words: Iterable[str], names: Collection[str] = ()) -> dict[str, float]:
        """How well each block fits, from 0 to 1; those that do not at all are left out.

        Args:
            words: The words of a clause.
            names: Stems that only name data.
        """
        said = Counter(meaning(word for word in words if stem(word) not in names))
        known = {found for found in said if found in self._weights}
        whole = sum(self._weights[found] for found in known)
        best: dict[str, float] = {}
        for name, stems in self._stems:
            shared = sum(self._weights[found] for found in stems & known)
            if not shared:
                continue
            full = shared / sum(self._weights[found] for found in stems)
            score = 0.6 * full + 0.4 * shared / whole
            best[name] = max(best.get(name, 0.0), score)
        return best


def _phrases(registry: Registry) -> Iterator[tuple[str, str]]:
    more = cast("dict[str, list[str]]", vocabulary()["phrases"])
    for name in registry.names:
        block = registry.get(name)
        for phrase in (*block.phrases, name.replace("_", " "), *more.get(name, ())):
            yield name, phrase
