from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from engram_sweep.corpus.shards import Shards
from engram_sweep.planning.plan import Plan
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.observed import Progress
from engram_sweep.training.signals import SIGNALS, Interrupted, StopFlag
from engram_sweep.training.train import train
from tests.training.conftest import spec_of


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_training_owns_its_signals(
    smoke_plan: Plan, shards: Shards, tmp_path: Path, number: signal.Signals
) -> None:
    """A real signal, sent in mid-training, after Lightning has registered its handlers."""
    spec, stop = spec_of(smoke_plan), StopFlag(SIGNALS)
    before = [signal.getsignal(n) for n in SIGNALS]

    def report(progress: Progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), number)

    try:
        stop.own()
        with pytest.raises(Interrupted, match="after step 3 "):
            train(
                spec,
                shards,
                tmp_path / "logs",
                report,
                Checkpoints(tmp_path / "checkpoints", 1e9),
                stop,
            )
    finally:
        for n, handler in zip(SIGNALS, before, strict=True):
            signal.signal(n, handler)
