import numpy as np
import pytest

from analysis.simulation.sweeps import Noise
from analysis.sweep.control_arms import runs_of
from analysis.sweep.sweep_analysis import SweepAnalysis, analyse_sweep
from tests.analysis.tables import limits, sweep, with_arms


def gains(result: SweepAnalysis) -> dict:
    return {arm.arm: arm.gain_over_moe for arm in result.arms}


def test_control_arms_are_paired_with_pure_moe():
    """Seeds that shift by far more than the effect do not blur it."""
    result = analyse_sweep(with_arms(sweep(noise=Noise(run=0.002, seed=0.5))))
    assert gains(result)["over_encoding"].value == pytest.approx(0.006)
    assert gains(result)["one_row"].value == pytest.approx(0.001)
    assert gains(result)["dense"].value == pytest.approx(-0.4)
    low, value, high = limits(gains(result)["one_row"])
    assert low < value < high


def test_the_interval_goes_by_how_the_differences_scatter():
    """Equal differences have a narrow interval, differences that scatter a wide one."""
    table = with_arms(sweep(seeds=5))
    still = limits(gains(analyse_sweep(table))["one_row"])
    noise = 0.02 * np.random.default_rng(0).standard_normal(5)
    table.loc[table["arm"] == "one_row", "validation_loss"] += noise
    loud = limits(gains(analyse_sweep(table))["one_row"])
    assert np.ptp(loud) > 4 * np.ptp(still)


def test_one_seed_gives_effects_without_intervals():
    gain = gains(analyse_sweep(with_arms(sweep(seeds=1))))["one_row"]
    assert gain.value == pytest.approx(0.001)
    assert (gain.low, gain.high) == (None, None)


def test_an_arm_without_common_seeds_has_no_gain():
    table = with_arms(sweep())
    table.loc[table["arm"] == "dense", "seed"] += 10
    gain = gains(analyse_sweep(table))["dense"]
    assert (gain.value, gain.low, gain.high) == (None, None, None)


def test_an_arm_without_rho_is_one_arm():
    table = with_arms(sweep())
    table.loc[table["arm"] == "dense", "rho"] = np.nan
    result = analyse_sweep(table)
    dense = next(arm for arm in result.arms if arm.arm == "dense")
    assert np.isnan(dense.rho)
    assert dense.runs == len(runs_of(result.sweep, "dense", float("nan"))) == 3


def test_only_an_arm_that_splits_the_budget_is_compared_with_a_hybrid():
    result = analyse_sweep(with_arms(sweep(noise=Noise(run=0.0005))))
    means = dict(zip(result.means.rho.round(6), result.means.loss, strict=True))
    over_hybrid = {arm.arm: arm.gain_over_hybrid.value for arm in result.arms}
    assert over_hybrid["over_encoding"] == pytest.approx(means[0.8] - means[1.0] + 0.006)
    # The experts of one_row are those of pure MoE, and dense has none.
    assert over_hybrid["one_row"] is None
    assert over_hybrid["dense"] is None


def test_the_gain_is_split_into_compute_and_memory():
    result = analyse_sweep(with_arms(sweep(noise=Noise(run=0.0005))))
    parts = result.parts
    assert parts is not None
    assert parts.rho == pytest.approx(0.8)
    compute, memory = limits(parts.compute), limits(parts.memory)
    assert compute[1] == pytest.approx(0.001)
    means = dict(zip(result.means.rho.round(6), result.means.loss, strict=True))
    assert compute[1] + memory[1] == pytest.approx(means[1.0] - means[0.8])
    assert memory[0] < memory[1] < memory[2]


@pytest.mark.parametrize("missing", ["one_row", "moe"])
def test_without_one_row_or_pure_moe_nothing_is_split(missing):
    table = with_arms(sweep())
    assert analyse_sweep(table.loc[table["arm"] != missing]).parts is None
