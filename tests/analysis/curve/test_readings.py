import numpy as np
import pytest

from analysis.curve.readings import read_curves

GRID = np.linspace(0, 1, 401)


def test_readings_of_a_parabola():
    read = read_curves(GRID, (2 + (GRID - 0.6) ** 2)[:, None], delta=0.01)
    assert read.optimum[0] == pytest.approx(0.6, abs=1e-6)
    assert read.gain[0] == pytest.approx(0.16, abs=1e-4)
    assert read.left_arm[0] == pytest.approx(0.36, abs=1e-4)
    assert read.height[0] == pytest.approx(0.36, abs=1e-4)
    assert read.near_low[0] == pytest.approx(0.5, abs=1e-3)
    assert read.near_high[0] == pytest.approx(0.7, abs=1e-3)
    assert read.break_even[0] == pytest.approx(0.2, abs=1e-3)


def test_readings_at_the_edges():
    falling, rising = read_curves(GRID, -GRID[:, None], 0.1), read_curves(GRID, GRID[:, None], 0.1)
    assert (falling.optimum[0], falling.gain[0], falling.near_high[0]) == (1, 0, 1)
    assert falling.near_low[0] == pytest.approx(0.9)
    assert (rising.optimum[0], rising.gain[0], rising.near_low[0]) == (0, 1, 0)
    assert rising.near_high[0] == pytest.approx(0.1)
    assert rising.break_even[0] == -np.inf


def test_many_curves_are_read_as_one_by_one():
    curves = 2 + np.cumsum(np.random.default_rng(0).standard_normal((401, 20)), axis=0) / 100
    together = read_curves(GRID, curves, 0.05)
    for column in range(20):
        alone = read_curves(GRID, curves[:, [column]], 0.05)
        for name, values in vars(together).items():
            assert values[column] == getattr(alone, name)[0]


def test_no_curves_give_no_readings():
    for values in vars(read_curves(GRID, np.empty((401, 0)), 0.1)).values():
        assert values.shape == (0,)
