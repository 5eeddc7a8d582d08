from dataclasses import replace
from math import ceil

import numpy as np

from analysis.curve.bootstrap import draw_errors
from analysis.curve.means import rho_means
from analysis.curve.noise import SweepNoise
from analysis.simulation.sweeps import TRUTHS, Noise, Truth, simulate
from analysis.sweep.u_shape_test import u_shape_test
from tests.analysis.tables import NINE


def share_called_u(truth: Truth, noise: Noise, sweeps: int, seeds: int = 3) -> float:
    rng = np.random.default_rng(7)
    called = 0
    for _ in range(sweeps):
        means = rho_means(simulate(truth, NINE, seeds, noise, rng))
        called += u_shape_test(means, draw_errors(means, 400, rng), 0.05).p_u < 0.05
    return called / sweeps


def test_no_shape_without_a_u_is_called_a_u_too_often():
    """Flat, monotone, a long plateau, a hump: at most 5 % plus binomial slack (3 SD at 400)."""
    noise = Noise(run=0.002)
    hump = Truth("hump", lambda rho: 1.7 - 0.05 * (rho - 0.6) ** 2, has_u=False)
    for truth in (
        TRUTHS["flat"],
        TRUTHS["edge_experts"],
        TRUTHS["edge_memory"],
        TRUTHS["plateau"],
        hump,
    ):
        assert share_called_u(truth, noise, 400) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400), truth.name


def test_the_hardest_null_uses_its_level():
    """One hopeless end, all else tied: here the test must reject about 5 %, or it wastes power."""
    cliff = Truth("cliff", lambda rho: 1.7 + 1.0 * (rho == 1), has_u=False)
    assert 0.01 < share_called_u(cliff, Noise(run=0.002), 400) < 0.09


def test_the_papers_u_is_found():
    assert share_called_u(TRUTHS["paper"], Noise(run=0.002), 100) > 0.95
    assert share_called_u(TRUTHS["paper"], Noise(run=0.02), 100, seeds=2) < 0.5


def test_the_advised_number_of_seeds_finds_the_effect():
    """Advice from a sweep that shows the true effect gives power 0.8, a quarter of it less."""
    rng, noise, one = np.random.default_rng(3), Noise(run=0.007, seed=0.0), np.ones(1)
    loss, cov = TRUTHS["paper"].loss(NINE), np.eye(9) / 3
    known = SweepNoise(one, 1e-6 * one, one, noise.run**2 * one, 18, loss[None], cov[None])
    shown = rho_means(simulate(TRUTHS["paper"], NINE, 3, noise, rng))
    shown = replace(shown, loss=loss, noise=known, unit_cov=cov)
    advice = u_shape_test(shown, draw_errors(shown, 4000, rng), 0.05).more
    assert advice is not None
    assert advice.place == "seeds"
    seeds = 3 + advice.count
    assert share_called_u(TRUTHS["paper"], noise, 100, seeds=seeds) > 0.75
    assert share_called_u(TRUTHS["paper"], noise, 100, seeds=ceil(seeds / 4)) < 0.6
