"""Parameter recovery from simulated tables of several conditions."""

import numpy as np
import pytest

from analysis.runs.conditions import split_conditions
from analysis.scaling.law import scaling
from analysis.simulation.conditions import AxesTruth
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.scaling.conftest import TRUTH, holds, law, pick, quick, table, width
from tests.analysis.tables import EXACT, NINE


def test_slopes_and_predictions_are_recovered_without_noise():
    found = law(noise=EXACT)
    assert found.slopes["budget"].rho_star.value == pytest.approx(-0.03, abs=0.005)
    assert found.slopes["budget"].gain_factor.value == pytest.approx(2**0.1, abs=0.005)
    far = found.predict(found.axes.place({"budget": 24e20}))
    rho_star, gain = TRUTH.at({"budget": 24e20})
    assert far.rho_star.value == pytest.approx(rho_star, abs=0.02)
    assert far.gain_over_moe.value == pytest.approx(gain, abs=5e-4)
    assert max(abs(one.error[1]) for one in found.held_out) < 5e-4


def test_two_axes_are_told_apart():
    places = [
        {"total_over_active": s, "tokens_per_active": t} for s in (5, 10) for t in (20, 40, 80)
    ]
    powers = {"total_over_active": 0.5, "tokens_per_active": -0.2}
    truth = AxesTruth({"total_over_active": 5, "tokens_per_active": 40}, 0.7, 0.014, {}, powers)
    found = law(truth, places)
    assert set(found.axes.names) == set(powers)
    for axis, power in powers.items():
        assert holds(found.slopes[axis].gain_factor, 2**power)
        assert found.slopes[axis].gain_factor.value == pytest.approx(2**power, abs=0.15)
    assert found.spare == 3


def test_prediction_intervals_cover_the_truth():
    """A bounded number of simulations, untrained at two doublings beyond.

    3 SD of a binomial below 85 %.
    """
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
        hits["slope"] += holds(found.slopes["budget"].gain_factor, 2**0.1)
    for name, count in hits.items():
        assert count / sweeps >= 0.85 - 3 * np.sqrt(0.85 * 0.15 / sweeps), (name, hits)


def test_conditions_that_scatter_widen_what_is_expected_of_a_new_one():
    places = [{"budget": 6e20 * 2.0**i} for i in (-4, -3, -2, -1, 0)]
    quiet, wild = (
        law(AxesTruth({"budget": 6e20}, gain_scatter=s), places, seed=5) for s in (0.0, 0.006)
    )
    assert wild.p_law[1] is not None
    assert wild.p_law[1] < 0.02
    assert 0.002 < wild.scatter[1] < 0.012
    assert width(wild.at_conditions[2].gain_over_moe) > 2 * width(
        quiet.at_conditions[2].gain_over_moe
    )


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
    assert found.slopes["budget"].gain_factor.low is not None


def test_a_gain_that_falls_steeply_is_never_predicted_to_be_nothing():
    """A straight line through 0.33, 0.13 and 0.05 nats/token crosses zero at the next doubling."""
    places = [{"tokens_per_active": value} for value in (10.0, 20.0, 40.0)]
    truth = AxesTruth({"tokens_per_active": 10}, 0.6, 0.33, {}, {"tokens_per_active": -1.35})
    found = law(truth, places)
    there = found.predict(found.axes.place({"tokens_per_active": 80})).gain_over_moe
    assert there.value == pytest.approx(0.33 * 2 ** (-1.35 * 3), rel=0.4)
    assert there.low is not None
    assert there.low > 0
    assert width(there) < 0.03
