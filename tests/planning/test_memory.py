from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_sweep.config.scale import scale_names
from engram_sweep.placement import Placement
from engram_sweep.planning.memory import (
    by_block,
    components,
    host_bytes,
    largest_part,
    memory_bytes,
    micro_windows,
    rows_per_process,
    table_bytes,
    windows_of_process,
)
from engram_sweep.planning.plan import PlannedRun, make_plan
from tests.examples import SWEEPS, load, scale


def run_at(rho: float, **changes) -> PlannedRun:
    runs = make_plan(scale(**changes)).runs
    return min(runs, key=lambda run: abs(run.allocation.rho_asked - rho))


def test_states_by_hand_on_one_process() -> None:
    run = run_at(0.6)
    entries = run.allocation.ledger.entries
    params = sum(e.count for e in entries if e.part != "table")
    table = sum(e.count for e in entries if e.part == "table")
    rows = sum(e.shape[0] for e in entries if e.part == "table")
    found = memory_bytes(run, Placement())
    assert (found.weights, found.gradients, found.optimizer) == (4 * params, 4 * params, 8 * params)
    # Values, two moments, and the last step that a row knows of.
    assert found.tables == 12 * table + 4 * rows
    assert found.states == found.weights + found.gradients + found.optimizer + found.tables
    assert found.total > found.states
    # Nothing is gathered: what products take in float32 are the weights themselves.
    assert found.gathered == 0


@given(replicas=st.sampled_from([1, 2, 4]), shards=st.sampled_from([1, 2, 4, 8]))
def test_states_fall_as_one_over_the_shards_and_tables_over_all(replicas: int, shards: int) -> None:
    run = run_at(0.6, training__batch_windows=32)
    alone, found = memory_bytes(run, Placement()), memory_bytes(run, Placement(replicas, shards))
    entries = [e for e in run.allocation.ledger.entries if e.shape]
    # One row of every tensor, at most, comes on top of the even part.
    uneven = 4 * sum(e.count // e.shape[0] for e in entries if e.part != "table")
    assert alone.weights <= shards * found.weights <= alone.weights + shards * uneven
    assert alone.tables / (replicas * shards) == pytest.approx(found.tables, rel=0.01)


def test_what_is_cut_is_cut_by_rows_and_the_first_part_is_the_largest() -> None:
    entry = next(e for e in run_at(0.6).allocation.ledger.entries if e.part == "routed")
    experts = entry.shape[0]
    for parts in (1, 2, 3, 7, experts, 10 * experts):
        rows = -(-experts // parts)
        assert largest_part(entry, parts) == rows * entry.count // experts


def test_micro_batches_and_recomputation_save_activations() -> None:
    run = run_at(0.6)
    whole = memory_bytes(run, Placement())
    half = memory_bytes(run, Placement(micro_windows=4))
    again = memory_bytes(run, Placement(recompute=True))
    assert half.states == again.states == whole.states
    assert half.activations < 0.6 * whole.activations
    assert again.total < whole.total
    assert micro_windows(run, Placement()) == windows_of_process(run, Placement()) == 8
    assert windows_of_process(run, Placement(2, 2)) == 2


def test_logits_exist_a_chunk_at_a_time() -> None:
    """With a vocabulary that outweighs all else, as in the paper's models."""
    run = next(r for r in make_plan(load("small")).runs if r.spec.rho == 1)
    whole, chunk = (memory_bytes(run, Placement(1, 1, 4, True, size)) for size in (0, 2048))
    assert whole.logits == 2 * chunk.logits
    assert whole.total - chunk.total == chunk.logits
    assert memory_bytes(run, Placement(1, 1, 4, True, 10**6)) == whole


def test_tables_of_the_host_cost_the_gpu_nothing() -> None:
    run = run_at(0.6)
    placement = Placement(shards=2, tables="host")
    assert memory_bytes(run, placement).tables == 0
    assert host_bytes(run, placement) == table_bytes(run, 2)
    assert memory_bytes(run, Placement(shards=2)).tables == table_bytes(run, 2)
    assert host_bytes(run, Placement(shards=2)) == 0


def test_rows_of_a_step_are_those_of_all_micro_batches() -> None:
    run = run_at(0.6)
    memory = run.spec.geometry.memory
    assert memory is not None
    rows = 8 * 64 * memory.lookups * len(memory.layers)
    assert rows_per_process(run, Placement()) == rows
    assert rows_per_process(run, Placement(shards=4, micro_windows=1)) == rows // 4
    assert memory_bytes(run_at(1), Placement()).rows == 0


def test_blocks_hold_all_that_is_no_table_and_lies_not_outside() -> None:
    run = run_at(0.6)
    entries = run.allocation.ledger.entries
    root, blocks = by_block(run.allocation.ledger, run.spec.geometry.n_layers)
    assert root == sum(e.count for e in entries if not e.name.startswith("blocks"))
    routed, dense = (sum(getattr(b, key) for b in blocks) for key in ("routed", "dense"))
    assert routed == sum(e.count for e in entries if e.part == "routed")
    assert root + routed + dense == sum(e.count for e in entries if e.part != "table")
    # The blocks with an Engram have more than their neighbours.
    assert blocks[1].dense > blocks[0].dense == blocks[3].dense


def test_the_fullest_moment_is_no_sum_of_all_parts() -> None:
    """Logits are gone when blocks compute, and a block's activations when the loss does."""
    run = make_plan(load("10B")).runs[0]
    found = memory_bytes(run, Placement(4, 8, 5, True, 2048))
    assert found.logits == 0 or found.block_gradient < found.logits
    smaller = memory_bytes(run, Placement(4, 8, 3, True, 2048))
    assert smaller.total < found.total


def test_a_table_s_gradient_is_no_larger_than_what_a_step_touches() -> None:
    run = run_at(0, training__batch_windows=4, training__window=8)
    row = next(row for row in components(run, Placement()) if row["part"] == "table")
    assert row["gradient_bytes"] == 4 * 32 * row["activated"] < row["weight_bytes"]


@pytest.mark.parametrize("name", scale_names(SWEEPS))
def test_components_sum_to_the_ledger(name: str) -> None:
    run = make_plan(load(name)).runs[-1]
    rows, book = components(run, Placement(shards=8)), run.allocation.ledger
    assert sum(r["params"] for r in rows if r["in_budget"]) == book.params_total
    assert sum(r["activated"] for r in rows if r["in_budget"]) == book.params_active
    assert sum(r["flops_forward"] + r["flops_backward"] for r in rows) == book.flops_per_token
    assert sum(r["tensors"] for r in rows) == sum(bool(e.shape) for e in book.entries)
    assert len({r["component"] for r in rows}) == len(rows) < 60
