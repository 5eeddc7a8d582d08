"""Axes: one object each, and the recipe of docs/architecture.md for a new one."""

from __future__ import annotations

from typing import get_args

import pytest

from engram_sweep.config.scale import Scale
from engram_sweep.config.sweep import Iso, Sweep
from engram_sweep.planning.axes import AXES, ISO_MODES, Axis, AxisValues, along_axes, record_axes
from engram_sweep.planning.plan import make_plan
from tests.examples import scale


class SweepWithTopK(Sweep):
    experts_per_token: tuple[int, ...] = ()


def with_top_k(example: Scale, value: float) -> Scale:
    model = example.model.model_copy(update={"top_k": int(value)})
    return example.model_copy(update={"model": model})


TOP_K = Axis(
    key="top_k",
    yaml_key="experts_per_token",
    plan_key="top_k_asked",
    plan_label="top_k asked",
    change=with_top_k,
)


def test_every_axis_has_its_yaml_key():
    assert {axis.yaml_key for axis in AXES.values()} <= set(Sweep.model_fields)
    assert [axis.key for axis in record_axes()] == [
        "total_over_active",
        "tokens_per_active",
        "budget",
    ]


def test_a_place_on_the_axes_and_its_columns():
    at = AxisValues((("budget", 6e15), ("rows_per_head", 500)))
    assert (at.get("budget"), at.rows_per_head, at.get("tokens_per_active")) == (6e15, 500, None)
    assert at.row() == {
        "total_over_active": None,
        "tokens_per_active": None,
        "budget": 6e15,
        "iso": None,
        "rows_per_head_asked": 500,
    }


def test_both_iso_modes_share_the_runs_that_neither_changes():
    arms = {"over_encoding": [0.5], "one_row": True, "dense": True}
    changes = {"sweep__rho": [1.0, 0.5], "sweep__seeds": [0], "sweep__arms": arms}
    both = make_plan(scale(**changes, sweep__iso=["strict", "paper"]))
    strict, paper = (make_plan(scale(**changes, sweep__iso=mode)) for mode in ("strict", "paper"))
    shared = {run.run_id for run in strict.runs} & {run.run_id for run in paper.runs}
    assert {run.spec.arm for run in both.runs if run.run_id in shared} == {"moe", "dense"}
    by_id = {run.run_id: run.axes.get("iso") for run in both.runs}
    assert len(by_id) == len(both.runs)
    assert by_id == {
        **{run.run_id: "strict" for run in strict.runs},
        **{run.run_id: "paper" for run in paper.runs},
        **dict.fromkeys(shared),
    }


def test_iso_modes_are_those_that_a_scale_may_name():
    assert get_args(Iso) == ISO_MODES


def test_one_iso_mode_is_a_setting_and_no_axis():
    assert make_plan(scale(sweep__iso=["paper"])).runs == make_plan(scale(sweep__iso="paper")).runs
    assert {run.row()["iso"] for run in make_plan(scale(sweep__iso="paper")).runs} == {None}


@pytest.mark.parametrize("key", [axis.key for axis in record_axes()])
def test_a_record_shows_the_value_that_the_plan_was_asked_for(key: str):
    """The two directions of an axis agree, up to whole experts and whole tokens."""
    axis = AXES[key]
    asked = {"total_over_active": 4.47, "tokens_per_active": 40.0, "budget": 2e12}[key]
    tokens = {} if key == "total_over_active" else {"training__tokens": None}
    example = scale(**tokens, **{f"sweep__{axis.yaml_key}": [asked]})
    [(_, placed)] = list(along_axes(example))
    anchor = make_plan(example).runs[0]
    assert axis.of_record is not None
    ledger = anchor.allocation.ledger
    assert placed.training.tokens is not None
    shown = axis.of_record(ledger.params_total, ledger.params_active, placed.training.tokens)
    assert shown == pytest.approx(asked, rel=1e-2)


def test_a_new_axis_is_one_object_and_one_yaml_key(monkeypatch: pytest.MonkeyPatch):
    example = scale()
    single = make_plan(example)
    monkeypatch.setitem(AXES, TOP_K.key, TOP_K)
    values = {name: getattr(example.sweep, name) for name in Sweep.model_fields}
    sweep = SweepWithTopK.model_construct(**values, experts_per_token=(3, 4))
    plan = make_plan(example.model_copy(update={"sweep": sweep}))

    assert len(plan.runs) == 2 * len(single.runs)
    assert {run.spec.geometry.top_k for run in plan.runs} == {3, 4}
    assert {run.row()["top_k_asked"] for run in plan.runs} == {3, 4}
    # The half at the scale's own top_k is the sweep without the axis: identities do not move.
    assert {run.run_id for run in single.runs} < {run.run_id for run in plan.runs}
