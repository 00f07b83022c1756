"""What every bench prints: where and when it ran, and tables that can be pasted into Markdown."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

_console = Console(width=160, highlight=False)


def machine() -> str:
    """The date, the machine, what else it does, and the versions that matter."""
    loads = " ".join(f"{load:.2f}" for load in os.getloadavg())
    packages = ", ".join(f"{name} {version(name)}" for name in ("dagster", "pydantic", "polars"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, load {loads}; "
        f"Python {platform.python_version()}, {packages}"
    )


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints one table; its first column is text, the others are figures."""
    table = Table(box=box.MARKDOWN)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    _console.print(f"{title}\n({machine()})\n", markup=False, soft_wrap=True)
    _console.print(table)
    _console.print()


def middle_and_worst(values: Sequence[float]) -> str:
    """`median (worst)` of some seconds."""
    return f"{median(values):.2f} ({max(values):.2f})"
