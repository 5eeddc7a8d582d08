import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from analysis.simulation.slots import SIZES
from analysis.slots.laws import ABOVE, BELOW, POWERS, SaturatingLaw, SizeLaws

EQUAL = np.eye(len(SIZES))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_line_is_that_of_least_squares(seed):
    """Against the normal equations with a full covariance, written out."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((6, 6))
    cov = root @ root.T + np.eye(6)
    losses = rng.standard_normal((6, 3))
    laws, weight = SizeLaws(SIZES, cov), np.linalg.inv(cov)
    design = np.column_stack([np.ones(6), np.log2(SIZES)])
    wanted = design @ np.linalg.solve(design.T @ weight @ design, design.T @ weight @ losses)
    np.testing.assert_allclose(laws.line(losses), wanted, atol=1e-9)
    left = losses - wanted
    misfit = np.einsum("ib,ij,jb->b", left, weight, left)
    np.testing.assert_allclose(laws.line_misfit(losses), misfit, atol=1e-9)


def nearest_by_search(loss: np.ndarray) -> float:
    """The sum of squares that the saturating law leaves, by a plain optimiser from many starts."""

    def left(shape: np.ndarray) -> float:
        side = 1 - (1 + SIZES / np.exp(shape[0])) ** -np.exp(shape[1])
        design = np.column_stack([np.ones(6), -side])
        heights, _ = optimize.nnls(np.column_stack([np.ones(6), -np.ones(6), -side]), loss)
        fitted = design @ np.array([heights[0] - heights[1], heights[2]])
        return 1e6 * float(((loss - fitted) ** 2).sum())

    starts = [(np.log(scale), power) for scale in SIZES for power in (-2.0, -0.5, 1.0)]
    bounds = [(np.log(64 / 2**BELOW), np.log(65536 * 2**ABOVE)), tuple(np.log(POWERS[[0, -1]]))]
    found = [optimize.minimize(left, one, bounds=bounds, method="L-BFGS-B").fun for one in starts]
    return min(found) / 1e6


@pytest.mark.parametrize("seed", range(4))
def test_the_saturating_law_is_as_near_as_a_search_finds(seed):
    """The grid of shapes costs at most 2 % of what a line leaves."""
    rng = np.random.default_rng(seed)
    true = SaturatingLaw(start=1.26, drop=0.05, scale=200.0, power=0.6)
    loss = true.at(SIZES) + 0.001 * rng.standard_normal(6)
    laws = SizeLaws(SIZES, EQUAL)
    misfit, bend = laws.line_misfit(loss[:, None])[0], laws.bend(loss[:, None])[0]
    searched = nearest_by_search(loss)
    assert searched - 1e-7 <= misfit - bend <= searched + 0.02 * misfit
    law = laws.saturating(loss)
    assert law is not None
    assert ((law.at(SIZES) - loss) ** 2).sum() == pytest.approx(misfit - bend, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.floats(4, 14), st.floats(-2.3, 1.0))
def test_a_saturating_truth_is_recovered_without_noise(doublings, log_power):
    """Within 2 % of its range, between the shapes of the grid."""
    true = SaturatingLaw(start=1.26, drop=0.05, scale=2**doublings, power=float(np.exp(log_power)))
    laws = SizeLaws(SIZES, EQUAL)
    losses = true.at(SIZES)[:, None]
    law = laws.saturating(losses[:, 0])
    assert law is not None
    np.testing.assert_allclose(law.at(SIZES), losses[:, 0], atol=0.02 * np.ptp(losses))


@pytest.mark.parametrize(("scale", "power"), [(200.0, 0.6), (2000.0, 1.5), (16.0, 0.3)])
def test_slopes_at_the_ends_are_derivatives_of_the_truth(scale, power):
    true = SaturatingLaw(start=1.26, drop=0.05, scale=scale, power=power)
    laws, losses, step = SizeLaws(SIZES, EQUAL), true.at(SIZES)[:, None], 1e-4
    ends = np.log2(SIZES[[0, -1]])
    wanted = (true.at(2 ** (ends + step)) - true.at(2 ** (ends - step))) / (2 * step)
    np.testing.assert_allclose(laws.end_slopes(losses)[:, 0], wanted, rtol=0.15, atol=3e-4)


def test_a_line_has_no_bend_and_its_own_slope_at_both_ends():
    laws, line = SizeLaws(SIZES, EQUAL), 1.3 - 0.006 * np.log2(SIZES)
    assert laws.bend(line[:, None])[0] == pytest.approx(0, abs=1e-15)
    np.testing.assert_allclose(laws.end_slopes(line[:, None])[:, 0], -0.006, rtol=1e-9)


def test_a_loss_that_rises_with_the_table_has_no_saturating_law():
    laws, rising = SizeLaws(SIZES, EQUAL), 1.3 + 0.006 * np.log2(SIZES)
    assert laws.saturating(rising) is None
    np.testing.assert_allclose(laws.end_slopes(rising[:, None])[:, 0], 0.006, rtol=1e-9)
    assert laws.bend(rising[:, None])[0] == pytest.approx(0, abs=1e-15)
