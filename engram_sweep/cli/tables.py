"""Tables on a terminal of any width: whole columns are left out, no cell is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

BORDER = 3
"""Cells of a column beside its content: a line and a space on each side."""

FOLDED = 24
"""Cells that a column of sentences needs at least."""


@dataclass(frozen=True)
class Column:
    """One column: its heading, its cells, and how much it is missed."""

    name: str
    cells: Sequence[str | Text]
    rank: int = 0
    """Columns of a low rank come first if the terminal is narrow; those of rank 0 always show."""
    right: bool = True
    """Whether cells are aligned to the right, as numbers are."""
    folds: bool = False
    """Whether its cells may take several lines, as sentences do."""

    @property
    def width(self) -> int:
        """Cells that the longest line takes, border included."""
        longest = max(map(cell_len, map(_plain, self.cells)), default=0)
        if self.folds:
            longest = min(longest, FOLDED)
        return max(longest, cell_len(self.name)) + BORDER


def print_table(console: Console, title: str, columns: Sequence[Column]) -> None:
    """Print the columns that fit, and which ones did not.

    A column without a single cell is left out. What is piped gets all columns at any width.

    Args:
        console: where to.
        title: above the table.
        columns: of equally many cells.
    """
    filled = [column for column in columns if any(map(_plain, column.cells))]
    shown = filled if not console.is_terminal else fitting(filled, console.width)
    table = table_of(title, shown)
    needed = sum(column.width for column in shown) + 1
    width = console.width
    # A table that is too wide is wrapped by the terminal: rich would cut its cells.
    console.width = max(width, needed)
    console.print(table, crop=False)
    console.width = width
    if left_out := [column.name for column in filled if column not in shown]:
        console.print(
            f"left out at {console.width} columns: {', '.join(left_out)}; a wider terminal, a "
            "pipe or --json has them",
            highlight=False,
        )


def table_of(title: str, columns: Sequence[Column]) -> Table:
    """Return a table of all these columns.

    Args:
        title: above the table; empty for none.
        columns: of equally many cells.
    """
    table = Table(title=title or None, title_justify="left")
    for column in columns:
        table.add_column(
            column.name,
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            overflow="fold",
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def is_ascii(console: Console) -> bool:
    """Return whether a terminal takes ASCII letters only."""
    return not console.encoding.startswith("utf")


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that a width has room for, in their order.

    Args:
        columns: all of them.
        width: cells of the terminal.
    """
    room = width - 1 - sum(column.width for column in columns if not column.rank)
    kept = {column.name for column in columns if not column.rank}
    for column in sorted(columns, key=lambda column: column.rank):
        if column.rank and column.width <= room:
            kept.add(column.name)
            room -= column.width
    return [column for column in columns if column.name in kept]


def _plain(cell: str | Text) -> str:
    return cell if isinstance(cell, str) else cell.plain
