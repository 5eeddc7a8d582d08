"""The Lightning module of one run: loss, optimizers, balancing, and what is logged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import fields

import torch
from lightning import LightningModule
from torch import Tensor

from engram_sweep.placement import Placement
from engram_sweep.spec import RunSpec, run_id
from engram_sweep.training.assembly import assemble
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.clipping import clip_
from engram_sweep.training.compilation import eagerly
from engram_sweep.training.distributed import any_of, gather, mean_, sum_, world_size
from engram_sweep.training.layout import Layout
from engram_sweep.training.micro_batches import accumulate
from engram_sweep.training.observed import OF_VALIDATION, Observed, Progress
from engram_sweep.training.optimizers import make_optimizers, schedule_factor, set_learning_rates
from engram_sweep.training.run_state import RunState
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
        placement: micro-batches, recomputation, chunks of the loss, where tables lie.
        layout: the processes of the run, if there are several.
        windows: a step's windows (B, T + 1) for this process, so that the next step's look-ups can
            be planned; None if they are not known ahead.

    Raises:
        OSError: the processes of the run see different checkpoints.
    """

    def __init__(
        self,
        spec: RunSpec,
        compression: Tensor,
        report: Callable[[Progress], None],
        checkpoints: Checkpoints | None,
        stop: StopFlag,
        placement: Placement,
        layout: Layout | None = None,
        windows: Callable[[int], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.spec, self.placement = spec, placement
        self.report, self.checkpoints, self.stop = report, checkpoints, stop
        memory = spec.geometry.memory
        self.compression = compression if memory and memory.compress_tokenizer else None
        self.model, self.cuts, self.lookups = assemble(spec, self.compression, placement, layout)
        self.windows = windows if self.lookups.plans_ahead else None
        tables = {id(table) for table in self.model.tables()}
        self.dense = [p for p in self.model.parameters() if id(p) not in tables]
        self.observed = Observed()
        self.every = max(1, spec.training.steps // 100)
        self.saved = checkpoints.newest(run_id(spec)) if checkpoints else None
        if self.saved is not None:
            self.observed = Observed(**self.saved.rest["observed"])
        self.first_step = self.observed.steps

    def configure_model(self) -> None:
        """Nothing: the model is cut when it is built. A strategy for several devices asks."""

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """AdamW or Muon and AdamW, and with tables their own."""
        return make_optimizers(self.model, self.spec.training)

    def on_fit_start(self) -> None:
        """Put back what the checkpoint holds, on the device that the model has moved to by now."""
        self._restore([o.optimizer for o in self._optimizers()])

    def on_validation_start(self) -> None:
        self.stop.own()
        # Resumed after its last step: fit is skipped, so restore here.
        self._restore([])

    def _restore(self, optimizers: list[torch.optim.Optimizer]) -> None:
        if self.saved is None:
            return
        self.saved.restore(RunState(self.model, self.cuts, optimizers))
        torch.set_rng_state(self.saved.rest["generator"])
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
            world_size(),
            self.windows(step + 1) if self.windows and step + 1 < training.steps else None,
        )
        clip_(self.dense, training.clip_norm, self.placement.replicas)
        for optimizer in self._optimizers():
            optimizer.step()
        if step == training.steps - 1:
            # Validation and whoever reads the final weights look at every row.
            for optimizer in optimizers:
                if isinstance(optimizer, TableAdam):
                    optimizer.flush()
        routers = self.model.routers()
        if routers:
            # All counts in one message; they are whole numbers, so the sum is exact.
            counts = sum_(torch.cat([router.load for router in routers]))
            for router, load in zip(routers, counts.split(len(routers[0].load)), strict=True):
                router.load.copy_(load)
        load = [router.rebalance(training.balance_rate) for router in routers]
        self._observe(step, mean_(loss), load)
        self._checkpoint()

    def _optimizers(self) -> list:
        found = self.optimizers()
        return found if isinstance(found, list) else [found]

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
            seen.train_loss = float(torch.stack(seen.late_losses).mean())
        elif seen.steps % self.every:
            return
        # Once in `every` steps only: this waits for the device.
        mean = float(torch.stack(seen.recent).mean())
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
        saves = self.checkpoints
        due = saves is not None and saves.due()
        unfinished = saves is not None and not saves.on_disk()
        stop, due, unfinished = any_of([self.stop.asked, due, unfinished])
        seen = self.observed
        last = seen.steps == self.spec.training.steps
        if saves and (stop or last or not unfinished):
            saves.finish()
        if saves and (stop or last or (due and not saves.under_way())):
            self._tick()
            of_training = {
                f.name: getattr(seen, f.name) for f in fields(seen) if f.name not in OF_VALIDATION
            }
            rest = {
                "run_id": run_id(self.spec),
                "observed": of_training,
                "generator": torch.get_rng_state(),
            }
            optimizers = [o.optimizer for o in self._optimizers()]
            state = RunState(self.model, self.cuts, optimizers)
            saves.save(seen.steps, state, rest, wait=stop or last)
        if stop:
            raise Interrupted(
                f"asked to stop after step {seen.steps} of {self.spec.training.steps}"
            )

    def validation_step(self, batch: tuple[Tensor, bool], step: int) -> None:
        """Add the losses of (b, T + 1) held-out windows to `observed`.

        A forward pass takes all processes of a run, so each has equally many batches; one that has
        run out of its own repeats one, which does not count.

        Raises:
            Interrupted: a process of the run was asked to stop.
        """
        windows, counts = batch
        if any_of([self.stop.asked])[0]:
            raise Interrupted(f"asked to stop in validation, after step {self.observed.steps}")
        inputs, targets = windows[:, :-1], windows[:, 1:]
        with eagerly(self.model.compiled):
            losses = self.model(inputs, self.lookups.look_up(inputs), targets)
        if not counts:
            return
        seen = self.observed
        seen.window_losses += losses.tolist()
        seen.window_tokens += [targets.shape[1]] * len(targets)
        gates = [gate * targets.numel() for gate in self.model.gate_means()]
        seen.gate_sums = (
            [a + b for a, b in zip(seen.gate_sums, gates, strict=True)] if seen.gate_sums else gates
        )

    def on_validation_epoch_end(self) -> None:
        """Put together what the processes saw; each had a contiguous part, in their order."""
        seen = self.observed
        seen.window_losses = gather(seen.window_losses)
        seen.window_tokens = [round(count) for count in gather(seen.window_tokens)]
        if world_size() > 1 and self.model.gate_means():
            # A process without windows of its own has no sums.
            sums = seen.gate_sums or [0.0] * len(self.model.gate_means())
            seen.gate_sums = sum_(torch.tensor(sums, dtype=torch.float64)).tolist()
