"""Many small problems end where scipy ends them one by one, inside their bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from analysis.curve.forms.many_least_squares import many_least_squares

X = np.linspace(0, 3, 12)
LOW, HIGH = np.array([0.1, 0.1]), np.array([4.0, 5.0])


def decays(theta: np.ndarray) -> np.ndarray:
    """Return height * exp(-rate * X) for parameters (B, 2), shape (12, B)."""
    return theta[:, 0] * np.exp(-theta[:, 1] * X[:, None])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_decays_are_fitted_as_scipy_fits_them(seed: int) -> None:
    """Some of the planted ones lie outside of the bounds, so that their fit lies on one."""
    rng = np.random.default_rng(seed)
    planted = np.stack([rng.uniform(0.2, 5, 6), rng.uniform(0.05, 4, 6)], axis=1)
    y = decays(planted) + 0.05 * rng.standard_normal((12, 6))
    start = np.tile([1.0, 1.0], (6, 1))
    ends = many_least_squares(lambda theta: y - decays(theta), start, (LOW, HIGH))
    assert ((ends >= LOW) & (ends <= HIGH)).all()
    for k, end in enumerate(ends):

        def one(theta: np.ndarray, k: int = k) -> np.ndarray:
            return y[:, k] - decays(theta[None])[:, 0]

        scipys = least_squares(one, start[k], bounds=(LOW, HIGH))
        assert (one(end) ** 2).sum() <= 2 * scipys.cost * (1 + 1e-4)


def test_no_problem_ends_worse_than_it_began() -> None:
    """Residuals that rise and fall, with many valleys."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0.2, 3.9, (50, 2))

    def residual(theta: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(9 * theta[:, 0]), np.cos(7 * theta[:, 1]) * theta[:, 0]])

    ends = many_least_squares(residual, start, (LOW, HIGH))
    before, after = ((residual(at) ** 2).sum(axis=0) for at in (start, ends))
    assert (after <= before).all()
    assert np.median(after) < 1e-3


def test_a_parameter_that_changes_nothing_stays() -> None:
    start = np.array([[1.0, 2.0]])
    ends = many_least_squares(lambda theta: theta[:, :1].T - 3.0, start, (LOW, HIGH))
    assert ends[0] == pytest.approx([3.0, 2.0], abs=1e-4)
