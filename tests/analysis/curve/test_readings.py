import numpy as np
import pytest

from analysis.curve.means import rho_means
from analysis.curve.readings import draw_errors, read_curves
from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import limits, sweep

GRID = np.linspace(0, 1, 401)


def test_readings_of_a_parabola():
    read = read_curves(GRID, (2 + (GRID - 0.6) ** 2)[:, None], delta=0.01)
    assert read.optimum[0] == pytest.approx(0.6, abs=1e-6)
    assert read.gain[0] == pytest.approx(0.16, abs=1e-4)
    assert read.left_arm[0] == pytest.approx(0.36, abs=1e-4)
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


def test_draws_have_the_covariance_of_the_means():
    means = rho_means(sweep(seeds=30, noise=Noise(windows=50, window_tilt=0.1)))
    draws = draw_errors(means, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.cov(draws), means.cov, atol=0.06 * means.cov.max())


def test_one_seed_has_no_draws():
    with pytest.raises(ValueError, match="one seed"):
        draw_errors(rho_means(sweep(seeds=1)), 10, np.random.default_rng(0))


def test_more_noise_and_fewer_seeds_widen_every_interval():
    def widths(noise: float, seeds: int) -> np.ndarray:
        """Of gain, rho* and break-even, averaged over sweeps: a single one's noise is itself uncertain."""
        found = [
            analyse_sweep(sweep(seeds=seeds, noise=Noise(run=noise), seed=seed), draws=200)
            for seed in range(4)
        ]
        return np.mean(
            [
                [np.ptp(limits(one)) for one in (s.gain_over_moe, s.rho_star, s.break_even)]
                for s in found
            ],
            axis=0,
        )

    sharp = widths(0.001, 3)
    assert (widths(0.004, 3) > sharp).all()
    assert (widths(0.002, 2) > sharp).all()


def test_an_estimate_lies_in_its_interval():
    for truth in ("paper", "flat", "edge_memory", "edge_experts"):
        found = analyse_sweep(sweep(truth, seeds=2), draws=100)
        for one in (found.gain_over_moe, found.rho_star, found.low_arm, found.height):
            assert (np.diff(limits(one)) >= 0).all()
        near = found.near_optimal
        for value, interval in ((near.low, near.low_interval), (near.high, near.high_interval)):
            assert interval is not None
            assert interval[0] <= value <= interval[1]


def test_the_same_table_gives_the_same_numbers_in_any_order():
    table = sweep()
    first, second = analyse_sweep(table), analyse_sweep(table.sample(frac=1, random_state=3))
    assert first.gain_over_moe == second.gain_over_moe
    assert first.rho_star == second.rho_star
