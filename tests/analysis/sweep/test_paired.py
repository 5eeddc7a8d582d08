import numpy as np
import pytest

from analysis.sweep.paired import paired_limits


@pytest.mark.parametrize(("seeds", "loud"), [(2, 1.4), (3, 1.4), (3, 5.0), (5, 5.0)])
def test_the_mean_difference_is_covered_however_loud_the_pairs_are(seeds, loud):
    rng = np.random.default_rng(seeds)
    held = 0
    for _ in range(300):
        differences = 0.01 + loud * 0.002 * rng.standard_normal(seeds)
        variance = 0.002**2 * rng.chisquare(16) / 16
        low, high = paired_limits(differences, variance, 16, 0.9)
        held += low <= 0.01 <= high
    assert 0.82 <= held / 300 <= 0.99


def test_many_pairs_have_students_interval():
    """With very many pairs neither the prior nor the curve's noise matters."""
    differences = np.random.default_rng(0).normal(0.01, 0.004, 2000)
    low, high = paired_limits(differences, 0.002**2, 16, 0.9)
    error = differences.std(ddof=1) / np.sqrt(2000)
    assert (low + high) / 2 == pytest.approx(differences.mean())
    assert (high - low) / 2 == pytest.approx(1.645 * error, rel=0.1)


def test_no_noise_at_all_leaves_a_point():
    assert paired_limits(np.full(3, 0.01), 0.0, 16, 0.9) == (0.01, 0.01)
