"""The frame of report.html: one file without outside requests; `sections` fills it."""

from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

import pandas as pd

# The browser itself refuses anything from outside the file.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)


@cache
def _asset(name: str) -> str:
    return files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def document(
    name: str, sections: Sequence[str], subject: str = "Loss over the share of experts"
) -> str:
    """Return a whole page, style and script included.

    Args:
        name: what the sweep is called.
        sections: HTML, in order.
        subject: what the page is of.
    """
    sections = [f"<h1>{subject}: {escape(name)}</h1>", *sections]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(name)}: {subject[0].lower()}{subject[1:]}</title>"
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"{_POLICY}<style>\n{_asset('page.css')}</style></head><body>\n"
        + "\n".join(sections)
        + f"\n<script>\n{_asset('zoom.js')}</script>\n"
        "</body></html>\n"
    )


def section(title: str, body: str, note: str = "") -> str:
    """Return a heading, a note in words, and a body of HTML."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<h2>{escape(title)}</h2>{said}{body}"


def figure(svg: str, words: str) -> str:
    """Return a whole SVG file as part of the page, with words for who cannot see it."""
    label = escape(words, quote=True)
    return f'<figure role="img" aria-label="{label}">{svg[svg.index("<svg") :]}</figure>'


def table(frame: pd.DataFrame) -> str:
    """Return a frame without its index."""
    # Spaces instead of underscores: a head may then wrap, and a wide table stays on the page.
    head = "".join(f"<th>{escape(str(column).replace('_', ' '))}</th>" for column in frame.columns)
    rows = ("".join(map(_td, row)) for row in frame.itertuples(index=False))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    rows = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table>{rows}</table></div>'


def _td(value: object) -> str:
    """Numbers stay on one line at the right, words may wrap at the left."""
    words = isinstance(value, str) and value[:1].isalpha() and " " in value
    return f"<td{' class=words' if words else ''}>{escape(cell(value))}</td>"


def cell(value: object) -> str:
    """Return a value as the text of a table's cell."""
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return "none"
    if isinstance(value, float):
        return f"{value:.5g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value)
