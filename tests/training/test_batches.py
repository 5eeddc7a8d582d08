from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.windows import train_batch
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import Plan
from engram_sweep.training import batches as module
from engram_sweep.training.batches import Batches, HeldOut
from engram_sweep.training.layout import Place
from engram_sweep.training.train import train
from tests.training.conftest import short_spec

TOKENS = np.arange(5000, dtype=np.uint16)


def test_processes_share_the_windows_of_a_step(smoke_plan: Plan) -> None:
    spec = short_spec(smoke_plan, 1.0)
    t = spec.training
    dealt = [Batches(spec, TOKENS, Place(1, 4, rank)) for rank in range(4)]
    for batches in dealt:
        batches.first = 3
    whole = train_batch(TOKENS, spec.seed, 5, t.batch_windows, t.window)
    assert torch.equal(torch.cat([batches[2] for batches in dealt]), torch.from_numpy(whole))
    assert all(torch.equal(batches[2], batches.at(5)) for batches in dealt)
    assert len(dealt[0]) == t.steps - 3
    with pytest.raises(IndexError):
        dealt[0][t.steps - 3]


@pytest.mark.parametrize("tables", ["device", "host"])
def test_a_run_gathers_the_windows_of_a_step_once(
    smoke_plan: Plan,
    shards: Shards,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tables: Literal["device", "host"],
) -> None:
    """Also if look-ups are planned a step ahead, as with tables in host memory."""
    steps: list[int] = []

    def counted(tokens: np.ndarray, seed: int, step: int, *sizes: int) -> np.ndarray:
        steps.append(step)
        return train_batch(tokens, seed, step, *sizes)

    monkeypatch.setattr(module, "train_batch", counted)
    spec = short_spec(smoke_plan, 0.5)
    train(spec, shards, tmp_path, placement=Placement(tables=tables))
    assert steps == list(range(spec.training.steps))


def test_held_out_windows_say_whether_they_count(smoke_plan: Plan) -> None:
    spec = short_spec(smoke_plan, 1.0)
    dealt = [list(HeldOut(spec, TOKENS, Place(1, 2, rank))) for rank in range(2)]
    assert len(dealt[0]) == len(dealt[1])
    counted = [windows for each in dealt for windows, counts in each if counts]
    targets = torch.cat([windows[:, 1:].flatten() for windows in counted])
    assert targets.tolist() == list(range(1, 5000))


def test_held_out_windows_come_in_batches_that_fit(smoke_plan: Plan) -> None:
    """A step that is trained in micro-batches does not fit at once without them either."""
    spec = short_spec(smoke_plan, 1.0)
    sizes = [len(windows) for windows, _ in HeldOut(spec, TOKENS, Place(), micro_windows=3)]
    assert max(sizes) == 3
    assert sum(sizes) == -(-4999 // spec.training.window)
    whole = [len(windows) for windows, _ in HeldOut(spec, TOKENS, Place())]
    assert max(whole) == 2 * spec.training.batch_windows
