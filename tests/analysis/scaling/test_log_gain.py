import numpy as np
import pytest
from scipy import optimize

from analysis.scaling.log_gain import fit_log_gain, gain_of

COLUMNS = np.column_stack([np.ones(4), [-1.5, -0.5, 0.5, 1.5]])


def test_powers_are_recovered_without_noise():
    for coefficients in ([-5.0, -1.2], [-7.0, 0.3]):
        gains = 2.0 ** (COLUMNS @ coefficients)
        found = fit_log_gain(COLUMNS, gains[:, None], np.ones(4))[:, 0]
        assert found == pytest.approx(coefficients, abs=1e-4)


def test_many_data_sets_get_the_least_squares_of_a_plain_optimiser():
    rng = np.random.default_rng(0)
    gains = 0.02 * 2.0 ** (-0.8 * COLUMNS[:, 1:]) + 0.004 * rng.standard_normal((4, 20))
    weights = np.array([1.0, 2.0, 1.0, 0.5])
    many = fit_log_gain(COLUMNS, gains, weights)
    for found, data in zip(many.T, gains.T, strict=True):
        plain = optimize.least_squares(
            lambda c, data=data: np.sqrt(weights) * (2.0 ** (COLUMNS @ c) - data), [-5.6, -0.8]
        )
        ours = weights @ (gain_of(COLUMNS @ found) - data) ** 2
        assert ours <= 2 * plain.cost * 1.001 + 1e-12


def test_a_condition_without_weight_counts_for_nothing():
    gains = 2.0 ** (COLUMNS @ [-5.0, -1.0])
    gains[0] = 3.0
    found = fit_log_gain(COLUMNS, gains[:, None], np.array([0.0, 1, 1, 1]))[:, 0]
    assert found == pytest.approx([-5, -1], abs=1e-3)


def test_gains_of_nothing_stay_finite():
    found = fit_log_gain(COLUMNS, np.zeros((4, 1)), np.ones(4))
    assert np.isfinite(found).all()
    assert (gain_of(COLUMNS @ found) < 1e-4).all()
