from __future__ import annotations

import numpy as np

from analysis.rates.rate_misfit import misfit
from tests.analysis.rates.test_parabolas import columns
from tests.analysis.rates.worlds import World


def p_values(sweeps: int, seed: int, kink: float = 0.0, shared: float = 0.0) -> np.ndarray:
    rng, found = np.random.default_rng(seed), []
    for _ in range(sweeps):
        loss, x, rho, seeds = columns(World().table(rng))
        own = rng.standard_normal((2, 9))
        loss = loss + kink * np.isclose(x, 0.5) + shared * own[(rho == 1).astype(int), seeds]
        found.append(misfit(loss, x, rho, seeds))
    return np.array(found)


def test_parabolas_are_refuted_as_often_as_the_level_says_whatever_runs_of_a_seed_share() -> None:
    for shared in (0.0, 0.01):
        p = p_values(300, 1, shared=shared)
        assert 0.02 < np.mean(p < 0.05) < 0.09
        assert 0.4 < np.mean(p < 0.5) < 0.6


def test_a_rate_off_the_parabola_is_found() -> None:
    assert np.mean(p_values(40, 2, kink=0.01) < 0.05) > 0.9


def test_three_rates_or_one_seed_test_nothing() -> None:
    loss, x, rho, seeds = columns(World().table(np.random.default_rng(0)))
    for kept in (seeds == 0, np.isin(x.round(6), (-1, 0, 1)) & (rho == 0.5)):
        assert misfit(loss[kept], x[kept], rho[kept], seeds[kept]) is None
