"""Slopes and predictions over several laws hold planted truths; a wrong law is refuted."""

import numpy as np
import pandas as pd
import pytest

from analysis.scaling.joint import JointAnalysis
from analysis.scaling.raw_law import RawLaw
from analysis.scaling.raw_laws import REFUTED_P, RawLaws, fit_raw_laws, why_no_raw_law
from analysis.simulation.conditions import AxesTruth
from analysis.simulation.sweeps import Noise, Truth, simulate
from tests.analysis.scaling.conftest import BUDGETS, holds, law, quick, table, width
from tests.analysis.scaling.test_raw_law import PLANTED, RHO, planted
from tests.analysis.tables import EXACT

LENGTHS = (10.0, 20.0, 40.0, 80.0)
MIDDLE = float(np.log2(LENGTHS).mean())


def planted_table(name: str, noise: float, seed: int = 0, lengths=LENGTHS) -> pd.DataFrame:
    """Simulate two seeds at six rho for each length, by a planted law."""
    one, rng, tables = planted(name), np.random.default_rng(seed), []
    for length in lengths:
        at = float(np.log2(length)) - MIDDLE

        def loss(rho: np.ndarray, at: float = at) -> np.ndarray:
            return one.curves(np.full(np.shape(rho), at), rho)

        truth = Truth(f"{length:g}", loss, has_u=True)
        frame = simulate(truth, RHO, 2, Noise(run=noise, seed=noise), rng)
        tables.append(frame.assign(tokens_per_active=length))
    return pd.concat(tables, ignore_index=True)


def laws(joint: JointAnalysis) -> RawLaws:
    assert joint.raw is not None
    return joint.raw


def true_slope(one: RawLaw) -> float:
    ends = np.log2([LENGTHS[0], LENGTHS[-1]]) - MIDDLE
    low, high = (one.optimum_and_gain(float(end), 0.0)[0] for end in ends)
    return (high - low) / float(ends[1] - ends[0])


def test_a_moving_optimum_is_found_closer_than_by_the_readings():
    joint = quick(planted_table("exponential", 0.002))
    found = laws(joint)
    slope = found.per_doubling()
    assert holds(slope.rho_star, true_slope(planted("exponential")))
    assert joint.scaling is not None
    assert width(slope.rho_star) < width(joint.scaling.slopes["tokens_per_active"].rho_star)
    least, most = found.range_of_slopes()
    assert slope.rho_star.low is not None
    assert slope.rho_star.low <= least <= most
    assert len(found.errors) == 4


def test_predictions_one_doubling_beyond_hold_the_truth():
    """Whichever family is true, the range over all that are not refuted."""
    held = np.zeros(2)
    for seed, name in enumerate(PLANTED):
        rho_star, gain = planted(name).optimum_and_gain(float(np.log2(160)) - MIDDLE, 0.0)
        there = laws(quick(planted_table(name, 0.002, seed))).predict(np.log2(160))
        held += (holds(there.rho_star, rho_star), holds(there.gain_over_moe, gain))
    assert (held >= 2).all()


def test_curves_that_no_law_fits_refute_them_all():
    frame = planted_table("exponential", 0.0003)
    frame["validation_loss"] += 0.006 * np.isin(frame["rho"], RHO[::2])
    found = laws(quick(frame))
    assert found.in_play == ()
    assert found.errors == ()


def with_a_lost_start() -> pd.DataFrame:
    """Return planted losses of four lengths, at the shortest of which pure MoE has barely begun."""
    frame = planted_table("exponential", 0.002)
    lost = (frame["tokens_per_active"] == LENGTHS[0]) & (frame["rho"] == 1)
    return frame.assign(validation_loss=frame["validation_loss"] + 0.1 * lost)


def test_a_length_too_short_for_any_law_is_left_out_and_the_rest_holds_the_truth():
    found = laws(quick(with_a_lost_start()))
    assert found.in_play
    assert found.left_out == pytest.approx([np.log2(LENGTHS[0])])
    assert found.p_of_all is not None
    assert found.p_of_all < REFUTED_P
    assert [2 ** (size + found.centre) for size in found.sizes] == pytest.approx(LENGTHS[1:])
    rho_star, gain = planted("exponential").optimum_and_gain(float(np.log2(80)) - MIDDLE, 0.0)
    there = found.predict(np.log2(80))
    assert holds(there.rho_star, rho_star)
    assert holds(there.gain_over_moe, gain)
    assert [found.leaves_out(np.log2(length)) for length in LENGTHS] == [True, False, False, False]


def test_it_says_what_it_needs():
    two = quick(planted_table("exponential", 0.002, lengths=LENGTHS[:2])).scaling
    assert two is not None
    assert "needs 3 values of tokens_per_active" in str(why_no_raw_law(two.axes, two.sweeps))
    alone = law(seeds=1)
    assert "needs two seeds" in str(why_no_raw_law(alone.axes, alone.sweeps))
    with pytest.raises(ValueError, match="needs two seeds"):
        fit_raw_laws(alone.axes, alone.sweeps)
    exact = law(noise=EXACT)
    assert "there is none" in str(why_no_raw_law(exact.axes, exact.sweeps))
    origin = {"total_over_active": 5, "budget": 6e20}
    places = [{"total_over_active": 5 * (1 + i % 2), **one} for i, one in enumerate(BUDGETS * 2)]
    both = quick(table(AxesTruth(origin), places)).scaling
    assert both is not None
    assert "goes along one axis, and 2 vary" in str(why_no_raw_law(both.axes, both.sweeps))
