"""What is said of rho* without a smooth curve, on truths that are known."""

import numpy as np
import pytest

from analysis.curve.bootstrap import draw_errors
from analysis.curve.means import rho_means
from analysis.simulation.hard_truths import HARD_TRUTHS
from analysis.simulation.sweeps import TRUTHS, Noise, simulate
from analysis.simulation.worlds import NINE
from analysis.sweep.smoothness import MAX_APART, single_dip
from analysis.sweep.sweep_analysis import analyse_sweep

TRUTHS_OF_ONE_DIP = {
    name: (HARD_TRUTHS | TRUTHS)[name]
    for name in ("left_kink", "kaplan", "symmetric", "edge_memory")
}


def known(value: float | None) -> float:
    assert value is not None
    return value


@pytest.mark.parametrize("name", sorted(TRUTHS_OF_ONE_DIP))
def test_a_single_dip_holds_the_optimum_smooth_or_not(name):
    truth, rng, held, widths = TRUTHS_OF_ONE_DIP[name], np.random.default_rng(1), 0, []
    optimum = truth.read(0, 1, 0.001).optimum[0]
    for _ in range(60):
        means = rho_means(simulate(truth, NINE, 3, Noise(), rng))
        found = single_dip(means, draw_errors(means, 400, rng), 0.9)
        low, high = known(found.low), known(found.high)
        held += low <= optimum <= high
        widths.append(high - low)
    assert held >= 54
    assert np.mean(widths) < 0.8


def test_it_is_the_plain_comparison_of_every_rho_with_all_others():
    """As a loop over rho and draws, with the largest of all contrasts each."""
    rng = np.random.default_rng(2)
    means = rho_means(simulate(TRUTHS["paper"], NINE, 3, Noise(), rng))
    errors = draw_errors(means, 300, rng)
    kept = []
    for i, rho in enumerate(means.rho):
        errs = {
            j: np.sqrt(means.cov[i, i] + means.cov[j, j] - 2 * means.cov[i, j])
            for j in range(len(means.rho))
            if j != i
        }
        above = max((means.loss[i] - means.loss[j]) / error for j, error in errs.items())
        null = [max((draw[i] - draw[j]) / error for j, error in errs.items()) for draw in errors.T]
        if above <= np.quantile(null, 0.9):
            kept.append(float(rho))
    found = single_dip(means, errors, 0.9)
    assert found.low == max([rho for rho in means.rho if rho < kept[0]], default=0.0)
    assert found.high == min([rho for rho in means.rho if rho > kept[-1]], default=1.0)
    assert found.value == means.rho[means.loss.argmin()]


def reported(name: str, sweeps: int, seeds: int = 5) -> float:
    truth, rng = (HARD_TRUTHS | TRUTHS)[name], np.random.default_rng(4)
    found = [
        analyse_sweep(simulate(truth, NINE, seeds, Noise(), rng), draws=200) for _ in range(sweeps)
    ]
    for one in found:
        if one.corner is not None:
            low, high = known(one.rho_star.low), known(one.rho_star.high)
            assert max(low - one.corner, one.corner - high) > MAX_APART
    return float(np.mean([one.corner is not None for one in found]))


def test_a_kink_is_reported_much_more_often_than_smooth_curves_are():
    assert reported("left_kink", 20) > 0.3
    assert reported("kaplan", 15) <= 0.1
    assert reported("paper", 15) <= 0.1


def test_one_seed_says_nothing():
    found = analyse_sweep(simulate(TRUTHS["paper"], NINE, 1, Noise(), np.random.default_rng(0)))
    assert found.corner is None
    assert (found.single_dip.low, found.single_dip.high) == (None, None)


@pytest.mark.parametrize("loss", [1.1, 2.7, 3.1, 5.3])
@pytest.mark.parametrize("rho", [NINE, np.linspace(0, 1, 5), np.linspace(0, 1, 11)])
@pytest.mark.parametrize("seeds", [2, 3])
def test_losses_that_are_all_one_leave_the_lowest_rho_open(loss, rho, seeds):
    runs = simulate(TRUTHS["flat"], rho, seeds, Noise(), np.random.default_rng(0))
    dip = analyse_sweep(runs.assign(validation_loss=loss)).single_dip
    assert (dip.low, dip.high) == (rho[0], rho[-1])
