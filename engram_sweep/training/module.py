"""The Lightning module of one run: loss, two optimizers, balancing, and what is logged beside the loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from lightning import LightningModule
from torch import Tensor

from engram_sweep.model.initial import initialise
from engram_sweep.model.transformer import Transformer, window_losses
from engram_sweep.spec import RunSpec
from engram_sweep.training.optimizers import make_optimizers, schedule_factor, set_learning_rates


class Diverged(Exception):
    """The training loss is no longer finite."""


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
    """What training and validation leave behind."""

    steps: int = 0
    late_losses: list[Tensor] = field(default_factory=list)
    """Training losses of the last tenth of the steps."""
    late_load: list[Tensor] = field(default_factory=list)
    """Per router: tokens per expert in the last tenth of the steps."""
    window_losses: list[float] = field(default_factory=list)
    window_tokens: list[int] = field(default_factory=list)
    gate_sums: list[float] = field(default_factory=list)
    """Per Engram module: gate summed over validation tokens."""
    training_seconds: float = 0.0


class RunModule(LightningModule):
    """Trains one spec under a Lightning `Trainer`.

    Optimization is manual, because the tables have their own optimizer and sparse gradients that Lightning's clipping
    does not know. The global gradient norm that is clipped is that of the dense parameters: Adam's step does not
    depend on the scale of a row's gradient.

    Args:
        spec: the run.
        compression: (V,) int64 tokenizer compression map, used if the spec asks for it.
        report: called about a hundred times in a run, and at its last step.
    """

    def __init__(self, spec: RunSpec, compression: Tensor, report: Callable[[Progress], None]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.spec = spec
        self.report = report
        memory = spec.geometry.memory
        self.model = Transformer(spec.geometry, compression if memory and memory.compress_tokenizer else None)
        initialise(self.model, spec.seed)
        if spec.training.balance_loss:
            self.model.measure_balance()
        if spec.training.compile:
            self.model.compile()
        tables = {id(table) for table in self.model.tables()}
        self.dense = [p for p in self.model.parameters() if id(p) not in tables]
        self.observed = Observed()
        self.every = max(1, spec.training.steps // 100)
        self.recent: list[Tensor] = []
        self.clock = 0.0

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """AdamW or Muon and AdamW, and with tables sparse Adam."""
        return make_optimizers(self.model, self.spec.training)

    def on_train_start(self) -> None:
        self.clock = self.started = time.monotonic()

    def training_step(self, batch: Tensor, step: int) -> None:
        """One optimizer step on a batch (B, T + 1).

        Raises:
            Diverged: at the next report after the loss stopped being finite.
        """
        training = self.spec.training
        optimizers = [o.optimizer for o in self._optimizers()]
        set_learning_rates(optimizers, schedule_factor(training, step))
        loss = window_losses(self.model(batch[:, :-1]), batch[:, 1:]).mean()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        self.manual_backward(loss + training.balance_loss * self.model.balance_loss())
        torch.nn.utils.clip_grad_norm_(self.dense, training.clip_norm)
        for optimizer in self._optimizers():
            optimizer.step()
        load = [router.rebalance(training.balance_rate) for router in self.model.routers()]
        self._observe(step, loss.detach(), load)

    def _optimizers(self) -> list:
        found = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _observe(self, step: int, loss: Tensor, load: list[Tensor]) -> None:
        seen, steps = self.observed, self.spec.training.steps
        seen.steps = step + 1
        self.recent.append(loss)
        if step >= steps - max(1, steps // 10):
            seen.late_losses.append(loss)
            seen.late_load = [a + b for a, b in zip(seen.late_load, load, strict=True)] if seen.late_load else load
        if seen.steps % self.every and seen.steps != steps:
            return
        mean = float(torch.stack(self.recent).mean())
        now = time.monotonic()
        seconds, self.clock = now - self.clock, now
        seen.training_seconds = now - self.started
        tokens = len(self.recent) * self.spec.training.batch_windows * self.spec.training.window
        self.recent.clear()
        self.report(Progress(seen.steps, steps, mean, tokens / seconds))
        metrics = {"train_loss": mean, "tokens_per_second": tokens / seconds}
        metrics["learning_rate_factor"] = schedule_factor(self.spec.training, step)
        for i, counts in enumerate(load):
            metrics[f"load_max_over_mean/{i}"] = float(counts.max() / counts.float().mean())
            metrics[f"experts_without_tokens/{i}"] = float((counts == 0).sum())
        for i, gate in enumerate(self.model.gate_means()):
            metrics[f"gate_mean/{i}"] = gate
        for logger in self.loggers:
            logger.log_metrics(metrics, step=seen.steps)
        self.log("train_loss", mean, prog_bar=True, logger=False)
        if not math.isfinite(mean):
            raise Diverged(f"training loss is {mean} at step {seen.steps}")

    def validation_step(self, batch: Tensor, step: int) -> None:
        """Add the losses of (b, T + 1) held-out windows to `observed`."""
        seen = self.observed
        targets = batch[:, 1:]
        seen.window_losses += window_losses(self.model(batch[:, :-1]), targets).tolist()
        seen.window_tokens += [targets.shape[1]] * len(targets)
        gates = [gate * targets.numel() for gate in self.model.gate_means()]
        seen.gate_sums = [a + b for a, b in zip(seen.gate_sums, gates, strict=True)] if seen.gate_sums else gates
