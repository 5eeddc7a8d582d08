"""A matplotlib figure as part of a page: text, colours that follow the page, words under points."""

import base64
import json
import re
from html import escape
from xml.etree import ElementTree

from matplotlib.figure import Figure

from analysis.figures.hover import HoverFigure
from analysis.figures.style import CURVE, INK, NEAR, SEEDS, WRONG, render
from analysis.report.page import asset

COLOURS = {
    "#ffffff": "paper",
    "#262626": "ink",
    INK: "ink",
    CURVE: "curve",
    SEEDS: "seeds",
    NEAR: "near",
    WRONG: "wrong",
}
"""Colours of the figures that the page's own take the place of (`page.css`), in the dark too."""
FONTS = "'DejaVu Sans', Verdana, sans-serif"
"""Verdana is as wide as DejaVu Sans, and more machines have it."""


def figure(picture: Figure, words: str) -> str:
    """Return a figure as HTML.

    Args:
        picture: the figure; one with `spots` says them under the pointer.
        words: what it shows, for who cannot see it.
    """
    spots = ""
    if isinstance(picture, HoverFigure):
        rows = [[one.x, one.y, one.words, one.run_id] for one in picture.spots()]
        # Data, and no script: the browser does not run it. A "<" could end or open an element.
        text = json.dumps(rows, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
        spots = f'<script type="application/json">{text}</script>'
    label, drawn = escape(words, quote=True), page_svg(render(picture, "svg").decode())
    return f'<figure><div role="img" aria-label="{label}">{drawn}</div>{spots}</figure>'


def image(svg: str, words: str) -> str:
    """Return an SVG file from elsewhere as HTML: an image, in which nothing runs.

    Args:
        svg: the file.
        words: what it shows, for who cannot see it.

    Raises:
        ValueError: it is no SVG.
    """
    # Variables of the page do not reach into an image, which follows a dark screen by itself.
    colours, _, _ = asset("page.css").partition("body {")
    opening, end, rest = page_svg(svg).partition(">")
    drawn = f"{opening}{end}<style>{colours}</style>{rest}"
    try:
        found = ElementTree.fromstring(drawn).tag
    except ElementTree.ParseError as error:
        raise ValueError(f"expected an SVG: {error}") from None
    if found != "{http://www.w3.org/2000/svg}svg":
        raise ValueError(f"expected an SVG, got <{found}>")
    data = base64.b64encode(drawn.encode()).decode()
    label = escape(words, quote=True)
    return f'<figure><img alt="{label}" src="data:image/svg+xml;base64,{data}"></figure>'


def page_svg(svg: str) -> str:
    """Return an SVG file as an element of a page, with the page's fonts and colours.

    Raises:
        ValueError: it is no SVG.
    """
    start = svg.find("<svg")
    if start < 0:
        raise ValueError("expected an SVG, got none")
    svg = svg[start:]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Groups have numbers as ids, the same in all figures, and nothing refers to them.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("'DejaVu Sans'", FONTS)
    return re.sub(r": (#[0-9a-f]{6})", _page_colour, svg)


def _page_colour(match: re.Match[str]) -> str:
    colour = match[1]
    return f": var(--{COLOURS[colour]}, {colour})" if colour in COLOURS else match[0]
