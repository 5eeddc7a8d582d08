import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from analysis.curve.forms.double_power_law import STEEPNESS, TAILS, DoublePowerLaw, shape
from analysis.simulation.hard_truths import HARD_TRUTHS
from analysis.simulation.sweeps import TRUTHS
from tests.analysis.tables import NINE

GRID = np.linspace(0.2, 1, 401)


def lowest(curve: np.ndarray) -> float:
    return float(GRID[curve.argmin()])


@settings(max_examples=60, deadline=None)
@given(tail=st.floats(-0.5, 5), steepness=st.floats(0.3, 100))
def test_a_side_falls_from_one_to_zero_with_diminishing_returns(tail, steepness):
    x = np.linspace(0, 1, 101)
    side = shape(x, tail, steepness)
    assert side[0] == pytest.approx(1)
    assert side[-1] == pytest.approx(0)
    assert (np.diff(side) <= 1e-12).all()
    assert (np.diff(side, 2) >= -1e-9).all()


def test_parameters_are_recovered_without_noise():
    s, t, coefficients = (1.0, 4.0), (0.3, 8.0), (1.7, 0.05, 0.03)
    rho = np.linspace(0, 1, 13)
    losses = (
        coefficients[0] + coefficients[1] * shape(rho, *s) + coefficients[2] * shape(1 - rho, *t)
    )
    found = DoublePowerLaw(rho, np.eye(13)).refine(losses, rho)
    assert found.converged
    assert found.rss < 1e-12
    np.testing.assert_allclose(found.coefficients, coefficients, rtol=0.05)
    np.testing.assert_allclose(found.shapes, (s, t), rtol=0.25)


def test_the_optimum_is_unbiased_on_the_papers_curve():
    """Bias of rho* under 0.01 at the noise of a real sweep, over one batch of simulated means."""
    rng = np.random.default_rng(1)
    means = TRUTHS["paper"].loss(NINE)[:, None] + 0.002 / np.sqrt(3) * rng.standard_normal(
        (9, 4000)
    )
    curves = DoublePowerLaw(NINE, np.eye(9) / 3).curves(means, GRID)
    optima = GRID[curves.argmin(axis=0)]
    assert abs(optima.mean() - 0.78) < 0.01
    assert optima.std() < 0.05


def test_many_data_sets_fit_between_the_plain_grid_and_the_local_optimiser():
    """The batched search lies between all pairs of shapes with nnls and scipy's optimiser."""
    rng = np.random.default_rng(2)
    rho = np.array([0.0, 0.3, 0.5, 0.8, 1.0])
    losses = 1.7 + 0.02 * rng.standard_normal((5, 2))
    model = DoublePowerLaw(rho, np.eye(5))
    fitted = model.curves(losses, rho)
    shapes = [(tail, steepness) for tail in TAILS for steepness in STEEPNESS]
    for column in range(2):
        centred = losses[:, column] - losses[:, column].mean()
        best = np.inf
        for s in shapes:
            for t in shapes:
                sides = np.stack([shape(rho, *s), shape(1 - rho, *t)], axis=1)
                best = min(best, nnls(sides - sides.mean(axis=0), centred)[1] ** 2)
        rss = ((fitted[:, column] - losses[:, column]) ** 2).sum()
        assert model.refine(losses[:, column], rho).rss * (1 - 1e-6) <= rss <= best * (1 + 1e-6)


def test_weights_count():
    """A point known badly must pull less."""
    losses = TRUTHS["paper"].loss(NINE)
    losses[6] += 0.02
    cov = np.eye(9)
    cov[6, 6] = 1e6
    ignoring = DoublePowerLaw(NINE, cov).curves(losses[:, None], GRID)[:, 0]
    assert lowest(ignoring) == pytest.approx(0.78, abs=0.01)


def test_draws_around_a_sharp_curve_are_fitted_as_closely_as_the_curve_itself():
    """Its loss at rho = 0 stands 1.4 nats above the others, and the valley of its shapes is narrow.

    Draws that end short of the bottom pull rho* to one side, and the interval with it.
    """
    rng, rho = np.random.default_rng(5), np.array([0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0])
    loss = HARD_TRUTHS["kaplan_sharp"].loss(rho) + 0.001 * rng.standard_normal(9)
    model = DoublePowerLaw(rho, np.eye(9))
    refined = model.refine(loss, rho)
    model.near = np.array([[tail, np.log(steep)] for tail, steep in refined.shapes]).ravel()
    draws = loss[:, None] + 0.001 * rng.standard_normal((9, 20))
    rss = ((model.curves(draws, rho) - draws) ** 2).sum(axis=0)
    scipys = np.array([model.refine(one, rho).rss for one in draws.T])
    assert np.median(rss / scipys) < 1.01
    assert (rss < 3 * scipys).all()
