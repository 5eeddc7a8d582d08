import numpy as np

from analysis.figures.noise import intervals_and_truth, power_over_gain, residuals_over_rho
from analysis.figures.style import render
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep


def test_the_pictures_can_be_drawn():
    intervals = np.array([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5]])
    for figure in (
        residuals_over_rho(analyse_sweep(sweep(seeds=2), draws=20)),
        power_over_gain([0.1, 0.2], {"few": [0.2, 0.5], "many": [0.4, 0.9]}, 0.9),
        intervals_and_truth(intervals, 0.15, "gain"),
    ):
        assert render(figure, "png").startswith(b"\x89PNG")
    colors = {
        line.get_color() for line in intervals_and_truth(intervals, 0.15, "gain").axes[0].lines[1:]
    }
    assert len(colors) == 2  # one holds the truth, one misses
