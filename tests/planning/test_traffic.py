from __future__ import annotations

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.placement import Placement
from engram_sweep.planning.gpus import GPUS, SUSTAINED
from engram_sweep.planning.plan import PlannedRun, make_plan
from engram_sweep.planning.traffic import Traffic, collective, step_traffic
from tests.examples import scale


def run_at(rho: float, **changes) -> PlannedRun:
    runs = make_plan(scale(training__batch_windows=32, **changes)).runs
    return min(runs, key=lambda run: abs(run.allocation.rho_asked - rho))


@pytest.mark.parametrize(
    ("processes", "in_node", "nvlink", "network"),
    [
        (1, 8, 0, 0),
        (8, 8, 7 / 8, 0),
        # A part of each of 16 GPUs; what lies in the other node comes in through 8 adapters.
        (16, 8, 15 / 16, 1 / 2 / 8),
        (4, 1, 0, 3 / 4),
    ],
)
def test_a_collective_by_hand(processes: int, in_node: int, nvlink: float, network: float) -> None:
    found = collective(1000.0, processes, in_node)
    assert found.nvlink == pytest.approx(1000 * nvlink)
    assert found.network == pytest.approx(1000 * network)


def test_links_take_their_bytes_over_what_they_sustain() -> None:
    gpu = GPUS["h100"]
    found = Traffic(nvlink=450e9, network=100e9, host=0).seconds(gpu)
    assert found == pytest.approx({"nvlink": 1 / SUSTAINED, "network": 2 / SUSTAINED, "host": 0})
    assert Traffic(1, 2, 3) + Traffic(1, 1, 1).times(2) == Traffic(3, 4, 5)


def test_one_process_moves_nothing_but_rows_of_the_host() -> None:
    run = run_at(0.6)
    assert step_traffic(run, Placement(), Shape()).total == Traffic()
    assert step_traffic(run, Placement(tables="host"), Shape()).total.host > 0


def test_blocks_by_hand() -> None:
    """fp32: each block twice gathered and its gradient once, seven eighths of it from others."""
    run = run_at(1)
    # Parts of equal size travel: 9 experts over 8 GPUs are as many bytes as 16.
    padded = {
        e.name: 8 * -(-e.shape[0] // 8) * (e.count // e.shape[0])
        for e in run.allocation.ledger.entries
        if e.shape
    }
    params = sum(padded.values())
    root = sum(count for name, count in padded.items() if not name.startswith("blocks"))
    found = step_traffic(run, Placement(shards=8), Shape(1, 8, 8))
    assert found.micro_batches == 1
    assert found.per_micro_batch.nvlink == pytest.approx(7 / 8 * 4 * (3 * params - root))
    assert found.gradients == found.rows == Traffic()


def test_micro_batches_move_blocks_again_and_nothing_else() -> None:
    run = run_at(0.6)
    whole, parts = (
        step_traffic(run, Placement(2, 8, micro_windows=size), Shape(2, 8, 8)) for size in (0, 1)
    )
    assert (whole.micro_batches, parts.micro_batches) == (1, 2)
    assert whole.per_micro_batch == parts.per_micro_batch
    assert (whole.gradients, whole.rows) == (parts.gradients, parts.rows)
    extra = parts.total.nvlink - whole.total.nvlink
    assert extra == pytest.approx(whole.per_micro_batch.nvlink)


def test_copies_of_the_weights_add_their_gradients_over_the_network() -> None:
    run = run_at(1)
    params = sum(e.count for e in run.allocation.ledger.entries)
    found = step_traffic(run, Placement(4, 8), Shape(4, 8, 8))
    # An all-reduce of the eighth that a GPU owns, over four nodes.
    assert found.gradients.network == pytest.approx(2 * 3 / 4 * 4 * params / 8, rel=0.01)
    assert found.gradients.nvlink == 0


def test_only_muon_puts_matrices_together() -> None:
    adam, muon = (
        step_traffic(run_at(1, training__optimizer=name), Placement(shards=8), Shape(1, 8, 8))
        for name in ("adamw", "muon")
    )
    assert adam.matrices == Traffic()
    assert 0 < muon.matrices.nvlink < muon.per_micro_batch.nvlink
    assert adam.per_micro_batch == muon.per_micro_batch


def test_rows_go_to_all_gpus_whatever_the_shards() -> None:
    run = run_at(0.6)
    node, everywhere = (
        step_traffic(run, placement, Shape(4, 8, 8)).rows
        for placement in (Placement(4, 8), Placement(1, 32))
    )
    assert node == everywhere
    assert node.network == pytest.approx(node.nvlink * 24 / 7)
