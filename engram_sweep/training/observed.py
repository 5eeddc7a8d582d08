"""What a run shows of itself: its progress, and what training and validation leave behind."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Progress:
    """Where a run stands; what `status` shows."""

    step: int
    steps: int
    train_loss: float
    """Nats/token, mean since the last report."""
    tokens_per_second: float


@dataclass
class Observed:
    """What training and validation leave behind; the training part travels in checkpoints."""

    steps: int = 0
    curve_steps: list[int] = field(default_factory=list)
    curve_losses: list[float] = field(default_factory=list)
    """Nats/token, mean over the steps since the one before in `curve_steps`."""
    metrics: list[dict[str, float]] = field(default_factory=list)
    """What was logged at `curve_steps`."""
    recent: list[Tensor] = field(default_factory=list)
    """Training losses since the last of `curve_steps`."""
    late_losses: list[Tensor] = field(default_factory=list)
    """Training losses of the last tenth of the steps."""
    train_loss: float = math.nan
    """Mean of `late_losses`, known after the last step."""
    late_load: list[Tensor] = field(default_factory=list)
    """Per router: tokens per expert in the last tenth of the steps."""
    recent_seconds: float = 0.0
    """Time that the steps of `recent` took."""
    training_seconds: float = 0.0
    """Training time of all attempts, up to the checkpoint that the next one went on from."""
    window_losses: list[float] = field(default_factory=list)
    window_tokens: list[int] = field(default_factory=list)
    gate_sums: list[float] = field(default_factory=list)
    """Per Engram module: gate summed over validation tokens."""


OF_VALIDATION = ("window_losses", "window_tokens", "gate_sums")
"""Fields of `Observed` that checkpoints leave out: validation is done again as a whole."""
