"""The difference of two curves that share rho = 1: a known truth, by hand, and its interval."""

import numpy as np
import pandas as pd
import pytest

from analysis.curve.means import rho_means
from analysis.runs.conditions import split_conditions
from analysis.runs.table import check_table
from analysis.scaling.iso_difference import IsoDifference, iso_difference
from analysis.scaling.joint import JointAnalysis, analyse, joined
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError
from tests.analysis.scaling.conftest import pick
from tests.analysis.tables import iso_sweep, limits

LENGTHS = {"training__tokens": None, "sweep__tokens_per_active": [1.0, 2.0]}


def compared(table: pd.DataFrame) -> JointAnalysis:
    """`analyse` with fewer draws."""
    conditions = split_conditions(table, "sim")
    return joined(conditions, [analyse_sweep(one.runs, draws=100) for one in conditions])


def test_a_known_penalty_is_found_and_is_the_difference_of_the_steps():
    (one,) = compared(iso_sweep(0.004)).iso
    assert one.mean.value == pytest.approx(0.004)
    assert [reading.value for reading in one.at_rho] == pytest.approx([0.004] * len(one.rho))
    assert one.rho == (0.0, *sorted(one.rho)[1:-1], max(one.rho))
    assert one.pairs == 3 * len(one.rho)
    strict, paper = (one.steps[mode].value for mode in ("strict", "paper"))
    assert strict is not None
    assert paper is not None
    assert strict - paper == pytest.approx(0.004)


def test_only_common_points_are_compared():
    table = iso_sweep(0.004, noise=0.001)
    whole = compared(table)
    by_paper = is_paper(table, whole)
    inside = table["rho"].between(0.1, 0.9)
    gone = (by_paper & (table["seed"] == 1) & inside) | (~by_paper & (table["rho"] == 0))
    left = pick(table, ~gone)
    (one,) = compared(left).iso
    assert 0.0 not in one.rho
    # By hand: pairs of equal rho and seed.
    below, by_paper = left["rho"] < 1, is_paper(left, whole)
    ours, theirs = (
        pick(left, below & rows).set_index(["rho", "seed"])["validation_loss"]
        for rows in (~by_paper, by_paper)
    )
    by_hand = (ours - theirs).dropna()
    assert one.pairs == len(by_hand)
    assert one.mean.value == pytest.approx(by_hand.mean())


def is_paper(table: pd.DataFrame, joint: JointAnalysis) -> np.ndarray:
    """Which runs lie on the paper's curve, those of rho = 1 left out."""
    strict, paper = (set(one.runs["run_id"]) for one in joint.conditions)
    return np.isin(table["run_id"].to_numpy(str), list(paper - strict))


def of_means(table: pd.DataFrame) -> IsoDifference:
    """The comparison without the curves' fits, which take a second each."""
    sweeps = {one.iso: check_table(one.runs, "sim") for one in split_conditions(table, "sim")}
    curves = {str(mode): (one, rho_means(one.curve)) for mode, one in sweeps.items()}
    found = iso_difference(0, curves, level=0.9)
    assert found is not None
    return found


def test_the_intervals_cover_a_known_difference():
    """90 % intervals of 60 sweeps, each with five rho: 45 or more hold the truth in 999 of 1000."""
    found = [of_means(iso_sweep(0.004, noise=0.003, seed=seed)) for seed in range(60)]
    means = np.array([limits(one.mean) for one in found])
    covered = np.sum((means[:, 0] <= 0.004) & (means[:, 2] >= 0.004))
    assert covered >= 45
    # Limits follow from run noise and pairs; they are no wider than that of one rho.
    widths = means[:, 2] - means[:, 0]
    alone = np.array([limits(one.at_rho[0]) for one in found])
    assert np.all(widths < alone[:, 2] - alone[:, 0])
    assert np.mean(widths) < 0.006


def test_one_seed_has_no_interval():
    (one,) = compared(iso_sweep(0.004, seeds=1)).iso
    assert (one.mean.low, one.mean.high) == (None, None)
    assert one.mean.value == pytest.approx(0.004)


def test_modes_are_a_label_and_no_axis():
    """Two curves at one place are no law; at two places neither, unless one mode is named."""
    one_place = compared(iso_sweep(0.004))
    assert one_place.scaling is None
    assert one_place.reason is not None
    assert one_place.reason.startswith("One condition cannot show")
    assert one_place.anchors == ()
    table = iso_sweep(0.004, **LENGTHS)
    mixed = compared(table)
    assert len(mixed.iso) == 2
    assert mixed.scaling is None
    assert mixed.reason is not None
    assert mixed.reason.endswith("--iso names the one to fit.")
    alone = analyse(table, "sim", iso="paper")
    assert alone.iso == ()
    assert alone.scaling is not None
    assert {one.iso for one in alone.conditions} == {"paper"}


def test_a_mode_that_is_not_there_is_one_line():
    with pytest.raises(UserError, match="sim: --iso paper: expected runs of both modes, got those"):
        analyse(iso_sweep(0.0, sweep__iso="strict"), "sim", iso="paper")
