"""A request as tagged tokens, in clauses.

What is known by name (files, columns, tables, deployments) is tagged before any word is looked
up, so that a column named `guess` is never taken for something to do.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from constellation_dagster.agent.embedded.words import fold
from constellation_dagster.domain.facts import ColumnFact, Facts

Kind = Literal[
    "word",
    "file",
    "column",
    "table",
    "deployment",
    "package",
    "pipeline",
    "quote",
    "number",
    "mark",
]

EXTENSIONS: Mapping[str, str] = {
    "csv": "csv",
    "tsv": "csv",
    "parquet": "parquet",
    "json": "json",
    "jsonl": "json",
    "ndjson": "json",
    "geojson": "json",
    "txt": "text",
    "md": "text",
    "png": "image",
    "jpg": "image",
    "jpeg": "image",
    "tif": "image",
    "tiff": "image",
    "html": "html",
}
"""What a file is, by its extension."""

_FILE = r"[^\s,;:'\"`()<>=]*[^\s,;:'\"`()<>=./]\.(?:" + "|".join(EXTENSIONS) + r")\b"
_TOKENS = re.compile(
    rf"(?P<url>\b(?:https?|s3|gs|az|abfs|file)://[^\s,;'\"`]*[^\s,;'\"`.!?])"
    rf"|(?P<quote>\"[^\"\n]*\"|`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)|“[^”\n]*”|„[^“\n]*“|«[^»\n]*»)"
    rf"|(?P<file>{_FILE})"
    r"|(?P<date>\d{4}-\d{2}-\d{2})"
    r"|(?P<number>(?<![\w.])-?\d+(?:\.\d+)?(?:st|nd|rd|th)?(?![\w])(?!:\d)%?)"
    r"|(?P<word>\d{1,2}:\d{2}|[^\W\d_][\w-]*(?:['\u2019](?:s|t)\b)?|\w+)"
    r"|(?P<arrow>-+>|=>(?!=)|[→⇒➔➜]|(?<=\s)\|(?=\s)|(?<=\s)>(?=\s+[a-z]))"
    r"|(?P<mark>>=|<=|!=|==|[^\w\s])|(?P<line>\n)",
    re.IGNORECASE,
)


_NUMBERED = re.compile(r"(?:^|(?<=\s))\d{1,2}[.)]\s+(?=[^\W\d])", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*[-*•\u2013][ \t]+", re.MULTILINE)
_SIZE = re.compile(r"(?<![\w./-])(\d+)\s*[x\u00d7]\s*(\d+)(?![\w.]\w)")
_THOUSANDS = re.compile(r"(?<![\w./-])(\d+)k(?!\w)")
_UNIT = re.compile(r"(?<![\w./-])(\d+)(px|pixels?|rows?|trees)(?![\w.])", re.IGNORECASE)
_BLACK_AND_WHITE = re.compile(r"\bblack[ -](?:and|&)[ -]white\b", re.IGNORECASE)
_APOSTROPHES = ("'", "\u2019")


@dataclass(frozen=True)
class Token:
    """A word, or something with a name."""

    kind: Kind
    text: str
    """As it is meant: a file's place, a column's name, a word in English."""
    said: str = ""
    """As it was written."""
    column: ColumnFact | None = None
    foreign: bool = False
    """Whether it stands in a text in another language than English."""

    @property
    def word(self) -> str:
        """What to compare as a word; nothing for what has a name."""
        return self.text if self.kind == "word" else ""

    def is_any(self, words: Iterable[str]) -> bool:
        """Whether it is one of these words."""
        return self.kind == "word" and self.text in words


Clause = tuple[Token, ...]


def extension(url: str) -> str:
    """What a file is by its extension: `csv`, `image`, …; nothing if that is unknown."""
    path = url.partition("?")[0].rstrip("/")
    return EXTENSIONS.get(path.rpartition(".")[2].lower(), "") if "." in path else ""


def named_files(text: str) -> list[str]:
    """The files and URLs that a text names."""
    found: list[str] = []
    for match in _TOKENS.finditer(text):
        said = match.group()
        if match.lastgroup in ("url", "file"):
            found.append(said)
        elif match.lastgroup == "quote" and extension(said[1:-1]):
            found.append(said[1:-1])
    return found


def scan(text: str, facts: Facts) -> list[Token]:
    """The tokens of a text as they are written, files already known as such."""
    tokens = [_scanned(match, facts) for match in _TOKENS.finditer(_plain(text))]
    return [token for token in tokens if token.text not in _APOSTROPHES]


def _plain(text: str) -> str:
    """The text with one way to write steps in a row, sizes and large numbers."""
    numbered = _NUMBERED.findall(text)
    if len(numbered) > 1 and numbered[0].strip() in ("1.", "1)"):
        text = _NUMBERED.sub("\n", text)
    text = _BULLET.sub("\n", text)
    text = _SIZE.sub(r"\1 x \2", text)
    text = _THOUSANDS.sub(lambda match: f"{match[1]}000", text)
    text = re.sub(r"(?<=\d)\s+%", "%", text)
    text = _BLACK_AND_WHITE.sub("grayscale", text)
    return _UNIT.sub(r"\1 \2", text)


def _scanned(match: re.Match[str], facts: Facts) -> Token:
    said = match.group()
    if match.lastgroup in ("url", "file"):
        return Token("file", _place(said, facts), said)
    if match.lastgroup == "quote":
        inner = said[1:-1]
        return Token("file" if extension(inner) else "quote", _place(inner, facts), said)
    kinds: dict[str | None, tuple[Kind, str]] = {
        "date": ("quote", said),
        "number": ("number", re.sub(r"(st|nd|rd|th)$", "", said)),
        "arrow": ("mark", "."),
        "line": ("mark", "."),
        "mark": ("mark", said),
    }
    kind, text = kinds.get(match.lastgroup, ("word", fold(said)))
    return Token(kind, text, said)


def _place(said: str, facts: Facts) -> str:
    """The file of that name, wherever it is, if there is just one."""
    if facts.file(said) is not None:
        return said
    alike = [f.path for f in facts.files if f.path.rpartition("/")[2].lower() == said.lower()]
    return alike[0] if len(alike) == 1 else said


def stem_of(path: str) -> str:
    """What a file is called without its folder and extension, folded."""
    return fold(path.rpartition("/")[2].rpartition(".")[0])
