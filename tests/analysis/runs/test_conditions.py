"""Real plans of several axes, and foreign tables, split into conditions."""

import numpy as np
import pandas as pd
import pytest

from analysis.runs.conditions import AXES, labels, split_conditions
from engram_sweep.errors import UserError
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import canonical_json
from tests.analysis.tables import sweep
from tests.examples import load, scale


def planned(*scales) -> pd.DataFrame:
    """Return what the records of these scales will contain, before they are trained."""
    rows = []
    for one in scales:
        for run in make_plan(one).runs:
            rows.append({**run.row(), "scale": one.name, "spec": canonical_json(run.spec)})
    return pd.DataFrame(rows).drop(columns=[*AXES, "iso"])


def test_a_sweep_of_two_axes_splits_into_their_product_with_all_arms():
    axes = {
        "sweep__total_over_active": [5.0, 8.0],
        "sweep__tokens_per_active": [1.0, 2.0],
        "training__tokens": None,
    }
    arms = {"sweep__arms": {"over_encoding": [0.4], "one_row": True, "dense": True}}
    found = split_conditions(planned(scale(**axes, **arms)), "plan")
    assert len(found) == 4
    for one in found:
        assert sorted(set(one.runs["arm"])) == [
            "dense",
            "engram",
            "moe",
            "one_row",
            "over_encoding",
        ]
        assert not one.runs.duplicated(["arm", "rho", "seed"]).any()
        assert one.axes["budget"] == pytest.approx(
            6
            * one.axes["tokens_per_active"]
            * one.runs.loc[one.runs["arm"] == "moe", "params_active"].iloc[0] ** 2
        )
    assert [round(one.axes["total_over_active"], 1) for one in found] == [5.0, 5.0, 8.0, 8.0]


def test_budgets_are_those_asked_for():
    found = split_conditions(
        planned(scale(sweep__budgets=[2e11, 4e11], training__tokens=None)), "plan"
    )
    assert [one.axes["budget"] for one in found] == pytest.approx([2e11, 4e11], rel=0.01)


def test_the_papers_two_scales_are_two_curves_at_each_of_their_budgets():
    found = split_conditions(planned(load("5.7B"), load("10B")), "plan")
    assert labels(found) == [
        "10B, iso strict",
        "10B, iso paper",
        "5.7B, iso strict",
        "5.7B, iso paper",
    ]
    budgets = [one.axes["budget"] for one in found]
    assert budgets == pytest.approx([6e20, 6e20, 2e20, 2e20], rel=0.01)


def test_a_diverged_run_stays_with_its_fellows():
    table = planned(scale())
    table.loc[3, "tokens"] = 512
    assert len(split_conditions(table, "plan")) == 1


def test_an_interrupted_sweep_does_not_mix_lengths():
    table = planned(
        scale(sweep__tokens_per_active=[1.0, 2.0], training__tokens=None, sweep__seeds=[0])
    )
    anchor = table["rho"] == 1
    short = table["tokens"] == table["tokens"].min()
    left = table.loc[(short & ~anchor) | (~short & anchor)]
    assert len(split_conditions(left, "plan")) == 2


def test_a_foreign_table_names_its_axes_or_is_one_condition():
    table = sweep()
    assert [one.axes for one in split_conditions(table, "t")] == [{}]
    sizes = table.assign(params_total=np.linspace(1, 2, len(table)), params_active=1.0, tokens=5)
    assert len(split_conditions(sizes, "t")) == 1
    both = pd.concat([table.assign(budget=1e18), table.assign(budget=4e18)])
    found = split_conditions(both, "t")
    assert [one.axes for one in found] == [{"budget": 1e18}, {"budget": 4e18}]
    assert labels(found) == ["budget 1e+18", "budget 4e+18"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": "much"}, "column 'budget' holds 'much'; expected a number"),
        ({"budget": -1.0}, "column 'budget' holds -1; expected a positive number"),
        (
            {"tokens_per_active": np.nan},
            "column 'tokens_per_active' holds nan; expected a positive number",
        ),
        *(
            (
                {"spec": spec, "params_total": 1, "params_active": 1, "tokens": 1},
                "column 'spec' holds something else",
            )
            for spec in ("{}", "no JSON", 7, '{"training": {"tokens": null}}', '{"training": 1}')
        ),
    ],
)
def test_columns_that_make_no_sense_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        split_conditions(sweep().assign(**change), "t")


def test_an_arm_that_there_is_not_is_one_line():
    table = planned(scale(sweep__iso=["strict", "paper"]))
    table.loc[3, "arm"] = "mlp"
    with pytest.raises(UserError, match="x: column 'arm' holds 'mlp'; expected one of moe"):
        split_conditions(table, "x")


def test_a_column_of_a_record_that_holds_no_numbers_is_one_line():
    with pytest.raises(UserError, match="x: column 'wall_seconds' holds 'a day'; expected a num"):
        split_conditions(sweep().assign(wall_seconds="a day"), "x")
