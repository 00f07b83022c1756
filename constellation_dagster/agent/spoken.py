"""What the person has said so far, and whether a name in a proposal comes from it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, cast

from rapidfuzz import fuzz

from constellation_dagster.agent.context import Context
from constellation_dagster.agent.embedded.words import fold, stem, words_of

_ALIKE = 80
_DULL = frozenset(map(stem, ("model", "file", "table", "data", "set", "new", "my", "the")))
"""Parts of names that say too little about which one is meant."""


class Spoken:
    """The person's own words of a conversation, and the values of what they change.

    Nothing else counts: what a file or a column is called is no wish of the person.

    Args:
        context: The conversation.
        base: The pipeline or draft that is changed, if any.
    """

    def __init__(self, context: Context, base: Mapping[str, Any]) -> None:
        said = [m.content for m in context.thread.messages if m.role == "user"]
        self.text = fold("\n".join(said))
        self.kept = frozenset(_texts([node.get("config") for node in base.get("nodes", ())]))
        """Texts that the base has in its configuration."""

    @cached_property
    def words(self) -> frozenset[str]:
        """All words, folded."""
        return frozenset(words_of(self.text))

    @cached_property
    def stems(self) -> frozenset[str]:
        """The stems of all words."""
        return frozenset(map(stem, self.words))

    def literally(self, name: str) -> bool:
        """Whether a name stands there as it is, and not as a part of another one."""
        pattern = rf"(?<![\w./-]){re.escape(fold(name))}(?![\w/-])(?!\.\w)"
        return re.search(pattern, self.text) is not None

    def tells(self, name: str) -> bool:
        """Whether a part of a name is spoken of, perhaps misspelt: `price_per_night` by "prices"."""
        return any(self._part(part) for part in _parts(name))

    def picks(self, name: str, others: Iterable[str]) -> bool:
        """Whether it is clear that this one of several names is meant.

        Args:
            name: The name.
            others: All the names that there are.
        """
        if self.literally(name) or self.literally(PurePosixPath(name).name):
            return True
        parts = [part for part in _parts(name) if stem(part) not in _DULL]
        known = [part for part in parts if self._part(part)]
        if not known:
            return False
        rivals = [other for other in others if other != name]
        return len(known) == len(parts) or not any(
            self._part(part)
            for other in rivals
            for part in _parts(other)
            if stem(part) not in _DULL
        )

    def _part(self, part: str) -> bool:
        if part in self.words or (len(part) > 2 and stem(part) in self.stems):
            return True
        long = (word for word in self.words if len(word) > 3 and len(part) > 3)
        return any(fuzz.ratio(part, word) >= _ALIKE for word in long)


def _parts(name: str) -> Sequence[str]:
    """A name's words, without folder and ending."""
    base = PurePosixPath(name).name.partition(".")[0]
    return words_of(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", base))


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in cast("Mapping[str, object]", value).values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in cast("Sequence[object]", value):
            yield from _texts(item)
