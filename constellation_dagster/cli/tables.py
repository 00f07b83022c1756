"""Tables on the terminal."""

from rich.table import Table
from rich.text import Text


def add_row(table: Table, *cells: str) -> None:
    """Adds a row of plain text: brackets in what people wrote are no markup."""
    table.add_row(*map(Text, cells))
