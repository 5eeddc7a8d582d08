"""The picture of two sweeps."""

from analysis.figures.style import render
from analysis.figures.two_sweeps import two_sweeps
from analysis.sweep.comparison import compare
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep


def test_both_curves_and_every_difference_are_drawn_and_say_their_numbers():
    found = compare(*(analyse_sweep(sweep(seed=seed), draws=40) for seed in range(2)))
    figure = two_sweeps(found, "old", "new")
    above, below = figure.axes
    assert above.get_legend_handles_labels()[1] == ["old", "new"]
    labels = below.get_legend_handles_labels()[1]
    assert labels == ["difference of the loss", "difference of the gain"]
    render(figure, "svg")
    words = [spot.words for spot in figure.spots()]
    assert sum(word.startswith("old\n") for word in words) == 27
    assert sum("difference of the loss" in word for word in words) == 9
    assert sum("difference of the gain" in word for word in words) == 8


def test_a_sweep_of_one_seed_has_no_intervals_and_can_be_drawn():
    one = analyse_sweep(sweep(seeds=1))
    assert render(two_sweeps(compare(one, one), "a", "b"), "png").startswith(b"\x89PNG")
