import numpy as np
import pytest

from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from analysis.sweep.verdict import VERDICTS, Verdict, judge, margin
from tests.analysis.tables import EXACT, sweep

CLEAR = {
    "paper": "u_supported",
    "symmetric": "u_supported",
    "edge_memory": "monotone_memory",
    "edge_experts": "monotone_experts",
    "flat": "flat",
}


@pytest.mark.parametrize("truth", CLEAR)
def test_clear_sweeps_get_their_word(truth):
    result = analyse_sweep(sweep(truth, seeds=5, noise=Noise(run=0.0008)))
    assert judge(result) == Verdict(CLEAR[truth])
    assert CLEAR[truth] in VERDICTS


@pytest.mark.parametrize("truth", ["paper", "edge_memory", "edge_experts", "flat"])
def test_sweeps_without_noise_are_read_too(truth):
    assert judge(analyse_sweep(sweep(truth, noise=EXACT))) == Verdict(CLEAR[truth])


def test_what_an_unidentified_sweep_lacks():
    blurred = sweep(seeds=2, noise=Noise(run=0.015), seed=1)
    assert judge(analyse_sweep(blurred)) == Verdict("not_identified", lacks="power")
    three = sweep(rho=np.array([0.2, 0.8, 1.0]))
    assert judge(analyse_sweep(three)) == Verdict("not_identified", lacks="points")
    one_seed = sweep(seeds=1)
    assert judge(analyse_sweep(one_seed)) == Verdict("not_identified", lacks="seeds")


def test_the_margin_follows_delta_whatever_the_height():
    assert margin(analyse_sweep(sweep(noise=EXACT), delta=0.1)) == pytest.approx(0.5)


def test_a_curve_whose_optimum_may_be_anywhere_is_not_monotone():
    """High at rho = 1 only: the memory end is among the best, but so is most of the range."""
    table = sweep("flat", noise=Noise(run=0.001))
    table.loc[table["rho"] == 1, "validation_loss"] += 0.3
    assert judge(analyse_sweep(table)).word != "monotone_memory"
