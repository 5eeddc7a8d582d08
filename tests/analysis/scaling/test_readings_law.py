import numpy as np
import pytest

from analysis.scaling.axes import Axes
from analysis.scaling.readings_law import ScalingLaw

POSITIONS = np.array([[0.0], [1.0], [2.0], [4.0]])


def law(gains: np.ndarray, errors: np.ndarray | None = None) -> ScalingLaw:
    """Return a law of four conditions along one axis whose rho* is 0.5 plus 0.05 a doubling."""
    axes = Axes(("budget",), POSITIONS, {}, {})
    rho_star = 0.5 + 0.05 * POSITIONS[:, 0]
    return ScalingLaw(axes, np.ones((2, 4)), np.stack([rho_star, gains]), errors)


def test_a_law_without_noise_is_read_anywhere():
    found = law(0.3 * 2.0 ** -POSITIONS[:, 0])
    value, errors = found.at(found.axes.row(np.array([6.0])))
    assert value == pytest.approx([0.8, 0.3 / 64], rel=1e-4)
    assert errors is None
    assert found.distances()[0] == pytest.approx(0, abs=1e-6)


def test_draws_move_the_law_and_leave_what_noise_alone_would():
    """The residuals' share of noise is n - p of n conditions."""
    rng = np.random.default_rng(0)
    drawn = np.stack([0.01 * rng.standard_normal((4, 4000)), 1e-4 * rng.standard_normal((4, 4000))])
    found = law(0.1 * 2.0 ** (-0.2 * POSITIONS[:, 0]), drawn)
    _, errors = found.at(found.axes.row(found.axes.centre))
    assert errors is not None
    assert errors[0].std() == pytest.approx(0.01 / 2, rel=0.05)
    _, off = found.distances()
    assert off is not None
    for quantity, size in enumerate((0.01, 1e-4)):
        assert np.square(off[quantity]).sum(axis=0).mean() == pytest.approx(2 * size**2, rel=0.06)


def test_a_condition_held_out_does_not_count():
    gains = 0.3 * 2.0 ** -POSITIONS[:, 0]
    gains[3] = 0.2
    found = law(gains)
    value, _ = found.without(3).at(found.axes.row(POSITIONS[3]))
    assert value[1] == pytest.approx(0.3 / 16, rel=1e-3)
