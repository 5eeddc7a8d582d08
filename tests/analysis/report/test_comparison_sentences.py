"""What is said of two sweeps."""

import json

import pytest

from analysis.curve.readings import Interval
from analysis.report.comparison_sentences import (
    _signed,
    comparison_json,
    comparison_table,
    state_comparison,
)
from analysis.sweep.comparison import compare
from analysis.sweep.sweep_analysis import analyse_sweep
from tests.analysis.tables import sweep


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (Interval(0.02, 0.01, 0.03), "0.020 [0.010, 0.030] nats/token higher"),
        (Interval(-0.02, -0.03, -0.01), "0.020 [0.010, 0.030] nats/token lower"),
        (Interval(-0.02, -0.05, 0.01), "not told apart (-0.020 [-0.050, 0.010] nats/token)"),
        (Interval(-0.02, None, None), "0.0200 nats/token lower (no interval)"),
        (Interval(None, None, None), "not known"),
    ],
)
def test_a_difference_has_a_direction_only_if_its_interval_has(interval, words):
    assert _signed(interval, 4, "higher", "lower", "nats/token") == words


def test_the_sentence_names_both_and_json_is_whole():
    first = analyse_sweep(sweep(), draws=40)
    higher = sweep(seed=1).assign(validation_loss=lambda runs: runs["validation_loss"] + 1)
    found = compare(first, analyse_sweep(higher, draws=40))
    sentence = state_comparison(found, "old", "new")
    assert sentence.startswith("new against old (runs not paired, 90% intervals)")
    assert "higher at rho = 1; the gain over rho = 1 is" in sentence
    whole = json.loads(json.dumps(comparison_json(found, "old", "new"), allow_nan=False))
    assert len(whole["at_rho"]) == 9
    assert whole["sentence"] == sentence
    assert list(comparison_table(found, "old", "new")["rho"]) == [
        one["rho"] for one in whole["at_rho"]
    ]
