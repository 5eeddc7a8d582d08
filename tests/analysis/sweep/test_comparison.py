"""Two sweeps beside each other: known differences are recovered."""

import numpy as np
import pytest

from analysis.curve.readings import Interval
from analysis.simulation.sweeps import Noise
from analysis.sweep.comparison import compare, independent_difference
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.analysis.tables import EXACT, NINE, sweep

SAME = {"corpus_fingerprint": "text", "tokenizer_fingerprint": "bytes"}


def analysed(truth: str = "paper", rho=NINE, shift: float = 0.0, **settings):
    table = sweep(truth, rho, **settings).assign(**SAME)
    table["validation_loss"] += shift
    return analyse_sweep(table, truth, draws=40)


def test_a_shift_is_a_difference_at_every_rho_and_none_of_the_gain():
    found = compare(analysed(noise=EXACT), analysed(noise=EXACT, shift=0.02))
    assert found.paired
    assert [one.rho for one in found.at_rho] == pytest.approx(NINE)
    for one in found.at_rho:
        assert one.difference.value == pytest.approx(0.02)
        assert one.gain_difference.value == pytest.approx(0, abs=1e-12)
    assert found.rho_star.value == pytest.approx(0, abs=1e-6)
    near = found.first.near_optimal
    assert found.common == pytest.approx((near.low, near.high))


def test_another_shape_is_a_difference_of_gains():
    found = compare(analysed(noise=EXACT), analysed("flat", noise=EXACT))
    gains = [one.gains[0].value for one in found.at_rho]
    assert [one.gain_difference.value for one in found.at_rho] == pytest.approx(
        [-(gain or 0.0) for gain in gains], abs=1e-9
    )


def test_pairing_takes_out_what_seeds_share():
    """Seeds scatter fifty times as much as runs; only pairs see a difference of 0.01."""
    noise = Noise(run=0.001, seed=0.05)
    first, second = (analysed(noise=noise, shift=shift) for shift in (0.0, 0.01))
    pairs = compare(first, second)
    other = analyse_sweep(second.sweep.curve.assign(corpus_fingerprint="other"), draws=40)
    alone = compare(first, other)
    assert pairs.paired
    assert not alone.paired
    for one, apart in zip(pairs.at_rho, alone.at_rho, strict=True):
        assert one.difference.low is not None
        assert one.difference.low > 0
        assert apart.difference.low is not None
        assert apart.difference.low < 0


@pytest.mark.parametrize("same_text", [True, False])
def test_intervals_hold_the_truth_about_as_often_as_they_say(same_text):
    """Two sweeps of one truth differ by nothing; 12 pairs of sweeps at nine rho each."""
    held, noise = [], Noise(run=0.003, seed=0.01)
    for number in range(12):
        first, second = (analysed(noise=noise, seed=100 * number + one) for one in range(2))
        if not same_text:
            second.sweep.curve["corpus_fingerprint"] = "other"
        for one in compare(first, second).at_rho:
            low, high = one.difference.low, one.difference.high
            assert low is not None
            assert high is not None
            held.append(low <= 0 <= high)
    assert np.mean(held) > 0.75


def test_values_of_rho_that_are_nearly_one_are_one():
    nearly = np.append(NINE[:-1] + 0.004, 1.0)
    first, second = (analysed(rho=rho, noise=EXACT) for rho in (NINE, nearly))
    assert len(compare(first, second).at_rho) == 9
    with pytest.raises(UserError, match="paper and paper: expected a rho that both have"):
        compare(first, analysed(rho=np.array([0.05, 0.12, 0.14, 0.15]), noise=EXACT))


def test_independent_limits_add_in_squares():
    one, other = Interval(1.0, 0.7, 1.5), Interval(0.2, -0.2, 0.6)
    found = independent_difference(one, other)
    assert (found.low, found.value, found.high) == pytest.approx((0.3, 0.8, 0.8 + 0.41**0.5))
    assert independent_difference(one, Interval(0.2, None, None)).low is None
    assert independent_difference(Interval(None, None, None), one).value is None
