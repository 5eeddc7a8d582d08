from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from analysis.curve.noise import KAPPAS, log_prior_of_kappa
from analysis.rates import parabolas
from analysis.rates.parabolas import fit_parabolas, lowest
from tests.analysis.rates.worlds import OWN, World

number = st.floats(-0.05, 0.05)


def columns(table) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    octaves = np.log2(table["learning_rate"].to_numpy() / OWN)
    loss, rho, seed = (table[name].to_numpy() for name in ("validation_loss", "rho", "seed"))
    return loss, octaves, rho, seed


@settings(max_examples=15, deadline=None)
@given(slopes=st.lists(number, min_size=1, max_size=3), bend=st.floats(0.002, 0.05), cube=number)
def test_without_noise_every_coefficient_is_that_of_least_squares(
    slopes: list[float], bend: float, cube: float
) -> None:
    octaves = np.array([-1.5, -1, 0, 0.5, 1, 1.8])
    rho = np.linspace(0.2, 0.9, len(slopes))
    x, seed = np.tile(octaves, 2 * len(rho)), np.tile(np.repeat([0, 1], 6), len(rho))
    shares, slope = np.repeat(rho, 12), np.repeat(slopes, 12)
    bends = np.repeat(bend * (1 + 0.2 * np.arange(len(rho))), 12)
    loss = 1.2 + 0.1 * shares + slope * x + bends * x**2 + 0.1 * cube * x**3 + 0.01 * seed
    found = fit_parabolas(loss, x, shares, seed, 10, np.random.default_rng(0))
    for at, share in enumerate(rho):
        here = shares == share

        def misses(theta: np.ndarray, here: np.ndarray = here) -> np.ndarray:
            return np.polynomial.polynomial.polyval(x[here], theta) - loss[here]

        slow = optimize.least_squares(misses, np.zeros(4), x_scale=1e-2, xtol=1e-15).x
        np.testing.assert_allclose(found.coefficients[:, at], slow, atol=2e-6)


def test_with_noise_it_is_the_mean_over_the_grid_of_best_linear_predictions() -> None:
    """Every triple by its whole covariance matrix, as textbooks write it."""
    table = World(noise=0.004).table(np.random.default_rng(3))
    loss, x, rho, seed = columns(table)
    shares = np.array([0.0, 0.5, 1.0])
    at = np.searchsorted(shares, rho)
    seeds = np.unique(seed)
    fixed = np.column_stack(
        [
            *(at == i for i in range(3)),
            *((at == i) * x for i in range(3)),
            x**2,
            *((seed == s) * 1.0 - (seed == seeds[0]) for s in seeds[1:]),
        ]
    ).astype(float)
    bends = np.column_stack([(at == i) * x**2 for i in range(3)])
    cells = np.column_stack([(at == i) & (seed == s) for i in range(3) for s in seeds]) * 1.0
    dof = len(loss) - fixed.shape[1]
    free = np.column_stack([fixed, bends[:, 1:], x**3])
    rss = np.linalg.lstsq(free, loss, rcond=None)[1][0]
    bend = abs(np.linalg.lstsq(fixed, loss, rcond=None)[0][6])
    bend /= math.sqrt(rss / (len(loss) - free.shape[1]))
    taus, omegas = parabolas.BEND_SPREADS, parabolas.CELL_SPREADS
    logs, each = [], []
    for kappa, log_kappa in zip(KAPPAS, log_prior_of_kappa(int(np.sum(rho == 1))), strict=True):
        for tau, step in zip(taus, np.gradient(taus), strict=True):
            for omega, gap in zip(omegas, np.gradient(omegas), strict=True):
                cov = np.diag(np.where(rho == 1, kappa**2, 1.0))
                cov += (tau * bend) ** 2 * bends @ bends.T
                cov += (parabolas.LOPSIDED * bend) ** 2 * np.outer(x**3, x**3)
                cov += max(omega, 1e-3) ** 2 * cells @ cells.T
                inverse = np.linalg.inv(cov)
                information = fixed.T @ inverse @ fixed
                beta = np.linalg.solve(information, fixed.T @ inverse @ loss)
                left = inverse @ (loss - fixed @ beta)
                squares = float((loss - fixed @ beta) @ left)
                dets = np.linalg.slogdet(cov)[1] + np.linalg.slogdet(information)[1]
                prior = log_kappa - 0.5 * (tau / parabolas.BEND_SCALE) ** 2 + math.log(step)
                prior += -0.5 * (omega / parabolas.CELL_SCALE) ** 2 + math.log(gap)
                logs.append(-0.5 * (dets + dof * math.log(squares)) + prior)
                own = (tau * bend) ** 2 * bends.T @ left
                cube = (parabolas.LOPSIDED * bend) ** 2 * float(x**3 @ left)
                each.append([*beta[:6], *(beta[6] + own), cube, cube, cube, squares / dof])
    weight = np.exp(np.array(logs) - max(logs))
    slow = weight / weight.sum() @ np.array(each)
    found = fit_parabolas(loss, x, rho, seed, 10, np.random.default_rng(0))
    # Triples without weight are left out, and the level is that of all seeds alike.
    np.testing.assert_allclose(found.coefficients.ravel(), slow[:-1], rtol=2e-3, atol=2e-5)
    assert found.sigma == pytest.approx(math.sqrt(slow[-1]), rel=2e-3)
    assert found.dof == dof


def test_draws_lie_around_the_coefficients_and_shrink_with_the_noise() -> None:
    widths = []
    for noise in (0.004, 0.0004):
        table = World(noise=noise).table(np.random.default_rng(1))
        found = fit_parabolas(*columns(table), 4000, np.random.default_rng(2))
        spread = found.drawn.std(axis=2)
        off = np.abs(found.drawn.mean(axis=2) - found.coefficients)
        assert np.all(off < 0.12 * spread)
        widths.append(spread)
    assert np.all(widths[1] < 0.35 * widths[0])


def test_too_few_runs_measure_no_noise() -> None:
    x = np.array([-1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="expected more than 3 runs"):
        fit_parabolas(x**2, x, np.full(3, 0.5), np.zeros(3), 10, np.random.default_rng(0))


@settings(max_examples=200, deadline=None)
@given(
    coefficients=st.tuples(st.just(1.0), *[st.floats(-1, 1, width=16)] * 3),
    first=st.floats(-2, 0),
    last=st.floats(0, 2),
)
def test_the_lowest_point_is_that_of_a_dense_grid(
    coefficients: tuple[float, ...], first: float, last: float
) -> None:
    found = lowest(np.array(coefficients)[:, None], np.array([first]), np.array([last]))
    grid = np.linspace(first, last, 20001)
    slow = np.polynomial.polynomial.polyval(grid, coefficients)
    assert found.loss[0] == pytest.approx(slow.min(), abs=1e-6)
    assert first <= found.octaves[0] <= last
    at_it = np.polynomial.polynomial.polyval(found.octaves[0], coefficients)
    assert at_it == pytest.approx(found.loss[0], abs=1e-9)
    assert found.regret[0] == pytest.approx(max(0.0, 1.0 - found.loss[0]))
