import re

import numpy as np
import pandas as pd
import pytest

from analysis.report.numbers import per_rho
from analysis.report.verdict_sentences import LABELS, state_verdict, summary
from analysis.simulation.sweeps import Noise
from analysis.sweep.sweep_analysis import analyse_sweep
from analysis.sweep.verdict import VERDICTS, judge
from tests.analysis.tables import NINE, sweep, with_arms


def stated(table: pd.DataFrame) -> str:
    return state_verdict(analyse_sweep(table)).sentence


@pytest.mark.parametrize(
    ("truth", "start"),
    {
        "paper": "A U is supported (p = ",
        "edge_memory": "The loss keeps falling towards memory: over rho 0.20 to 1.00",
        "edge_experts": "The loss keeps falling towards experts: over rho 0.20 to 1.00",
        "flat": "Flat within noise: over rho 0.20 to 1.00",
    }.items(),
)
def test_every_word_has_its_sentence(truth, start):
    result = analyse_sweep(sweep(truth, seeds=5, noise=Noise(run=0.0008)))
    verdict = state_verdict(result)
    assert verdict.word == judge(result).word
    assert verdict.sentence.startswith(start)
    assert "nats/token" in verdict.sentence


def test_an_unidentified_sweep_is_advised_what_would_help():
    assert "points at rho" in stated(sweep(seeds=2, noise=Noise(run=0.015), seed=1))
    assert "add at least 2 points." in stated(sweep(rho=np.array([0.2, 0.8, 1.0])))
    assert "add at least 1 point." in stated(sweep(rho=np.array([0.2, 0.5, 0.8, 1.0])))
    assert "one seed tells nothing of the noise" in stated(sweep(seeds=1))


def test_failed_and_outlying_runs_are_named():
    table = sweep(noise=Noise(run=0.001))
    table.loc[4, "validation_loss"] = np.nan
    table.loc[10, "validation_loss"] += 0.05
    sentence = stated(table)
    assert "1 of 27 runs have no loss" in sentence
    assert "1 run marked as outlying, kept in the fit" in sentence


def test_doubtful_runs_are_called_doubtful():
    assert "Seeds differ by a slope" in stated(
        sweep(seeds=4, noise=Noise(run=0.001, seed_tilt=0.02))
    )
    drifting = sweep(noise=Noise(run=0.001))
    order = np.random.default_rng(0).permutation(len(drifting))
    drifting["started_at"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(order, unit="h")
    drifting["validation_loss"] += 0.001 * order
    assert "drift with the time" in stated(drifting)
    unstable = sweep(noise=Noise(run=0.001))
    unstable.loc[unstable["rho"] == 0.2, "validation_loss"] += np.array([0.0, 0.06, -0.06])
    assert "Noise differs along rho beyond that of rho = 1" in stated(unstable)


def test_several_kinds_of_device_are_named():
    table = sweep(seeds=2, noise=Noise(run=0.001))
    assert "kinds of device" not in stated(table.assign(device="a CPU"))
    kinds = ["a CPU, AVX2"] * 5 + ["a CPU, AVX512"] * (len(table) - 6) + [None]
    assert (
        "Runs come from 2 kinds of device, which round differently: 12 on a CPU, AVX512, 5 on a "
        "CPU, AVX2." in stated(table.assign(device=kinds))
    )


def test_how_loud_the_anchor_is_is_always_said():
    sentence = stated(sweep(seeds=5, noise=Noise(anchor=8)))
    assert re.search(r"Runs at rho = 1 scatter \d+\.\d \[\d+\.\d, \d+\.\d\] times", sentence)
    assert "scatter" not in stated(sweep(rho=NINE[:-1]))


def test_more_runs_at_the_anchor_are_counted_and_advised():
    table = sweep(seeds=2, noise=Noise(run=0.003, anchor=6), seed=2)
    more = [{"rho": 1.0, "seed": s, "validation_loss": 1.722} for s in (2, 3)]
    result = stated(pd.concat([table, pd.DataFrame(more).assign(arm="moe", outcome="ok")]))
    assert "2 seeds and 2 more at rho = 1" in result


def test_a_fit_on_its_bound_says_so():
    table = sweep("flat", noise=Noise(run=0.0005))
    table.loc[table["rho"] == 1, "validation_loss"] += 0.1
    assert "The fit lies on a bound of its shapes" in stated(table)
    assert "on a bound" not in stated(sweep("warped", noise=Noise(run=0.0005)))


def test_the_parts_of_the_gain_and_the_other_arms_are_named():
    table = with_arms(sweep(noise=Noise(run=0.0005)))
    sentence = stated(table)
    # How many zeros follow is a matter of the noise.
    assert re.search(r"Of the gain at rho = 0\.80, 0\.0010* \[", sentence)
    assert re.search(r"over-encoding at rho = 0\.80 0\.0060* \[", sentence)
    assert re.search(r"dense -0\.40* \[", sentence)


def test_the_range_is_named_before_its_lowest_point():
    """A flat range holds rho* anywhere: one sweep said 0.37, the same runs and more 0.68."""
    verdict = state_verdict(analyse_sweep(sweep(noise=Noise(run=0.001))))
    headline = verdict.headline
    assert headline.index("within 0.001 nats/token of its lowest from rho") < headline.index(
        "lowest at 0."
    )
    assert verdict.sentence.startswith(headline)
    assert verdict.label == LABELS[verdict.word]
    assert set(LABELS) == set(VERDICTS)


def test_a_table_and_a_sentence_agree_on_what_is_near_optimal():
    """No rho lies in the range that is said, and outside of the range that is marked."""
    for seed in range(5):
        result = analyse_sweep(sweep(noise=Noise(run=0.002), seed=seed), draws=40)
        said = re.search(r"from rho = ([\d.]+) .*? to ([\d.]+) ", state_verdict(result).headline)
        assert said is not None
        low, high = map(float, said.groups())
        rows = per_rho(result)
        inside = rows.loc[(rows["rho"] >= low) & (rows["rho"] <= high), "near_optimal"]
        assert inside.all()


def test_without_an_arm_the_gain_has_no_parts():
    table = with_arms(sweep(noise=Noise(run=0.0005)))
    for arm in ("one_row", "moe"):
        assert "Of the gain" not in stated(table.loc[table["arm"] != arm])


def test_a_figure_gets_short_lines():
    label, within, gain = summary(analyse_sweep(sweep(), draws=40)).splitlines()
    assert label == "A U is supported"
    assert within.startswith("within 0.001 nats/token of the lowest from 0.")
    assert gain.startswith("lowest 0.")
    assert max(map(len, (within, gain))) < 90
    without = summary(analyse_sweep(sweep(rho=NINE[:-1]), draws=40))
    assert len(without.splitlines()) == 2
