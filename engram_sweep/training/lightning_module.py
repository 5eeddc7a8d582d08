"""The Lightning module of one run: loss, optimizers, balancing, and what is logged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import fields

import torch
from lightning import LightningModule
from torch import Tensor

from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.placement import Placement
from engram_sweep.spec import RunSpec, run_id
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.compilation import compile_model, eagerly, is_compiled
from engram_sweep.training.distributed import (
    any_of,
    gather,
    mean_,
    mean_sparse,
    same,
    sum_,
    world_size,
)
from engram_sweep.training.lookups import WholeLookups
from engram_sweep.training.micro_batches import accumulate
from engram_sweep.training.observed import OF_VALIDATION, Observed, Progress
from engram_sweep.training.optimizers import make_optimizers, schedule_factor, set_learning_rates
from engram_sweep.training.signals import Interrupted, StopFlag
from engram_sweep.training.table_adam import TableAdam


class Diverged(Exception):
    """The training loss is no longer finite."""


class RunModule(LightningModule):
    """Trains one spec under a Lightning `Trainer`.

    Optimization is manual, because the tables have their own optimizer and sparse gradients that
    Lightning's clipping does not know. The global gradient norm that is clipped is that of the
    dense parameters: Adam's step does not depend on the scale of a row's gradient.

    Args:
        spec: the run.
        compression: (V,) int64 tokenizer compression map, used if the spec asks for it.
        report: called about a hundred times in a run, and at its last step.
        checkpoints: where to save, and what to go on from; None keeps none.
        stop: looked at between steps.
        placement: micro-batches, recomputation and chunks of the loss.
    """

    def __init__(
        self,
        spec: RunSpec,
        compression: Tensor,
        report: Callable[[Progress], None],
        checkpoints: Checkpoints | None,
        stop: StopFlag,
        placement: Placement,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.spec, self.placement = spec, placement
        self.report, self.checkpoints, self.stop = report, checkpoints, stop
        memory = spec.geometry.memory
        self.compression = compression if memory and memory.compress_tokenizer else None
        self.model = Transformer(spec.geometry, self.compression)
        initialise(self.model, spec.seed)
        if spec.training.balance_loss:
            self.model.measure_balance()
        self.model.recompute = placement.recompute
        self.model.loss_chunk = placement.loss_chunk
        self.compiled = is_compiled(spec.training)
        if self.compiled:
            compile_model(self.model)
        self.lookups = WholeLookups(self.model)
        tables = {id(table) for table in self.model.tables()}
        self.dense = [p for p in self.model.parameters() if id(p) not in tables]
        # DistributedDataParallel cannot reduce sparse gradients over NCCL; `_reduce_tables` does.
        # Buffers are alike on all ranks by computation (the balancing bias) and need no broadcast.
        self._ddp_params_and_buffers_to_ignore = [
            name for name, p in self.named_parameters() if id(p) in tables
        ]
        self._ddp_params_and_buffers_to_ignore += [name for name, _ in self.named_buffers()]
        self.observed = Observed()
        self.every = max(1, spec.training.steps // 100)
        self.saved = checkpoints.newest(run_id(spec)) if checkpoints else None
        if self.saved is not None:
            self.observed = Observed(**self.saved["observed"])
        self.first_step = self.observed.steps

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """AdamW or Muon and AdamW, and with tables their own."""
        return make_optimizers(self.model, self.spec.training)

    def setup(self, stage: str) -> None:
        """See that all ranks go on from the same step.

        Raises:
            OSError: they see different checkpoints.
        """
        if not same(self.first_step, self.device):
            raise OSError(
                "the processes of this run see different checkpoints (here: step "
                f"{self.first_step})"
            )

    def on_fit_start(self) -> None:
        """Put back what the checkpoint holds, on the device that the model has moved to by now."""
        if self.saved is not None:
            for optimizer, state in zip(self._optimizers(), self.saved["optimizers"], strict=True):
                optimizer.optimizer.load_state_dict(state)
        self._restore()

    def on_validation_start(self) -> None:
        self.stop.own()
        # Resumed after its last step: fit is skipped, so restore here.
        self._restore()

    def _restore(self) -> None:
        if self.saved is None:
            return
        self.model.load_state_dict(self.saved["model"])
        torch.set_rng_state(self.saved["generator"])
        self.saved = None  # it is as large as the model
        seen = self.observed
        for name in ("recent", "late_losses", "late_load"):
            setattr(seen, name, [tensor.to(self.device) for tensor in getattr(seen, name)])
        # The logs of an attempt that was killed may be ahead of its checkpoint; they start again
        # from what it holds.
        for step, metrics in zip(seen.curve_steps, seen.metrics, strict=True):
            self._log(step, metrics)

    def on_train_start(self) -> None:
        # Lightning just put its own handlers in place; they would make one rank broadcast alone.
        self.stop.own()
        self.clock = time.monotonic()

    def training_step(self, batch: Tensor, index: int) -> None:
        """One optimizer step on a batch (B, T + 1), or on this rank's share of it.

        Raises:
            Diverged: at the next report after the loss stopped being finite.
            Interrupted: the process was asked to stop; the step is saved.
        """
        training, step = self.spec.training, self.first_step + index
        optimizers = [o.optimizer for o in self._optimizers()]
        set_learning_rates(optimizers, schedule_factor(training, step))
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = accumulate(
            self.model,
            batch,
            self.lookups,
            self.manual_backward,
            self.placement.micro_windows,
            training.balance_loss,
        )
        self._reduce_tables()
        torch.nn.utils.clip_grad_norm_(self.dense, training.clip_norm)
        for optimizer in self._optimizers():
            optimizer.step()
        if step == training.steps - 1:
            # Validation and whoever reads the final weights look at every row.
            for optimizer in optimizers:
                if isinstance(optimizer, TableAdam):
                    optimizer.flush()
        for router in self.model.routers():
            sum_(router.load)
        load = [router.rebalance(training.balance_rate) for router in self.model.routers()]
        self._observe(step, loss, load)
        self._checkpoint()

    def _optimizers(self) -> list:
        found = self.optimizers()
        return found if isinstance(found, list) else [found]

    def _reduce_tables(self) -> None:
        if world_size() > 1:
            for table in self.model.tables():
                if table.grad is not None:
                    table.grad = mean_sparse(table.grad)

    def _observe(self, step: int, loss: Tensor, load: list[Tensor]) -> None:
        seen, steps = self.observed, self.spec.training.steps
        seen.steps = step + 1
        seen.recent.append(loss)
        # The last tenth stands for the end of training: one step's loss and load are too noisy.
        if step >= steps - max(1, steps // 10):
            seen.late_losses.append(loss)
            seen.late_load = (
                [a + b for a, b in zip(seen.late_load, load, strict=True)]
                if seen.late_load
                else load
            )
        if seen.steps == steps:
            seen.train_loss = float(mean_(torch.stack(seen.late_losses).mean()))
        elif seen.steps % self.every:
            return
        # Once in `every` steps only: this waits for the device and for the other ranks.
        mean = float(mean_(torch.stack(seen.recent).mean()))
        self._tick()
        tokens = len(seen.recent) * self.spec.training.batch_windows * self.spec.training.window
        speed = tokens / seen.recent_seconds
        seen.recent, seen.recent_seconds = [], 0.0
        if self.trainer.is_global_zero:
            self.report(Progress(seen.steps, steps, mean, speed))
        metrics = {"train_loss": mean, "tokens_per_second": speed}
        metrics["learning_rate_factor"] = schedule_factor(self.spec.training, step)
        for i, counts in enumerate(load):
            metrics[f"load_max_over_mean/{i}"] = float(counts.max() / counts.float().mean())
            metrics[f"experts_without_tokens/{i}"] = float((counts == 0).sum())
        for i, gate in enumerate(self.model.gate_means()):
            metrics[f"gate_mean/{i}"] = gate
        # Kept in the checkpoint too, so that a resumed run has one unbroken curve.
        seen.curve_steps.append(seen.steps)
        seen.curve_losses.append(mean)
        seen.metrics.append(metrics)
        self._log(seen.steps, metrics)
        self.log("train_loss", mean, prog_bar=True, logger=False)
        if not math.isfinite(mean):
            raise Diverged(f"training loss is {mean} at step {seen.steps}")

    def _tick(self) -> None:
        """Book the time since the last tick."""
        now = time.monotonic()
        self.observed.recent_seconds += now - self.clock
        self.observed.training_seconds += now - self.clock
        self.clock = now

    def _log(self, step: int, metrics: dict[str, float]) -> None:
        for logger in self.loggers:
            logger.log_metrics(metrics, step=step)

    def _checkpoint(self) -> None:
        """Save when it is due, after the last step, and if any rank was asked to stop; then stop.

        The last step is saved because validation may be cut short too.
        """
        due = self.checkpoints is not None and self.checkpoints.due()
        stop, due = any_of([self.stop.asked, due], self.device)
        seen = self.observed
        last = seen.steps == self.spec.training.steps
        if self.checkpoints and self.trainer.is_global_zero and (stop or due or last):
            self._tick()
            of_training = {
                f.name: getattr(seen, f.name) for f in fields(seen) if f.name not in OF_VALIDATION
            }
            state = {
                "run_id": run_id(self.spec),
                "model": self.model.state_dict(),
                "optimizers": [o.optimizer.state_dict() for o in self._optimizers()],
                "observed": of_training,
                "generator": torch.get_rng_state(),
            }
            self.checkpoints.save(seen.steps, state)
        if stop:
            raise Interrupted(
                f"asked to stop after step {seen.steps} of {self.spec.training.steps}"
            )

    def validation_step(self, batch: Tensor, step: int) -> None:
        """Add the losses of (b, T + 1) held-out windows to `observed`.

        Raises:
            Interrupted: the process was asked to stop. Of several ranks none stops here: they have
                different numbers of batches, so there is no step to agree at.
        """
        if self.stop.asked and world_size() == 1:
            raise Interrupted(f"asked to stop in validation, after step {self.observed.steps}")
        seen = self.observed
        targets = batch[:, 1:]
        looked_up = self.lookups.look_up(batch[:, :-1])
        with eagerly(self.compiled):
            seen.window_losses += self.model(batch[:, :-1], looked_up, targets).tolist()
        seen.window_tokens += [targets.shape[1]] * len(targets)
        gates = [gate * targets.numel() for gate in self.model.gate_means()]
        seen.gate_sums = (
            [a + b for a, b in zip(seen.gate_sums, gates, strict=True)] if seen.gate_sums else gates
        )

    def on_validation_epoch_end(self) -> None:
        """Put together what the ranks saw; each had a contiguous part, in their order."""
        seen = self.observed
        seen.window_losses = gather(seen.window_losses, self.device)
        seen.window_tokens = [round(count) for count in gather(seen.window_tokens, self.device)]
        if world_size() > 1 and seen.gate_sums:
            seen.gate_sums = sum_(
                torch.tensor(seen.gate_sums, dtype=torch.float64, device=self.device)
            ).tolist()
