"""A matplotlib figure as part of a page: text, colours that follow the page, words under points."""

import json
import re
from html import escape

from matplotlib.figure import Figure

from analysis.figures.hover import HoverFigure
from analysis.figures.style import CURVE, INK, NEAR, SEEDS, WRONG, render

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
    return svg_figure(render(picture, "svg").decode(), words, spots)


def svg_figure(svg: str, words: str, spots: str = "") -> str:
    """Return a drawn figure as HTML.

    Args:
        svg: a whole SVG file.
        words: what it shows, for who cannot see it.
        spots: an element with the words under its points.
    """
    label = escape(words, quote=True)
    return f'<figure><div role="img" aria-label="{label}">{page_svg(svg)}</div>{spots}</figure>'


def page_svg(svg: str) -> str:
    """Return an SVG file as an element of a page, with the page's fonts and colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Groups have numbers as ids, the same in all figures, and nothing refers to them.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("'DejaVu Sans'", FONTS)
    return re.sub(r": (#[0-9a-f]{6})", _page_colour, svg)


def _page_colour(match: re.Match[str]) -> str:
    colour = match[1]
    return f": var(--{COLOURS[colour]}, {colour})" if colour in COLOURS else match[0]
