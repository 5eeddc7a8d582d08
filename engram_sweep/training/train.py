"""`train(spec, ...)`: one Lightning run from spec to numbers. It knows nothing of sweeps, and writes only logs."""

from __future__ import annotations

import logging
import math
import platform
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch.utils.data import DataLoader, Dataset, IterableDataset

from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.windows import train_batch, validation_windows
from engram_sweep.spec import RunSpec
from engram_sweep.training.module import Diverged, Progress, RunModule


@dataclass(frozen=True)
class RunResult:
    """What one run measured; the fields are columns of its record."""

    outcome: str
    """`ok`, or `diverged` where a loss was not finite: a result too, with validation_loss NaN."""
    validation_loss: float
    window_losses: list[float]
    window_tokens: list[int]
    train_loss: float
    steps: int
    tokens: int
    expert_load: list[list[float]]
    dead_experts: int
    gate_mean: list[float]
    tokens_per_second: float
    device: str


class _Batches(Dataset):
    """Step -> batch."""

    def __init__(self, spec: RunSpec, tokens: np.ndarray) -> None:
        self.spec, self.tokens = spec, tokens

    def __len__(self) -> int:
        return self.spec.training.steps

    def __getitem__(self, step: int) -> torch.Tensor:
        t = self.spec.training
        if step >= t.steps:
            raise IndexError(step)
        return torch.from_numpy(train_batch(self.tokens, self.spec.seed, step, t.batch_windows, t.window))


class _HeldOut(IterableDataset):
    def __init__(self, spec: RunSpec, tokens: np.ndarray) -> None:
        self.spec, self.tokens = spec, tokens

    def __iter__(self):
        t = self.spec.training
        return map(torch.from_numpy, validation_windows(self.tokens, 2 * t.batch_windows, t.window))


def train(
    spec: RunSpec,
    shards: Shards,
    logs: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    progress_bar: bool = False,
) -> RunResult:
    """Train one run and validate it on the whole held-out set.

    Args:
        spec: the run.
        shards: its tokens.
        logs: folder for the CSV and TensorBoard logs.
        report: told of progress about a hundred times.
        progress_bar: show Lightning's.

    Returns:
        Its result; a diverged run is one.

    Raises:
        ValueError: the shards do not fit the spec.
    """
    if spec.geometry.vocab_size != len(shards.compression):
        raise ValueError(
            f"expected a vocabulary of {spec.geometry.vocab_size}, the shards have {len(shards.compression)}"
        )
    _quieten()
    module = RunModule(spec, torch.from_numpy(shards.compression), report)
    loggers: list[Logger] = [CSVLogger(logs, name="", version="csv"), TensorBoardLogger(logs, name="", version="tb")]
    trainer = Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=1,
        precision="bf16-mixed" if spec.training.precision == "bf16" else "32-true",
        max_epochs=1,
        logger=loggers,
        default_root_dir=logs,
        enable_checkpointing=False,
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=module.every,
        use_distributed_sampler=False,
    )
    batches = DataLoader(_Batches(spec, shards.train), batch_size=None)
    held_out = DataLoader(_HeldOut(spec, shards.validation), batch_size=None)
    # One epoch, so Lightning validates once, after the last step. A diverged run's result is that it diverged.
    with suppress(Diverged):
        trainer.fit(module, batches, held_out)
    return _result(module)


def _result(module: RunModule) -> RunResult:
    seen, t = module.observed, module.spec.training
    weights = np.array(seen.window_tokens, float)
    # An empty or non-finite set of validation losses gives NaN, and NaN means diverged.
    loss = float(np.dot(weights, seen.window_losses) / weights.sum()) if len(weights) else math.nan
    loss = loss if math.isfinite(loss) else math.nan
    tokens = seen.steps * t.batch_windows * t.window
    return RunResult(
        outcome="diverged" if math.isnan(loss) else "ok",
        validation_loss=loss,
        window_losses=seen.window_losses,
        window_tokens=seen.window_tokens,
        train_loss=float(torch.stack(seen.late_losses).mean()) if seen.late_losses else math.nan,
        steps=seen.steps,
        tokens=tokens,
        expert_load=[(load / load.sum()).tolist() for load in seen.late_load],
        dead_experts=sum(int((load == 0).sum()) for load in seen.late_load),
        gate_mean=[total / weights.sum() for total in seen.gate_sums],
        tokens_per_second=tokens / seen.training_seconds if seen.training_seconds else math.nan,
        device=torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine(),
    )


def _quieten() -> None:
    """Silence what says nothing about a run: batches are memory maps, and torch warns of Lightning's own calls."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (".*does not have many workers.*", ".*isinstance.treespec, LeafSpec.*", ".*no length.*"):
        warnings.filterwarnings("ignore", message)
