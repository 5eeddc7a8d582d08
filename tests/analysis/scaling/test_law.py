"""Parameter recovery from simulated tables of several conditions, and what is said where nothing can be told."""

import numpy as np
import pandas as pd
import pytest

from analysis.curve.readings import Interval
from analysis.report.joint_sentences import (
    joint_json,
    parse_place,
    prediction_sentence,
    state_joint,
)
from analysis.runs.conditions import split_conditions
from analysis.scaling.joint import JointAnalysis, analyse, joined
from analysis.scaling.law import ScalingFit, scaling
from analysis.simulation.conditions import AxesTruth, curve_with, simulate_axes
from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.analysis.tables import EXACT, NINE

BUDGETS = [{"budget": 6e20 * 2.0**i} for i in (-4, -2, 0)]
TRUTH = AxesTruth({"budget": 6e20}, 0.7, 0.014, {"budget": -0.03}, {"budget": 0.001})


def table(truth=TRUTH, places=BUDGETS, seeds=3, noise=None, seed=0, rho=NINE) -> pd.DataFrame:
    return simulate_axes(truth, places, rho, seeds, noise or Noise(), np.random.default_rng(seed))


def quick(frame: pd.DataFrame) -> JointAnalysis:
    """`analyse` with fewer draws."""
    conditions = split_conditions(frame, "sim")
    return joined(conditions, [analyse_sweep(one.runs, draws=200) for one in conditions])


def law(*args, **more) -> ScalingFit:
    found = quick(table(*args, **more)).scaling
    assert found is not None
    return found


def holds(one: Interval, true: float) -> bool:
    return one.low is not None and one.high is not None and one.low <= true <= one.high


def pick(frame: pd.DataFrame, rows) -> pd.DataFrame:
    return frame.loc[rows]


def width(one: Interval) -> float:
    assert one.low is not None
    assert one.high is not None
    return one.high - one.low


@pytest.mark.parametrize(("rho_star", "gain"), [(0.5, 0.02), (0.78, 0.0139), (0.9, 0.005)])
def test_the_moved_curve_has_its_optimum_and_gain_where_asked(rho_star, gain):
    read = curve_with(rho_star, gain).read(0.0, 1.0, 0.001)
    assert read.optimum[0] == pytest.approx(rho_star, abs=1e-3)
    assert read.gain[0] == pytest.approx(gain, abs=1e-6)


def test_slopes_and_predictions_are_recovered_without_noise():
    found = law(noise=EXACT)
    assert found.slopes["budget"].rho_star.value == pytest.approx(-0.03, abs=0.005)
    assert found.slopes["budget"].gain_over_moe.value == pytest.approx(0.001, abs=1e-4)
    far = found.predict(found.axes.place({"budget": 24e20}))
    rho_star, gain = TRUTH.at({"budget": 24e20})
    assert far.rho_star.value == pytest.approx(rho_star, abs=0.02)
    assert far.gain_over_moe.value == pytest.approx(gain, abs=5e-4)
    assert max(abs(one.error[1]) for one in found.held_out) < 5e-4


def test_two_axes_are_told_apart():
    places = [
        {"total_over_active": s, "tokens_per_active": t} for s in (5, 10) for t in (20, 40, 80)
    ]
    slopes = {"total_over_active": 0.008, "tokens_per_active": -0.002}
    truth = AxesTruth({"total_over_active": 5, "tokens_per_active": 40}, 0.7, 0.014, {}, slopes)
    found = law(truth, places)
    assert set(found.axes.names) == set(slopes)
    for axis, slope in slopes.items():
        assert holds(found.slopes[axis].gain_over_moe, slope)
        assert found.slopes[axis].gain_over_moe.value == pytest.approx(slope, abs=0.002)
    assert found.spare == 3


def test_prediction_intervals_cover_the_truth():
    """A bounded number of simulations, untrained at two doublings beyond; 3 SD of a binomial below 85 %."""
    hits = {"rho_star": 0, "gain_over_moe": 0, "slope": 0}
    sweeps = 20
    for number in range(sweeps):
        conditions = split_conditions(table(rho=NINE[::2], seed=number), "sim")
        found = scaling(
            conditions, [analyse_sweep(one.runs, draws=100) for one in conditions], draws=100
        )
        there = found.predict(found.axes.place({"budget": 24e20}))
        rho_star, gain = TRUTH.at({"budget": 24e20})
        hits["rho_star"] += holds(there.rho_star, rho_star)
        hits["gain_over_moe"] += holds(there.gain_over_moe, gain)
        hits["slope"] += holds(found.slopes["budget"].gain_over_moe, 0.001)
    for name, count in hits.items():
        assert count / sweeps >= 0.85 - 3 * np.sqrt(0.85 * 0.15 / sweeps), (name, hits)


def test_conditions_that_scatter_widen_what_is_expected_of_a_new_one():
    places = [{"budget": 6e20 * 2.0**i} for i in (-4, -3, -2, -1, 0)]
    quiet, wild = (
        law(AxesTruth({"budget": 6e20}, gain_scatter=s), places, seed=5) for s in (0.0, 0.006)
    )
    assert wild.p_law[1] is not None
    assert wild.p_law[1] < 0.01
    assert 0.002 < wild.scatter[1] < 0.012
    assert width(wild.at_conditions[2].gain_over_moe) > 2 * width(
        quiet.at_conditions[2].gain_over_moe
    )


def test_axes_that_move_together_or_stand_still_are_said_to():
    places = [
        {"total_over_active": 10.0, "tokens_per_active": t, "budget": 6e6 * t} for t in (10, 20, 40)
    ]
    truth = AxesTruth(dict(places[0]))
    joint = quick(table(truth, places))
    assert joint.scaling is not None
    assert joint.scaling.axes.names == ("tokens_per_active",)
    words = " ".join(state_joint(joint))
    assert (
        "total_over_active is about 10 in every condition: its effect is not identified." in words
    )
    assert "budget moves with tokens_per_active" in words
    axes = joint.scaling.axes
    np.testing.assert_allclose(
        axes.place({"budget": 6e6 * 80}), axes.place({"tokens_per_active": 80})
    )
    np.testing.assert_allclose(axes.place({"total_over_active": 10}), axes.centre)
    for impossible in ({"total_over_active": 20}, {"budget": 6e8, "tokens_per_active": 20}):
        with pytest.raises(UserError, match=r"--at .*expected about"):
            axes.place(impossible)


def test_two_conditions_give_a_slope_and_say_what_they_cannot():
    joint = quick(table(places=BUDGETS[:2]))
    words = " ".join(state_joint(joint))
    assert "2 values; two values tell no bend" in words
    assert "As many conditions as the law has parameters: nothing tests it." in words
    assert joint.scaling is not None
    assert joint.scaling.held_out == ()
    assert joint.scaling.p_law == (None, None)


def test_no_axis_at_all_pools():
    frame = table(AxesTruth({}), [{}, {}])
    frame["scale"] = np.repeat(["a", "b"], len(frame) // 2)
    joint = quick(frame)
    assert joint.labels == ("a", "b")
    assert joint.scaling is not None
    assert holds(joint.scaling.predict(np.zeros(0)).gain_over_moe, 0.014)
    assert "No axis varies" in state_joint(joint)[0]
    with pytest.raises(UserError, match="budget is not known for every condition"):
        joint.scaling.axes.place({"budget": 6e20})


def test_no_gain_is_claimed_where_no_condition_finds_one():
    found = law(AxesTruth({"budget": 6e20}, gain=0.0))
    assert all(one.gain_over_moe.low == 0 for one in found.at_conditions)


def test_one_seed_everywhere_has_no_intervals_and_one_condition_of_one_seed_borrows():
    alone = law(seeds=1)
    assert alone.slopes["budget"].rho_star.low is None
    assert alone.p_law == (None, None)
    frame = table()
    found = quick(pick(frame, (frame["budget"] < 6e20) | (frame["seed"] == 0))).scaling
    assert found is not None
    assert found.slopes["budget"].gain_over_moe.low is not None


def test_a_condition_without_an_anchor_stops_the_law_and_says_so():
    frame = table()
    joint = quick(pick(frame, (frame["budget"] < 6e20) | (frame["rho"] < 1)))
    assert joint.scaling is None
    assert joint.reason == "No joint fit: budget 6e+20 has no loss at rho = 1."
    assert len(joint_json(joint, [])["conditions"]) == 3


def test_an_unfinished_condition_is_left_out_with_its_reason():
    frame = table()
    joint = analyse(pick(frame, (frame["budget"] < 6e20) | (frame["rho"] > 0.85)), "sim")
    assert len(joint.studies) == 2
    assert joint.left_out == (
        "sim, budget 6e+20: 2 values of rho have a loss; expected at least 3 for a curve",
    )


def test_the_same_table_gives_the_same_numbers_in_any_order():
    frame = table()
    first, second = (
        joint_json(quick(one), []) for one in (frame, frame.sample(frac=1, random_state=1))
    )
    assert first == second


def test_a_prediction_in_words():
    found = law()
    sentence = prediction_sentence(found, parse_place("C=24e20"))
    assert sentence.startswith("At budget 2.4e+21 (2.0 doublings beyond what was trained): rho* 0.")


@pytest.mark.parametrize("text", ["C", "C=", "C=-1", "C=nan", "depth=3", "C=1,budget=2", "C=1,"])
def test_places_that_make_no_sense_are_refused(text):
    with pytest.raises(UserError, match=r"--at .*: expected AXIS=NUMBER"):
        parse_place(text)
