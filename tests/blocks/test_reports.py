"""Blocks that write reports and count words."""

from html.parser import HTMLParser
from pathlib import Path

import PIL.Image
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_dagster.blocks.reports import html_report
from constellation_dagster.blocks.text import count_words, text_statistics
from constellation_dagster.blocks.urls import within
from constellation_dagster.domain.errors import BlockFailed
from constellation_dagster.domain.places import Places

NASTY = "</td><script>alert('x')</script><img src=x onerror=\"y\"> & 'q'"


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_report(tmp_path: Path) -> None:
    url = str(tmp_path / "new" / "report.html")
    table = pl.DataFrame({"city": ["Bonn", None, "Rome"], "n": [1.0, 2 / 3, None], "l": [[1]] * 3})
    image = PIL.Image.new("RGB", (3, 2))
    written = html_report(
        [table, pl.DataFrame()], {"r2": 0.5}, [image], url=url, headings=["Cities"], rows=2
    )
    content = Path(url).read_bytes()
    assert written.size == len(content)
    page = Page(content.decode())
    for text in ("Report", "Metrics", "r2", "0.5", "Cities", "Bonn", "0.666667", "[1]", "missing"):
        assert text in page.texts
    assert "Rome" not in page.texts
    assert {"2 of 3 rows", "Table 2", "0 rows"} <= set(page.texts)
    assert any((value or "").startswith("data:image/png;base64,") for _, value in page.attributes)


def test_nothing_in_a_report_becomes_part_of_the_page(tmp_path: Path) -> None:
    url = str(tmp_path / "report.html")
    html_report(
        [pl.DataFrame({NASTY: [NASTY], "list": [[NASTY]]})],
        {NASTY: 1.0},
        url=url,
        title=NASTY,
        headings=[NASTY],
    )
    page = Page(Path(url).read_text("utf-8"))
    assert not {"script", "img"} & set(page.tags)
    assert page.texts.count(NASTY) == 6
    assert not any(name.startswith("on") for name, _ in page.attributes)


def test_a_report_stays_where_it_may(tmp_path: Path) -> None:
    with within(Places((tmp_path,))), pytest.raises(BlockFailed, match="lies outside"):
        html_report([], url="../report.html")


def test_words_are_counted() -> None:
    text = "Don't stop. Don't — well-known_stop 42\nÄpfel äpfel\n"
    assert count_words(text).rows() == [
        ("don't", 2),
        ("stop", 2),
        ("äpfel", 2),
        ("42", 1),
        ("well-known", 1),
    ]
    assert count_words(text, min_length=5, most=2).rows() == [("don't", 2), ("äpfel", 2)]
    assert text_statistics(text).row(0) == (8, 5, 2, len(text), pytest.approx(5.0))


def test_a_text_without_words() -> None:
    assert text_statistics("").row(0) == (0, 0, 0, 0, None)
    assert count_words(" ... ").shape == (0, 2)


@given(st.text())
def test_every_word_is_counted_once(text: str) -> None:
    assert count_words(text)["count"].sum() == text_statistics(text)["words"][0]
