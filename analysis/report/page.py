"""The frame of report.html: one file without outside requests; `sections` fills it."""

from collections.abc import Sequence
from html import escape

import pandas as pd

from analysis.report.zoom import ZOOM

_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #22223b; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.verdict { border-left: 5px solid #1f5fa8; background: #eef3f9; padding: .8rem 1rem }
.word { font-weight: 700; letter-spacing: .03em }
figure { margin: 1rem 0 } figure svg { width: 100%; height: auto }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; white-space: nowrap }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #dde1e7 }
th { position: sticky; top: 0; background: white } td:first-child, th:first-child { text-align: left }
th { white-space: normal; vertical-align: bottom } td.words { white-space: normal; text-align: left; min-width: 9rem }
code, pre { background: #f3f4f6; padding: .1rem .3rem } pre { padding: .8rem; overflow-x: auto }
.note { color: #5b6070; font-size: .9rem }
"""
# The browser itself refuses anything from outside the file.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)


def document(name: str, sections: Sequence[str]) -> str:
    """Return a whole page, style included."""
    sections = [f"<h1>Loss over the share of experts: {escape(name)}</h1>", *sections]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(name)}: loss over rho</title>'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"{_POLICY}<style>{_CSS}</style></head><body>\n"
        + "\n".join(sections)
        + f"\n<script>{ZOOM}</script>\n"
        "</body></html>\n"
    )


def section(title: str, body: str, note: str = "") -> str:
    """Return a heading, a note in words, and a body of HTML."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<h2>{escape(title)}</h2>{said}{body}"


def figure(svg: str, words: str) -> str:
    """Return a whole SVG file as part of the page, with words for who cannot see it."""
    return f'<figure role="img" aria-label="{escape(words, quote=True)}">{svg[svg.index("<svg") :]}</figure>'


def table(frame: pd.DataFrame) -> str:
    """Return a frame without its index."""
    # Spaces instead of underscores: a head may then wrap, and a wide table stays on the page.
    head = "".join(f"<th>{escape(str(column).replace('_', ' '))}</th>" for column in frame.columns)
    rows = ("".join(map(_td, row)) for row in frame.itertuples(index=False))
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


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
