import numpy as np
import pytest

from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import NINE, limits, sweep


def test_more_noise_and_fewer_seeds_widen_every_interval():
    def widths(noise: float, seeds: int) -> np.ndarray:
        """Average widths of gain, rho* and break-even: a single sweep's noise is uncertain."""
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


@pytest.mark.parametrize("truth", ["paper", "flat", "edge_experts"])
def test_the_band_holds_the_curve_of_most_draws(truth):
    result = analyse_sweep(sweep(truth), draws=200)
    assert result.band is not None
    low, high = result.band
    curve = result.curve.chosen.curve
    assert (low <= high).all()
    assert np.mean((low <= curve) & (curve <= high)) > 0.9


def test_one_seed_gives_a_fit_without_intervals():
    result = analyse_sweep(sweep(seeds=1))
    assert result.rho_star.value == pytest.approx(0.78, abs=0.1)
    assert (result.rho_star.low, result.band, result.test) == (None, None, None)
    near = result.near_optimal
    assert near.low < near.value < near.high
    assert (near.low_interval, near.high_interval) == (None, None)


def test_a_flat_curve_claims_no_gain():
    """The minimum of a noisy flat curve lies below its end, but its interval starts at zero."""
    result = analyse_sweep(sweep("flat"), draws=200)
    assert result.test is not None
    assert result.test.p_gain >= result.alpha
    assert result.gain_over_moe.low == 0
    assert result.gain_over_moe == result.high_arm


def test_without_pure_moe_there_is_no_gain_over_it():
    result = analyse_sweep(sweep(rho=NINE - 0.1), draws=50)
    assert not result.has_moe
    assert (result.gain_over_moe.value, result.break_even.value) == (None, None)
    assert result.high_arm.value is not None


def test_the_asked_form_is_read_and_forms_disagree_little_on_a_clean_u():
    result = analyse_sweep(sweep(noise=Noise(run=0.0005)), draws=50, form="spline")
    assert result.curve.chosen.form == "spline"
    disagreement = result.model_uncertainty()
    assert 0 < disagreement["rho_star"] < 0.1
    assert 0 < disagreement["gain_over_moe"] < 0.003
