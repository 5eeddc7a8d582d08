from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.config.scale import Scale, scale_names
from engram_sweep.config.slurm import Shape
from engram_sweep.placement import Placement
from engram_sweep.planning.arms import is_variant
from engram_sweep.planning.placement import place, shape_of
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.rehearsal.twin import mesh_of_twin, write_twin
from tests.examples import SWEEPS, load, scale

GPU_SCALES = [name for name in scale_names(SWEEPS) if load(name).launch.gpu]


@pytest.mark.parametrize(
    ("mesh", "small"),
    [((4, 8), (2, 2)), ((1, 8), (1, 4)), ((8, 1), (4, 1)), ((1, 1), (1, 1)), ((2, 2), (2, 2))],
)
def test_a_twin_s_mesh_has_copies_and_cuts_where_the_sweep_s_has(
    mesh: tuple[int, int], small: tuple[int, int]
) -> None:
    assert mesh_of_twin(Placement(*mesh)) == small


def twin_of(whole: Scale, folder: Path) -> tuple[Plan, Plan, Placement]:
    plan = make_plan(whole)
    placement = place(plan, shape_of(whole))
    assert placement is not None
    return plan, write_twin(whole, placement, folder), placement


@pytest.mark.parametrize("name", GPU_SCALES)
def test_a_twin_is_the_sweep_but_for_its_widths(name: str, tmp_path: Path) -> None:
    plan, twin, placement = twin_of(load(name), tmp_path)
    by_arm = {run.spec.arm: run for run in plan.runs}
    # A sweep over table sizes also trains its backbone, whose twin would have no memory; variants
    # of the module have none of their own.
    aside = {arm for arm in by_arm if is_variant(arm)}
    aside |= {"moe"} if plan.scale.sweep.rows_per_head else set()
    assert set(by_arm) - aside <= {run.spec.arm for run in twin.runs} <= set(by_arm)
    for run in twin.runs:
        small, large = run.spec.geometry, by_arm[run.spec.arm].spec.geometry
        for key in ("n_layers", "streams", "top_k", "dense_layers"):
            assert getattr(small, key) == getattr(large, key), key
        assert (small.mla is None) == (large.mla is None)
        assert (small.memory is None) == (large.memory is None)
        if small.memory and large.memory:
            assert (small.memory.layers, small.memory.heads) == (
                large.memory.layers,
                large.memory.heads,
            )
        ours, theirs = run.spec.training, plan.runs[0].spec.training
        for key in ("optimizer", "table_optimizer", "schedule", "precision", "clip_norm"):
            assert getattr(ours, key) == getattr(theirs, key), key
    widest = max(twin.runs, key=lambda run: run.allocation.ledger.params_total)
    assert widest.allocation.ledger.params_total < 2e7
    launch = twin.scale.launch
    assert launch.recompute == placement.recompute
    assert launch.slurm.nodes == (2 if placement.processes > 1 else 1)
    trained = place(twin, Shape(1, mesh_of_twin(placement)[0] * mesh_of_twin(placement)[1]))
    assert trained is not None
    assert (trained.replicas, trained.shards) == mesh_of_twin(placement)
    # Several micro-batches, whose chunks of the loss are uneven.
    assert twin.scale.training.batch_windows // trained.processes == 2 * trained.micro_windows


def test_experts_along_rho_are_those_of_the_sweep(tmp_path: Path) -> None:
    plan, twin, _ = twin_of(load("10B"), tmp_path)
    large = {run.spec.geometry.routed_experts for run in plan.runs}
    assert {run.spec.geometry.routed_experts for run in twin.runs} <= large


def test_attention_without_a_latent_has_a_twin_too(tmp_path: Path) -> None:
    whole = scale(launch={"gpu": "h100", "gpus": 2}, sweep__arms={"over_encoding": [0.6]})
    _, twin, _ = twin_of(whole, tmp_path)
    geometry = twin.runs[0].spec.geometry
    assert geometry.mla is None
    assert geometry.n_kv_heads < geometry.n_heads
    assert "over_encoding" in {run.spec.arm for run in twin.runs}
