"""The noise is recovered, and its closed forms equal plain dense algebra."""

import numpy as np
import pytest
from scipy import stats

from analysis.curve.means import rho_means
from analysis.curve.noise import KAPPAS, SHIFTS, SweepNoise, log_prior_of_kappa, sweep_noise
from analysis.simulation.sweeps import TRUTHS, Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import EXACT, NINE, sweep


def noise_of(**more) -> SweepNoise:
    found = rho_means(sweep(**more)).noise
    assert found is not None
    return found


def test_the_three_sizes_are_recovered():
    found = noise_of(seeds=60, noise=Noise(run=0.002, seed=0.006, anchor=4))
    assert found.sigma == pytest.approx(0.002, rel=0.1)
    assert found.anchor_sigma == pytest.approx(0.008, rel=0.25)
    assert found.shift_sd == pytest.approx(0.006, rel=0.25)
    low, high = found.kappa_quantiles(np.array([0.025, 0.975]))
    assert low < 4 < high


def test_means_and_likelihood_equal_dense_generalised_least_squares():
    """At every pair of the grid, with a run missing and runs of seeds that have no other rho."""
    rng = np.random.default_rng(1)
    has_run = np.ones((5, 4), dtype=bool)
    has_run[0, 1] = False
    has_run[3:, :3] = False
    losses = np.where(has_run, 1.7 + rng.standard_normal((5, 4)), 0.0)
    found = sweep_noise(losses, has_run, anchor=3)
    assert found is not None
    of_seed, at_rho = np.nonzero(has_run)
    y, x, z = losses[has_run], np.eye(4)[at_rho], np.eye(5)[of_seed]
    share = has_run.sum(axis=1) / has_run.sum()
    log_post = []
    for g, (kappa, shift) in enumerate(zip(found.kappa, found.shift, strict=True)):
        v = shift**2 * z @ z.T + np.diag(np.where(at_rho == 3, kappa**2, 1.0))
        inverse = np.linalg.inv(v)
        information = x.T @ inverse @ x
        to_means = np.linalg.solve(information, x.T @ inverse)
        to_seeds = shift**2 * z.T @ inverse @ (np.eye(len(y)) - x @ to_means)
        off = y - x @ (to_means @ y)
        squares = off @ inverse @ off
        assert found.variance[g] == pytest.approx(squares / found.dof)
        to_level = to_means + share @ to_seeds
        np.testing.assert_allclose(found.loss[g], to_level @ y, rtol=1e-6)
        # The error of means plus seeds' predicted level, less the seeds' true one.
        error = np.hstack(
            [to_level @ np.diag(np.sqrt(np.diag(v) - shift**2)), shift * (to_level @ z - share)]
        )
        np.testing.assert_allclose(found.unit_cov[g], error @ error.T, rtol=1e-5, atol=1e-9)
        determinants = np.linalg.slogdet(v)[1] + np.linalg.slogdet(information)[1]
        loud = stats.norm.pdf(np.log(KAPPAS[1:]), np.log(8), 0.7)
        prior = np.append(0.6, 0.4 * loud / loud.sum())[np.argmin(np.abs(KAPPAS - kappa))]
        prior = np.log(prior) + np.log(shift) + stats.halfcauchy.logpdf(shift, scale=0.6)
        log_post.append(prior - 0.5 * (determinants + found.dof * np.log(squares)))
    weight = np.exp(np.array(log_post) - max(log_post))
    np.testing.assert_allclose(found.weight, weight / weight.sum(), rtol=1e-5)


def test_few_anchors_are_trusted_less_to_be_quiet():
    few, many = (np.exp(log_prior_of_kappa(anchors)) for anchors in (2, 3))
    assert few.sum() == pytest.approx(1)
    assert many.sum() == pytest.approx(1)
    assert few[0] < 0.5 < many[0]


def test_draws_have_the_spread_of_the_posterior():
    found = noise_of(seeds=30, noise=Noise(anchor=3))
    drawn = found.draw(40_000, np.random.default_rng(0))
    expected = found.sigma**2 * found.mean_unit_cov
    np.testing.assert_allclose(np.cov(drawn), expected, atol=0.05 * expected.max())


def test_without_an_anchor_no_run_is_louder():
    found = noise_of(rho=NINE[:-1])
    assert set(found.kappa) == {1.0}


def test_nothing_is_known_of_noise_without_two_runs_below_the_anchor():
    losses, has_run = np.zeros((3, 3)), np.zeros((3, 3), dtype=bool)
    has_run[0], has_run[1:, 2] = True, True
    assert sweep_noise(losses, has_run, anchor=2) is None


def test_losses_without_noise_have_none():
    for seed in (0.0, 0.005):
        found = noise_of(noise=Noise(run=0.0, seed=seed))
        assert found.sigma <= 0.01 * seed
        assert (found.shift == SHIFTS[-1]).all() or seed == 0
    assert analyse_sweep(sweep(noise=EXACT), draws=20).means.sigma == 0


def test_single_runs_scatter_as_the_runs_of_another_sweep():
    found = noise_of(seeds=30, noise=Noise(anchor=5)).of_single_runs(NINE)
    drawn = found.draw(20_000, np.random.default_rng(0)).std(axis=1)
    assert drawn[:-1] == pytest.approx(0.002, rel=0.15)
    assert drawn[-1] == pytest.approx(0.01, rel=0.25)


def test_the_gain_over_a_loud_anchor_is_covered():
    """With one noise for all rho, 45 % of these intervals covered it."""
    truth = TRUTHS["paper"].read(0.2, 1.0, 0.001).gain[0]
    covered = 0
    for seed in range(30):
        table = sweep(seeds=3, noise=Noise(run=0.001, anchor=6), seed=seed)
        gain = analyse_sweep(table, draws=200).gain_over_moe
        assert gain.low is not None
        assert gain.high is not None
        covered += gain.low <= truth <= gain.high
    assert covered >= 22


def test_several_anchors_share_one_kappa():
    """Two sweeps side by side, each with a rho = 1 of its own, tell kappa together."""
    rng = np.random.default_rng(4)
    losses, has_run = np.zeros((16, 8)), np.zeros((16, 8), dtype=bool)
    for half in (0, 1):
        rows, columns = slice(8 * half, 8 * half + 8), slice(4 * half, 4 * half + 4)
        noise = 0.002 * np.array([1, 1, 1, 5]) * rng.standard_normal((8, 4))
        losses[rows, columns] = 1.2 + noise
        has_run[rows, columns] = True
    both = sweep_noise(losses, has_run, np.array([3, 7]))
    one = sweep_noise(losses[:8, :4], has_run[:8, :4], 3)
    assert both is not None
    assert one is not None
    wide, narrow = (np.ptp(np.log(x.kappa_quantiles(np.array([0.05, 0.95])))) for x in (one, both))
    assert both.kappa_quantiles(np.array([0.5]))[0] == pytest.approx(5, rel=0.5)
    assert narrow < wide
    assert both.dof == 2 * one.dof
