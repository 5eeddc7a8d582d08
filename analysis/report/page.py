"""The frame of report.html: one file without outside requests; `sections` fills it."""

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files

# The browser itself refuses anything from outside the file.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)
_HEADING = re.compile(r"<h([12])>(.*?)</h\1>")


@cache
def asset(name: str) -> str:
    """Return a file of the page: its style or one of its scripts."""
    return files("analysis.report").joinpath(name).read_text(encoding="utf-8")


def document(
    name: str, sections: Sequence[str], subject: str = "Loss over the share of experts"
) -> str:
    """Return a whole page, style, script and contents included.

    Args:
        name: what the sweep is called.
        sections: HTML, in order.
        subject: what the page is of.
    """
    body, contents = _with_anchors("\n".join(sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(name)}: {subject[0].lower()}{subject[1:]}</title>"
        '<meta name="viewport" content="width=device-width">'
        f'<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"{_POLICY}<style>\n{asset('page.css')}</style></head><body>\n"
        f"<h1>{subject}: {escape(name)}</h1>\n{contents}\n{body}"
        f"\n<script>\n{asset('figures.js')}{asset('tables.js')}</script>\n"
        "</body></html>\n"
    )


def _with_anchors(body: str) -> tuple[str, str]:
    """Return the page's body with an anchor at each heading, and the list of them."""
    entries: list[str] = []

    def anchored(match: re.Match[str]) -> str:
        level, title = match.groups()
        place = f"s{len(entries) + 1}"
        entries.append(f'<li class="h{level}"><a href="#{place}">{title}</a></li>')
        return f'<h{level} id="{place}">{title}</h{level}>'

    body = _HEADING.sub(anchored, body)
    if not entries:
        return body, ""
    listed = "".join(entries)
    return body, f"<details><summary>Contents</summary><ul>{listed}</ul></details>"


def section(title: str, body: str, note: str = "") -> str:
    """Return a heading, a note in words, and a body of HTML."""
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<h2>{escape(title)}</h2>{said}{body}"
