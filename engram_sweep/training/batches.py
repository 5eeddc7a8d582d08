"""Windows of one process of a run, as Lightning's loaders ask for them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset

from engram_sweep.corpus.windows import train_batch, validation_windows
from engram_sweep.spec import RunSpec
from engram_sweep.training.layout import Place


class Batches(Dataset):
    """Index from the first step on -> this process's share of the step's batch."""

    def __init__(self, spec: RunSpec, tokens: np.ndarray, place: Place) -> None:
        self.spec, self.tokens = spec, tokens
        self.first = 0
        """Step at index 0."""
        self._last: tuple[int, torch.Tensor] | None = None
        share = spec.training.batch_windows // place.ranks
        self.mine = slice(place.rank * share, (place.rank + 1) * share)

    def __len__(self) -> int:
        return self.spec.training.steps - self.first

    def __getitem__(self, index: int) -> torch.Tensor:
        if index >= len(self):
            raise IndexError(index)
        return self.at(self.first + index)

    def at(self, step: int) -> torch.Tensor:
        """Return the windows (B, T + 1) of a step, counted from the start of the run.

        Whoever asks for the last ones again gets the same tensor: look-ups are planned a step
        ahead, and then the step wants its windows.
        """
        if self._last is None or self._last[0] != step:
            t = self.spec.training
            batch = train_batch(self.tokens, self.spec.seed, step, t.batch_windows, t.window)
            self._last = step, torch.from_numpy(batch[self.mine])
        return self._last[1]


class HeldOut(IterableDataset):
    """Held-out windows of this process, and whether they count.

    Args:
        spec: the run.
        tokens: its held-out text.
        place: this process among those of the run.
        micro_windows: windows of a micro-batch, which fit; 0 if a whole step does, and twice as
            many windows do without a backward pass.
    """

    def __init__(
        self, spec: RunSpec, tokens: np.ndarray, place: Place, micro_windows: int = 0
    ) -> None:
        self.spec, self.tokens, self.place = spec, tokens, place
        self.size = micro_windows or 2 * spec.training.batch_windows

    def __iter__(self) -> Iterator[tuple[torch.Tensor, bool]]:
        t, place = self.spec.training, self.place
        batches = validation_windows(self.tokens, self.size, t.window, place.rank, place.ranks)
        for windows, counts in batches:
            yield torch.from_numpy(windows), counts
