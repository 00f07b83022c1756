"""Blocks that count what is in a text."""

import re
from collections import Counter
from typing import Annotated

import polars as pl
from pydantic import Field

from constellation_dagster.domain.ports import Table, Text
from constellation_dagster.domain.registry import block

# Letters and digits, with apostrophes and hyphens within: don't, well-known.
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")  # noqa: RUF001 - the apostrophe of printed text


@block(
    kind="evaluate",
    phrases=(
        "text statistics",
        "how long is the text",
        "count words lines and characters",
        "measure the document",
    ),
)
def text_statistics(text: Text) -> Table:
    """Count the words, lines and characters of a text.

    The result has one row with `words`, `distinct_words`, `lines`, `characters` and
    `mean_word_length`, which is missing if there are no words. Capitals make no other word.

    ```yaml
    - id: measure
      block: text_statistics
    ```
    """
    words = _words(text)
    lengths = [len(word) for word in words]
    return pl.DataFrame(
        {
            "words": [len(words)],
            "distinct_words": [len(set(words))],
            "lines": [len(text.splitlines())],
            "characters": [len(text)],
            "mean_word_length": [sum(lengths) / len(lengths) if lengths else None],
        },
        schema_overrides={"mean_word_length": pl.Float64},
    )


@block(
    kind="evaluate",
    phrases=(
        "count the words",
        "word frequencies",
        "how often each word occurs",
        "most common words",
    ),
)
def count_words(
    text: Text,
    *,
    min_length: Annotated[
        int, Field(ge=1, description="Shorter words than this are left out.")
    ] = 1,
    most: Annotated[
        int | None,
        Field(ge=1, description="How many of the most frequent words to keep; all if not given."),
    ] = None,
) -> Table:
    """Count how often each word of a text occurs, the most frequent first.

    The result has the columns `word`, in small letters, and `count`. Words as frequent are in
    the order of the alphabet.

    ```yaml
    - id: words
      block: count_words
      config: {min_length: 4, most: 20}
    ```
    """
    counts = Counter(word for word in _words(text) if len(word) >= min_length)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return pl.DataFrame(ordered, schema={"word": pl.String, "count": pl.Int64}, orient="row")


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
