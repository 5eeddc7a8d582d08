import numpy as np

from analysis.report.smoothness_sentences import smoothness_notes
from analysis.report.verdict_sentences import state_verdict
from analysis.simulation.hard_truths import HARD_TRUTHS
from analysis.simulation.sweeps import Noise, simulate
from analysis.simulation.worlds import NINE
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep


def test_what_rests_on_a_smooth_curve_is_said():
    rng, truth = np.random.default_rng(4), HARD_TRUTHS["left_kink"]
    kinked = [analyse_sweep(simulate(truth, NINE, 5, Noise(), rng)) for _ in range(8)]
    found = next(one for one in kinked if one.corner is not None)
    sentence = " ".join(smoothness_notes(found))
    assert sentence in state_verdict(found).sentence
    assert f"lowest at rho = {found.corner:.2f}, outside the interval of rho*" in sentence
    between = f"between {found.single_dip.low:.2g} and {found.single_dip.high:.2g}."
    assert f"a single dip of any shape has its lowest rho {between}" in sentence
    # Where nothing is known, there is nothing to say.
    assert not smoothness_notes(analyse_sweep(sweep("flat", seeds=2)))
