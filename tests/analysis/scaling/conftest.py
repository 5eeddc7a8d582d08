"""Simulated sweeps of several conditions, and their law."""

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.runs.conditions import split_conditions
from analysis.scaling.joint import JointAnalysis, joined
from analysis.scaling.law import ScalingFit
from analysis.simulation.conditions import AxesTruth, simulate_axes
from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import NINE

BUDGETS = [{"budget": 6e20 * 2.0**i} for i in (-4, -2, 0)]
TRUTH = AxesTruth({"budget": 6e20}, 0.7, 0.014, {"budget": -0.03}, {"budget": 0.1})


def table(truth=TRUTH, places=BUDGETS, seeds=3, noise=None, seed=0, rho=NINE) -> pd.DataFrame:
    """Simulated runs of several conditions."""
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
