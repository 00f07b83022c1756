"""Data inside of Markdown: what is in a table must not become markup."""

import re
from collections.abc import Iterable, Sequence

CELL_CHARACTERS = 80

# An underscore inside of a word is no markup.
_MARKUP = re.compile(r"[\\`*\[\]|<>&~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def markdown_table(columns: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table of some rows.

    Args:
        columns: What stands above them.
        rows: As many values each as there are columns.
    """
    lines = [_row(map(_cell, columns)), _row("---" for _ in columns)]
    return "\n".join([*lines, *(_row(map(_cell, row)) for row in rows)])


def plain_words(text: str) -> str:
    """A text of which no part is markup, on one line."""
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def cut(text: str, characters: int) -> str:
    """A text of so many characters at most; it ends with … where some are left out."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return plain_words(cut(text, CELL_CHARACTERS))
