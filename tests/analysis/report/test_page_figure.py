"""Figures as part of the page."""

import json
import re

import pytest

from analysis.figures.hover import HoverFigure
from analysis.figures.style import INK, render, styled
from analysis.report.page_figure import figure, image


def drawn() -> HoverFigure:
    with styled():
        picture = HoverFigure(figsize=(4, 3))
        axes = picture.subplots()
        axes.plot([0, 1], [0, 1], color=INK)
        axes.set_title("A title that can be searched")
        picture.say(axes, [0.5], [0.5], ["</script> & more"], ["abc"])
    return picture


def test_text_is_text_and_colours_follow_the_page():
    html = figure(drawn(), 'words "for" who cannot see')
    assert re.search(r"<text[^>]*>A title that can be searched</text>", html)
    assert "DejaVu Sans', Verdana, sans-serif" in html
    assert f"var(--ink, {INK})" in html
    assert "fill: #ffffff" not in html
    assert 'aria-label="words &quot;for&quot; who cannot see"' in html


def test_words_are_data_and_cannot_end_it():
    html = figure(drawn(), "words")
    [data] = re.findall(r'<script type="application/json">(.*?)</script>', html)
    [[_, _, words, run_id]] = json.loads(data)
    assert (words, run_id) == ("</script> & more", "abc")


def test_ids_of_two_figures_do_not_meet():
    ids = re.findall(r' id="([^"]*)"', figure(drawn(), "one"))
    assert not [one for one in ids if re.fullmatch(r"(figure|axes|text|patch|line2d)_\d+", one)]


def test_a_figure_from_a_file_is_an_image():
    html = image(render(drawn(), "svg").decode(), 'words "for" who cannot see')
    assert html.startswith('<figure><img alt="words &quot;for&quot; who cannot see" src="data:')
    assert html.count("<") == 3
    with pytest.raises(ValueError, match="expected an SVG, got none"):
        image("<html></html>", "")
