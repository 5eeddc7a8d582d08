import numpy as np
import pytest
from scipy import optimize, stats

from analysis.scaling.law_tests import fit_tested_laws, p_at_largest, p_no_memory
from analysis.scaling.raw_law import FAMILIES, Points, RawLaw, columns_of, fit_raw_law
from analysis.scaling.run_laws import Runs, fit_run_laws, noise_of_runs
from tests.analysis.scaling.test_raw_law import RHO, SIZES, planted, points
from tests.analysis.tables import limits

NOISE = 0.001


def bent(points: Points, height: float) -> Points:
    """The same losses with a parabola of its own at the largest size."""
    bend = height * (4 * (points.rho - 0.5) ** 2 - 1) * (points.size == points.size.max())
    return Points(points.size, points.rho, points.loss + bend, points.whiten, points.dof)


def chi2_with_a_parabola(law: RawLaw, points: Points) -> float:
    """The least squares of the law and the parabola together, by a search over everything."""
    largest = (points.size == points.size.max())[:, None] * np.vander(points.rho, 3)

    def miss(values: np.ndarray) -> np.ndarray:
        theta, heights, parabola = np.split(values, [len(law.theta), len(law.theta) + 4])
        curve = columns_of(law.family, theta, points.size, points.rho) @ heights
        return points.whiten @ (points.loss - curve - largest @ parabola)

    start = np.concatenate([law.theta, law.heights, np.zeros(3)])
    return 2 * optimize.least_squares(miss, start, max_nfev=400).cost


@pytest.mark.parametrize("seed", range(3))
def test_the_largest_size_is_tested_as_a_search_with_a_parabola_would(seed):
    law = planted("exponential")
    data = bent(points(law, NOISE, seed), 0.002)
    fitted = fit_raw_law(law.family, data)
    score = fitted.chi2 - chi2_with_a_parabola(fitted, data)
    found = p_at_largest(fitted, data)
    assert found is not None
    # Three degrees of freedom, whose noise is known.
    assert np.log10(found) == pytest.approx(np.log10(stats.chi2.sf(score, 3)), abs=0.5)


def test_a_right_law_is_refuted_at_the_largest_size_as_often_as_it_should_be():
    law = planted("exponential")
    data = [points(law, NOISE, seed) for seed in range(60)]
    found = [p_at_largest(fit_raw_law(law.family, one), one) for one in data]
    share = np.mean([p is not None and p < 0.2 for p in found])
    # A fifth, give or take three standard errors.
    assert 0.04 < share < 0.36


def test_a_law_that_is_wrong_at_the_largest_size_only_is_refuted_there():
    right = points(planted("exponential"), NOISE)
    assert 0 not in fit_tested_laws(bent(right, 0.004), 0.05)[1]
    laws, in_play = fit_tested_laws(right, 0.05)
    assert 0 in in_play
    assert laws[0].p_no_memory is not None


def test_two_shares_cannot_bend_and_no_noise_tests_nothing():
    law = planted("exponential")
    data = points(law, NOISE)
    few = (data.size < 2) | np.isin(data.rho, [0.0, 1.0])
    some = Points(data.size[few], data.rho[few], data.loss[few], np.eye(few.sum()) / NOISE, 1000)
    assert p_at_largest(fit_raw_law(law.family, some), some) is None
    silent = Points(data.size, data.rho, data.loss, data.whiten, 0)
    fitted = fit_raw_law(law.family, silent)
    assert p_at_largest(fitted, silent) is None
    assert p_no_memory(fitted, silent) is None


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_gain_is_hardly_ever_seen_without_one_and_always_with_one(family):
    size, rho = np.repeat(SIZES, len(RHO)), np.tile(RHO, len(SIZES))
    claimed = []
    for seed in range(20):
        noise = NOISE * np.random.default_rng(seed).standard_normal(len(rho))
        loss = 1.1 + 0.2 * 2 ** (-0.4 * size) + noise
        flat = Points(size, rho, loss, np.eye(len(rho)) / NOISE, 1000)
        p = p_no_memory(fit_raw_law(family, flat), flat)
        assert p is not None
        claimed.append(p < 0.05)
    assert np.mean(claimed) <= 0.15
    real = points(planted(family.name), NOISE)
    p = p_no_memory(fit_raw_law(family, real), real)
    assert p is not None
    assert p < 1e-6


def test_the_interval_of_a_gain_begins_at_0_if_no_law_needs_a_memory():
    size, rho, seed = (
        axis.ravel() for axis in np.meshgrid(SIZES, RHO, np.arange(3), indexing="ij")
    )
    noise = NOISE * np.random.default_rng(3).standard_normal(len(rho))
    runs = Runs(size + 4, rho, seed.astype(int), 1.1 + 0.2 * 2 ** (-0.4 * size) + noise)
    measured = noise_of_runs(runs)
    assert measured is not None
    laws = fit_run_laws(runs, measured, "tokens_per_active", 0.9, draws=20)
    low, value, _ = limits(laws.predict(6.0).gain_over_moe)
    assert low == 0 <= value
