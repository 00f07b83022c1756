"""Words beside a number that tell what it is for: "500 trees"."""

from collections.abc import Sequence
from typing import cast

from pydantic import JsonValue

from constellation_dagster.agent.embedded.reading import Token
from constellation_dagster.agent.embedded.words import vocabulary
from constellation_dagster.domain.block import AnyBlock


def names_a_number_of(block: AnyBlock, clause: Sequence[Token], new: dict[str, JsonValue]) -> bool:
    """Whether a number is given together with a word for a key of the block: "500 trees"."""
    units = cast("dict[str, list[str]]", vocabulary()["units"])
    dull = ("rows", "first", "top", "most", "with", "by", "words", "size", "length")
    for key, value in new.items():
        cues = [cue for cue in units.get(key, ()) if cue not in dull]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and block.kind != "source" and any(t.is_any(cues) for t in clause):
            return True
    return False
