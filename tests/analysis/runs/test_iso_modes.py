"""Records of both modes are told apart by their shapes, whatever was trained first."""

import json

import numpy as np
import pandas as pd
import pytest

from analysis.runs.conditions import labels, split_conditions
from analysis.runs.iso_modes import split_by_iso, width_changes
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan
from tests.analysis.tables import iso_sweep, sweep
from tests.examples import scale

ARMS = {"over_encoding": [0.4], "one_row": True, "dense": True}


def ids(mode: str, **changes) -> set[str]:
    """Return the ids of a sweep that names one mode."""
    return {run.run_id for run in make_plan(scale(sweep__iso=mode, **changes)).runs}


@pytest.mark.parametrize("arms", [{}, {"sweep__arms": ARMS}])
def test_each_curve_holds_the_runs_that_its_mode_plans(arms):
    curves = split_by_iso(iso_sweep(0.0, seeds=2, **arms), "t")
    assert list(curves) == ["strict", "paper"]
    for mode, runs in curves.items():
        assert set(runs["run_id"]) == ids(str(mode), **arms)
        assert runs["run_id"].is_unique


@pytest.mark.parametrize("mode", ["strict", "paper"])
def test_a_sweep_of_one_mode_is_one_curve(mode):
    table = iso_sweep(0.0, sweep__iso=mode)
    assert list(split_by_iso(table, "t")) == [None]
    (one,) = split_conditions(table, "t")
    assert one.iso is None


def test_a_strict_point_of_the_anchor_s_width_is_one_run_on_both_curves():
    """If the module costs what the router gives back, both modes plan the same model."""
    table = iso_sweep(0.0, seeds=2)
    at = table["rho"].between(0.35, 0.45)
    paper = split_by_iso(table, "t")["paper"]["run_id"]
    ours = table.loc[at & ~table["run_id"].isin(paper)].index
    # Leave strict's run out, and let the paper's hold P_act.
    anchor = table.loc[table["arm"] == "moe", "params_active"].iloc[0]
    table.loc[at, "params_active"] = anchor
    assert at.sum() == 2 * len(ours) == 4
    curves = split_by_iso(table.drop(index=ours), "t")
    assert [len(one) for one in curves.values()] == [12, 12]
    # With strict's own run there, the other is the paper's alone.
    assert [set(one["run_id"]) for one in split_by_iso(table, "t").values()] == [
        ids("strict"),
        ids("paper"),
    ]


def test_without_an_anchor_nothing_can_be_told():
    table = iso_sweep(0.0)
    below = table.loc[table["rho"] < 1].reset_index(drop=True)
    assert list(split_by_iso(below, "t")) == [None]
    assert list(split_by_iso(table.assign(spec="{}"), "t")) == [None]
    assert list(split_by_iso(table.assign(spec="no JSON"), "t")) == [None]


def test_a_foreign_table_names_the_mode():
    table = sweep()
    named = [
        table[table["rho"] == 1].assign(iso=None),
        *(table[table["rho"] < 1].assign(iso=mode) for mode in ("paper", "strict")),
    ]
    found = split_conditions(pd.concat(named, ignore_index=True), "t")
    assert [one.iso for one in found] == ["strict", "paper"]
    assert labels(found) == ["iso strict", "iso paper"]
    assert [len(one.runs) for one in found] == [len(table)] * 2
    with pytest.raises(UserError, match="t: column 'iso' holds 'loose'; expected strict, paper"):
        split_conditions(table.assign(iso="loose"), "t")


def test_conditions_multiply_with_modes():
    lengths = {"training__tokens": None, "sweep__tokens_per_active": [1.0, 2.0]}
    found = split_conditions(iso_sweep(0.0, **lengths), "t")
    assert [one.iso for one in found] == ["strict", "paper"] * 2
    assert [one.place for one in found][::2] == [one.place for one in found][1::2]
    assert [label.split(", ")[-1] for label in labels(found)] == ["iso strict", "iso paper"] * 2


def test_width_changes_are_those_of_the_specs():
    strict, paper = split_by_iso(iso_sweep(0.0), "t").values()
    assert width_changes(paper) == (0.0, 0.0)
    widths = [np.mean(json.loads(spec)["geometry"]["shared_width"]) for spec in strict["spec"]]
    changes = np.array(widths)[strict["rho"] < 1] / 160 - 1
    assert width_changes(strict) == pytest.approx((changes.min(), changes.max()))
    assert width_changes(strict.loc[strict["rho"] < 1]) is None
    assert width_changes(sweep()) is None
