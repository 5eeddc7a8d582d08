"""A finished run, opened: its record, model, spec and text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from engram_sweep.corpus.shards import Shards, unchanged
from engram_sweep.corpus.windows import validation_windows
from engram_sweep.errors import UserError
from engram_sweep.model.transformer import Transformer
from engram_sweep.runs.record_cache import read_record
from engram_sweep.runs.records import FILE_NAME
from engram_sweep.runs.work_order import read_work_order
from engram_sweep.spec import RunSpec
from engram_sweep.training.weights import load_trained

MAX_LOSS_GAP = 5e-3
"""Nats/token by which a validation loss measured here may differ from the record's.

Weights, text and model are the run's own; what is left is rounding: of another machine, or of bf16
training, which is read in float32 here."""


@dataclass(frozen=True)
class Trained:
    """One finished run that kept its weights."""

    folder: Path
    spec: RunSpec
    model: Transformer
    """On the CPU, in evaluation mode."""
    shards: Shards
    """The text that it was trained on."""
    validation_loss: float
    """Of its record, nats/token; NaN if it diverged."""

    def held_out(self, every: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the held-out windows in order: inputs and targets, (b, T) int64 each.

        Args:
            every: 3 takes the windows 0, 3, 6 and so on.
        """
        training, number = self.spec.training, 0
        batches = validation_windows(
            self.shards.validation, 2 * training.batch_windows, training.window
        )
        for windows, _ in batches:
            chosen = windows[-number % every :: every]
            number += len(windows)
            if len(chosen):
                tokens = torch.from_numpy(chosen)
                yield tokens[:, :-1], tokens[:, 1:]

    def check_loss(self, loss: float) -> None:
        """Refuse a held-out loss that is not the record's: something is not the run's own.

        Args:
            loss: mean over all held-out tokens, nats/token.

        Raises:
            UserError: it differs by more than `MAX_LOSS_GAP`, or is NaN.
        """
        # Put this way round because no comparison holds for a NaN.
        if not abs(loss - self.validation_loss) <= MAX_LOSS_GAP:
            raise UserError(
                f"{self.folder}: expected the validation loss of its record, "
                f"{self.validation_loss:.4f}, its weights and text give {loss:.4f}"
            )


def open_run(folder: Path) -> Trained:
    """Open the folder of a finished run.

    Raises:
        UserError: it is none, has no weights or those of another run, or its text has changed.
    """
    record = read_record(folder / FILE_NAME, ["validation_loss"])
    if record is None:
        raise UserError(f"{folder}: expected the folder of a finished run, there is no record")
    model, spec = load_trained(folder)
    try:
        order = read_work_order(folder)
    except ValueError as error:
        raise UserError(str(error)) from None
    shards = _shards(order.shards, order.corpus_fingerprint, order.corpus_stamp)
    return Trained(folder, spec, model, shards, float(record["validation_loss"][0].as_py()))


@lru_cache(maxsize=2)
def _shards(folder: str, fingerprint: str, stamped: str) -> Shards:
    """Open the shards of a run, once for all runs of a sweep; files with other times are digested.

    Raises:
        UserError: they cannot be opened or are others than the run was trained on.
    """
    return unchanged(Path(folder), fingerprint, stamped)
