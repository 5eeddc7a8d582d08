"""Arms: one object each, and the recipe of docs/architecture.md for a new one."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from analysis.runs.table import check_table
from engram_sweep.config.sweep import Arms
from engram_sweep.planning.arms import (
    ARMS,
    ENGRAM,
    MOE,
    Arm,
    arm_of,
    asked_rhos,
    control_arms,
    curve_arms,
    is_variant,
    variant_arm,
)
from engram_sweep.planning.plan import make_plan
from engram_sweep.spec import EngramGeometry, Geometry
from tests.examples import scale


def halved_memory(base: Geometry, experts: int, memory: EngramGeometry) -> Geometry:
    """The hybrid with its modules in the first half of their layers only."""
    layers = memory.layers[: len(memory.layers) // 2]
    kept = replace(memory, layers=layers, rows=memory.rows[: len(layers)])
    return replace(base, routed_experts=experts, memory=kept)


HALVED = Arm(key="halved", label="half the layers", shape=halved_memory, splits_budget=True)


class ArmsWithHalved(Arms):
    halved: tuple[float, ...] = ()


def test_every_control_arm_has_its_yaml_key_and_every_key_its_arm():
    assert {arm.key for arm in control_arms()} == set(Arms.model_fields)
    assert curve_arms() == ("moe", "engram")
    assert all(key == arm.key for key, arm in ARMS.items())


def test_what_a_scale_asks_of_an_arm():
    asked = Arms(over_encoding=(0.5, 0.25), one_row=True)
    rhos = {arm.key: asked_rhos(asked, arm) for arm in control_arms()}
    assert rhos == {"over_encoding": (0.5, 0.25), "one_row": (1.0,), "dense": ()}


def test_a_variant_is_an_arm_beside_the_curve():
    arm = variant_arm("no_gate")
    assert (arm.key, arm.label, arm.on_curve) == ("engram/no_gate", "no gate", False)
    assert arm.shape is ENGRAM.shape
    assert arm.splits_budget
    assert arm_of(arm.key) == arm
    assert arm_of("moe") is MOE
    assert [is_variant(key) for key in (arm.key, "engram/", "engram", *ARMS)] == [
        True, *[False] * (2 + len(ARMS))
    ]  # fmt: skip
    with pytest.raises(KeyError):
        arm_of("engrams/x")


def test_a_new_control_arm_is_one_object_and_one_yaml_key(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ARMS, HALVED.key, HALVED)
    example = scale()
    sweep = example.sweep.model_copy(update={"arms": ArmsWithHalved(halved=(0.6, 0.4))})
    plan = make_plan(example.model_copy(update={"sweep": sweep}))

    runs = [run for run in plan.runs if run.spec.arm == "halved"]
    assert len(runs) == 2 * len(example.sweep.seeds)
    for run in runs:
        memory = run.spec.geometry.memory
        assert memory is not None
        assert memory.layers == (1,)
        # Its budget is held like the curve's: planning needed to know nothing else of it.
        assert (
            abs(run.allocation.ledger.params_total / run.allocation.anchor.params_total - 1) < 1e-4
        )

    table = pd.DataFrame(
        [{**run.row(), "validation_loss": 2.0 + run.spec.rho} for run in plan.runs]
    )
    assert set(check_table(table, "plan").arms["arm"]) == {"halved"}
