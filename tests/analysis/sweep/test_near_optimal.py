import numpy as np
import pytest

from analysis.curve.readings import read_curves
from analysis.sweep.near_optimal import near_optimal

GRID = np.linspace(0, 1, 401)
NONE = read_curves(GRID, np.empty((401, 0)), 0.01)


def parabolas(optima) -> np.ndarray:
    return 2 + (GRID[:, None] - np.asarray(optima)) ** 2


def test_the_ends_and_their_percentiles():
    """A parabola is within 0.01 of its lowest for 0.1 on either side."""
    point = read_curves(GRID, parabolas([0.5]), 0.01)
    drawn = read_curves(GRID, parabolas(np.linspace(0.4, 0.6, 201)), 0.01)
    near = near_optimal(point, drawn, 0.9, GRID)
    assert (near.value, near.low, near.high) == pytest.approx((0.5, 0.4, 0.6), abs=1e-3)
    assert near.low_interval == pytest.approx((0.31, 0.49), abs=2e-3)
    assert near.high_interval == pytest.approx((0.51, 0.69), abs=2e-3)


def test_draws_of_an_optimum_at_an_edge_are_mirrored():
    """Draws that all lie on one side of the estimate get an interval on both sides."""
    point = read_curves(GRID, parabolas([1.0]), 0.01)
    drawn = read_curves(GRID, parabolas(np.linspace(0.9, 1.1, 201)), 0.01)
    near = near_optimal(point, drawn, 0.9, GRID)
    low, high = np.quantile(drawn.near_low, [0.05, 0.95])
    assert high - near.low < near.low - low
    assert near.low_interval == pytest.approx((low, 2 * near.low - low), abs=1e-9)
    assert near.high_interval is not None
    assert near.high_interval[1] == 1


def test_without_draws_there_are_no_intervals():
    near = near_optimal(read_curves(GRID, parabolas([0.5]), 0.01), NONE, 0.9, GRID)
    assert (near.low_interval, near.high_interval) == (None, None)
