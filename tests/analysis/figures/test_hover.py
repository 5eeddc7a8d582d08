"""Words at points of a figure."""

import numpy as np
import pandas as pd
import pytest

from analysis.figures.hover import MAX_SPOTS, NOTEBOOK_DPI, HoverFigure, duration, ids_of, run_words
from analysis.figures.style import FORMATS, render
from tests.analysis.tables import sweep


@pytest.mark.parametrize("kind", FORMATS)
def test_spots_lie_where_the_points_were_drawn(kind):
    """A corner of the axes has the corner's place, whatever was drawn last."""
    figure = HoverFigure(figsize=(4, 3))
    axes = figure.add_axes((0.25, 0.5, 0.5, 0.25))
    axes.set_xlim(0, 10)
    axes.set_ylim(1, 2)
    figure.say(axes, [0, 10, 5, 20], [1, 2, 1.5, 1.5], ["a", "b", "c", "outside"], list("wxyz"))
    render(figure, kind)
    # In points from the upper left: 4 x 3 inches are 288 x 216.
    found = [(spot.x, spot.y, spot.words, spot.run_id) for spot in figure.spots()]
    assert found == [(72, 108, "a", "w"), (216, 54, "b", "x"), (144, 81, "c", "y")]


def test_of_too_many_points_nothing_is_said():
    figure = HoverFigure()
    axes = figure.subplots()
    for count in (MAX_SPOTS, MAX_SPOTS + 1):
        figure.say(axes, np.full(count, 0.5), np.full(count, 0.5), ["word"] * count)
    assert len(figure.spots()) == MAX_SPOTS


def test_a_run_says_what_is_known_of_it():
    runs = sweep().assign(run_id="0123456789abcdef", device="cpu", host=None, wall_seconds=90.0)
    words = run_words(runs)[0]
    assert words.splitlines() == [
        "ρ = 0.2, seed 0",
        f"loss {runs['validation_loss'][0]:.4f} nats/token",
        "arm Engram",
        "run 0123456789ab",
        "cpu",
        "90 s",
    ]
    bare = run_words(pd.DataFrame({"rho": [np.nan], "seed": [1], "validation_loss": [1.0]}))
    assert bare == ["no ρ, seed 1\nloss 1.0000 nats/token"]


def test_a_notebook_shows_the_picture_also_after_a_change():
    figure = HoverFigure(figsize=(4, 3))
    axes = figure.subplots()
    before, size = figure._repr_png_()
    assert before == render(figure, "png", NOTEBOOK_DPI)
    assert size == {"width": 400, "height": 300}
    assert repr(figure) == "HoverFigure(4 x 3 inches)"
    axes.set_title("changed")
    assert figure._repr_png_()[0] != before


def test_ids_are_empty_if_there_are_none():
    assert ids_of(sweep()) == [""] * 27
    assert set(ids_of(sweep().assign(run_id=None))) == {""}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.5, "0.5 s"), (53, "53 s"), (720, "12 min"), (23_040, "6.4 h"), (267_840, "3.1 days")],
)
def test_times_are_in_the_unit_that_people_take(seconds, words):
    assert duration(seconds) == words
