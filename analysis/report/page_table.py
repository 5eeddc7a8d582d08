"""A table as part of a page: sorted by a click, saved as CSV and LaTeX, aligned by its columns."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

NOTHING = "–"
"""What stands in the cell of a missing value."""
MAX_WORD = 24
"""Characters above which the texts of a column may wrap."""
_NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+(e[+-]?\d+)?( ?%)?")
_NUMBERS = re.compile(rf"{_NUMBER.pattern}( to {_NUMBER.pattern})?")


def table(
    frame: pd.DataFrame, digits: Mapping[Any, int] | None = None, ids: Sequence[str] = ()
) -> str:
    """Return a frame without its index.

    Args:
        frame: the cells; None and NaN are missing values.
        digits: decimals of the numbers in a column; the whole number stays in the page's data, so
            that what is saved or sorted by is not rounded.
        ids: anchor of each row; empty if there are none.
    """
    digits = digits or {}
    shown = {
        column: [cell(value, digits.get(str(column))) for value in frame[column]]
        for column in frame
    }
    kinds = {column: _kind(texts) for column, texts in shown.items()}
    # Spaces instead of underscores: a head may then wrap, and a wide table stays on the page.
    head = "".join(
        f"<th{kinds[column]}>{escape(str(column).replace('_', ' '))}</th>" for column in frame
    )
    rows = []
    for number, values in enumerate(frame.itertuples(index=False)):
        cells = (
            f"<td{kinds[column]}{_data(value, shown[column][number])}>"
            f"{escape(shown[column][number])}</td>"
            for column, value in zip(frame, values, strict=True)
        )
        anchor = f' id="{escape(ids[number], quote=True)}"' if len(ids) else ""
        rows.append(f"<tr{anchor}>{''.join(cells)}</tr>")
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table>{body}</table></div>'


def cell(value: Any, digits: int | None = None) -> str:
    """Return a value as the text of a table's cell.

    Args:
        value: a number, a text, a truth value or nothing.
        digits: decimals of a number; five significant digits if left out.
    """
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return NOTHING
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if isinstance(value, float):
        if digits is not None:
            return f"{value:,.{digits}f}"
        return f"{value:.5g}" if abs(value) < 1000 else f"{value:,.0f}"
    # A number of numpy's is an int for pandas, and none for Python.
    return f"{value:,}" if hasattr(value, "__index__") else str(value)


def _kind(texts: Sequence[str]) -> str:
    """Return the class of a column: numbers stand at the right, words at the left."""
    said = [text for text in texts if text not in (NOTHING, "")]
    if all(_NUMBERS.fullmatch(text) for text in said):
        return ""
    return " class=wrap" if max(map(len, said)) > MAX_WORD else " class=text"


def _data(value: Any, text: str) -> str:
    """Return the attribute with what a cell holds, if its text does not say all of it."""
    if text == NOTHING:
        return ' data-v=""'
    if isinstance(value, str):
        plain = text.replace(",", "").removesuffix("%").strip()
        return f' data-v="{plain}"' if plain != text and _NUMBER.fullmatch(text) else ""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return ""
    if isinstance(value, float) or hasattr(value, "__index__"):
        whole = repr(float(value)) if isinstance(value, float) else str(value)
        return f' data-v="{whole}"' if whole != text else ""
    return ""
