from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from engram_sweep.cli.tables import Column, fitting, print_table

CELLS = st.text(st.characters(categories=["L", "N"]), max_size=12)
COLUMNS = st.lists(
    st.builds(
        Column,
        name=st.text("abcdef", min_size=1, max_size=12),
        cells=st.lists(CELLS, min_size=2, max_size=2),
        rank=st.integers(0, 4),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda column: column.name,
)


def printed(columns: list[Column], width: int, terminal: bool = True) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)
    print_table(console, "title", columns)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(COLUMNS, st.integers(20, 200))
def test_what_must_show_shows_and_nothing_is_wider_than_it_has_to(columns, width) -> None:
    shown = fitting(columns, width)
    must = [column for column in columns if not column.rank]
    assert [column for column in shown if not column.rank] == must
    needed = sum(column.width for column in shown) + 1
    assert needed <= width or shown == must
    # Nothing that fits is left out for something that is missed less.
    for column in columns:
        if column not in shown:
            missed_less = sum(other.width for other in shown if other.rank > column.rank)
            assert needed - missed_less + column.width > width


@pytest.mark.parametrize("width", [30, 60, 80, 200])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_cell_is_cut(width: int, terminal: bool) -> None:
    columns = [
        Column("arm", ["engram", "moe"], right=False),
        Column("P_tot", ["9,873,962,740", "9,873,962,740"]),
        Column("FLOPs/token", ["8,836,987,320", "8,836,987,320"], rank=1),
        Column("loss", ["", ""]),
    ]
    text = printed(columns, width, terminal)
    assert text.count("9,873,962,740") == 2
    assert "…" not in text
    assert "loss" not in text, "a column without a cell"
    if terminal and width < 45:
        assert "left out at 30 columns: FLOPs/token" in " ".join(text.split())
    else:
        assert text.count("8,836,987,320") == 2


def test_sentences_take_several_lines(capsys) -> None:
    reason = "node: the worker vanished without a word and its log is empty"
    text = printed(
        [Column("run", ["0123"]), Column("reason", [Text(reason)], right=False, folds=True)], 50
    )
    assert max(map(len, text.splitlines())) <= 50
    words = " ".join(text.replace("│", " ").split())
    assert reason in words
