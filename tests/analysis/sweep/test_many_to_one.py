"""Dunnett's intervals in blocks, beside an integral, scipy and a plain reference.

How often they cover: tests/analysis/simulation/test_variants.py.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.hermite_e import hermegauss
from scipy import special, stats

from analysis.sweep.many_to_one import many_to_one


def layout(cells: int, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell and block of every run of a whole layout."""
    return np.repeat(np.arange(cells), blocks), np.tile(np.arange(blocks), cells)


def against_first(cells: int) -> np.ndarray:
    return np.array([[cell, 0] for cell in range(1, cells)])


def critical_value(cells: int, blocks: int, level: float) -> float:
    """The reach of the intervals over their standard errors."""
    at, of = layout(cells, blocks)
    values = np.random.default_rng(1).normal(size=len(at))
    found = many_to_one(values, at, of, against_first(cells), level)
    return float(((found.high - found.difference) / found.error)[0])


@pytest.mark.parametrize(
    ("cells", "blocks", "level"), [(3, 3, 0.9), (10, 3, 0.9), (10, 3, 0.95), (6, 5, 0.9)]
)
def test_the_critical_value_is_that_of_the_integral(cells, blocks, level):
    """In a whole layout the differences correlate by 1/2, so one normal and one chi stand between.

    P(all |T| <= c) = E over s, z of (Phi(z + c s sqrt 2) - Phi(z - c s sqrt 2))^m (Dunnett, 1955).
    """
    c = critical_value(cells, blocks, level)
    dof = (cells - 1) * (blocks - 1)
    z, of_z = hermegauss(60)
    # The mean over s by quantiles of chi, evenly spaced.
    s = np.sqrt(stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, dof) / dof)
    reach = c * np.sqrt(2) * s[:, None]
    inside = special.ndtr(z + reach) - special.ndtr(z - reach)
    covered = ((inside ** (cells - 1)) @ of_z).mean() / of_z.sum()
    assert covered == pytest.approx(level, abs=0.004)


def test_one_comparison_is_the_paired_t_test():
    """Two cells in blocks: mean, error, degrees of freedom and limits of scipy's paired test."""
    rng = np.random.default_rng(3)
    shift = rng.normal(0, 5, 6)
    one, other = shift + rng.normal(size=6), shift + 0.4 + rng.normal(size=6)
    cells, blocks = layout(2, 6)
    found = many_to_one(np.append(one, other), cells, blocks, np.array([[1, 0]]), 0.9)
    wanted = stats.ttest_rel(other, one)
    limits = wanted.confidence_interval(0.9)
    assert found.difference[0] == pytest.approx((other - one).mean())
    assert found.dof == wanted.df == 5
    assert [found.low[0], found.high[0]] == pytest.approx([limits.low, limits.high], rel=0.02)
    assert found.p[0] == pytest.approx(wanted.pvalue, rel=0.05)


def test_scipy_s_dunnett_agrees_if_there_are_no_blocks():
    """One block: independent samples, here of unequal sizes."""
    rng = np.random.default_rng(5)
    samples = [rng.normal(mean, 1, size) for mean, size in ((0, 6), (0.5, 4), (1.5, 5), (0, 8))]
    cells = np.repeat(np.arange(4), [len(one) for one in samples])
    values = np.concatenate(samples)
    found = many_to_one(values, cells, np.zeros(len(values), int), against_first(4), 0.9)
    wanted = stats.dunnett(*samples[1:], control=samples[0], rng=np.random.default_rng(0))
    limits = wanted.confidence_interval(0.9)
    assert found.p == pytest.approx(wanted.pvalue, abs=0.006)
    assert found.low == pytest.approx(limits.low, abs=0.02)
    assert found.high == pytest.approx(limits.high, abs=0.02)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(2, 5), st.data())
def test_missing_runs_are_the_least_squares_fit_without_them(seed, cells, blocks, data):
    """Differences and errors of a fit written out by normal equations, runs missing anywhere."""
    at, of = layout(cells, blocks)
    # The first block is whole, so that everything is linked.
    keep = np.array([block == 0 or data.draw(st.booleans()) for block in of])
    at, of = at[keep], of[keep]
    of = np.unique(of, return_inverse=True)[1]
    values = np.random.default_rng(seed).normal(size=len(at))
    found = many_to_one(values, at, of, against_first(cells), 0.9, draws=1000)
    # Cells as they are, blocks against the first.
    design = np.zeros((len(at), cells + of.max()))
    design[np.arange(len(at)), at] = 1
    for block in range(1, of.max() + 1):
        design[of == block, cells + block - 1] = 1
    gram = np.linalg.inv(design.T @ design)
    fit = gram @ design.T @ values
    dof = len(at) - design.shape[1]
    assert found.dof == dof
    assert found.difference == pytest.approx(fit[1:cells] - fit[0])
    if dof:
        variance = ((values - design @ fit) ** 2).sum() / dof
        contrast = np.hstack([-np.ones((cells - 1, 1)), np.eye(cells - 1)])
        cov = contrast @ gram[:cells, :cells] @ contrast.T * variance
        assert found.error == pytest.approx(np.sqrt(np.diag(cov)), abs=1e-9)
    else:
        assert np.isnan(found.error).all()


def test_a_cell_that_no_block_links_has_no_difference():
    values = np.array([1.0, 2.0, 1.5, 2.5, 9.0])
    cells, blocks = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 2])
    found = many_to_one(values, cells, blocks, against_first(3), 0.9)
    assert found.difference[0] == pytest.approx(0.5)
    assert np.isnan([found.difference[1], found.low[1], found.p[1]]).all()


def test_runs_without_noise_have_intervals_of_no_width():
    cells, blocks = layout(3, 3)
    values = np.array([0.0, 0.0, 0.25])[cells] + np.array([1.0, 2.0, 4.0])[blocks]
    found = many_to_one(values, cells, blocks, against_first(3), 0.9)
    assert found.high - found.low == pytest.approx([0, 0], abs=1e-12)
    assert found.difference == pytest.approx([0, 0.25])
