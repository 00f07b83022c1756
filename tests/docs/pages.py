"""The pages of the documentation and the blocks of code in them."""

import re
from dataclasses import dataclass
from pathlib import Path

from constellation_dagster.settings import PROJECT_ROOT

PAGES = (PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fence:
    """A fenced block of code."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(PROJECT_ROOT)}:{self.line}"


def fences(language: str) -> list[Fence]:
    """All blocks of a language, in their order."""
    return [
        Fence(page, text.count("\n", 0, found.start()) + 2, language, found[2])
        for page in PAGES
        for text in (page.read_text(),)
        for found in _FENCE.finditer(text)
        if found[1] == language
    ]


def commands(page: Path, *programs: str) -> list[str]:
    """Lines of a page's console blocks that call one of these programs."""
    return [
        line
        for fence in fences("console")
        if fence.page == page
        for line in fence.text.splitlines()
        if line.split()[0] in programs
    ]


def named(page: Path) -> str:
    """How a page is called in the name of a test."""
    return str(page.relative_to(PROJECT_ROOT))
