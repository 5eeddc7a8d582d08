"""`train(spec, ...)`: one Lightning run from spec to numbers.

It knows nothing of sweeps, and writes only logs and, if asked to, the final weights.
"""

from __future__ import annotations

import logging
import math
import platform
import shutil
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import ModelParallelStrategy
from torch.utils.data import DataLoader

from engram_sweep.corpus.shards import Shards
from engram_sweep.placement import Placement
from engram_sweep.spec import RunSpec
from engram_sweep.training.batches import Batches, HeldOut
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.distributed import all_well
from engram_sweep.training.layout import BACKEND, TIMEOUT, Place, join, leave
from engram_sweep.training.lightning_module import Diverged, RunModule
from engram_sweep.training.observed import Progress
from engram_sweep.training.run_state import RunState
from engram_sweep.training.signals import Interrupted, StopFlag
from engram_sweep.training.trackers import OLD, Tracking, trackers
from engram_sweep.training.weights import FILE_NAME, save_weights


@dataclass(frozen=True)
class RunResult:
    """What one run measured; the fields are columns of its record."""

    outcome: str
    """`ok`, or `diverged` if a loss was not finite: a result too, with validation_loss NaN."""
    validation_loss: float
    window_losses: list[float]
    window_tokens: list[int]
    train_loss: float
    curve_steps: list[int]
    curve_losses: list[float]
    steps: int
    tokens: int
    expert_load: list[list[float]]
    dead_experts: int
    gate_mean: list[float]
    tokens_per_second: float
    device: str
    """The accelerator, or the processor and its vector instructions, e.g. "AMD EPYC, AVX512"."""


def train(
    spec: RunSpec,
    shards: Shards,
    logs: Path,
    report: Callable[[Progress], None] = lambda progress: None,
    checkpoints: Checkpoints | None = None,
    stop: StopFlag | None = None,
    place: Place | None = None,
    progress_bar: bool = False,
    keep_weights: Path | None = None,
    placement: Placement | None = None,
    tracking: Tracking | None = None,
) -> RunResult:
    """Train one run and validate it on the whole held-out set.

    Args:
        spec: the run.
        shards: its tokens.
        logs: folder for the CSV log and those of trackers; an earlier attempt's are replaced.
        report: called with the progress about a hundred times.
        checkpoints: where to save, and what to go on from; the result is the same, bit for bit on
            the CPU.
        stop: looked at between steps.
        place: this process among those of the run; alone if left out.
        progress_bar: show Lightning's.
        keep_weights: folder for the final weights; None keeps none. Those of a diverged run are
            nobody's.
        placement: how the run lies on its processes; cut over all of them if left out.
        tracking: where curves go beside the CSV log; to TensorBoard's if left out.

    Returns:
        Its result; a diverged run is one. Every rank has it.

    Raises:
        ValueError: the shards do not fit the spec, or the placement does not.
        Interrupted: `stop` was asked; what was done is saved.
        OSError: logs or weights cannot be written, or the ranks see different checkpoints.
    """
    if spec.geometry.vocab_size != len(shards.compression):
        raise ValueError(
            f"expected a vocabulary of {spec.geometry.vocab_size}, the shards have "
            f"{len(shards.compression)}"
        )
    place = place or Place()
    placement = placement or Placement(shards=place.ranks)
    _check(placement, place, spec)
    _quieten()
    layout = join(place, placement) if place.ranks > 1 else None
    batches = Batches(spec, shards.train, place)
    module = RunModule(
        spec,
        torch.from_numpy(shards.compression),
        report,
        checkpoints,
        stop or StopFlag(),
        placement,
        layout,
        batches.at,
    )
    if place.rank == 0:
        for old in OLD:
            shutil.rmtree(logs / old, ignore_errors=True)
    tracked = trackers(tracking or Tracking(), logs, spec)
    trainer = Trainer(
        accelerator="gpu" if torch.cuda.is_available() else "cpu",
        devices=place.devices,
        num_nodes=place.nodes,
        strategy=_strategy(place) if layout is not None else "auto",
        plugins=[place.environment()],
        precision="bf16-mixed" if spec.training.precision == "bf16" else "32-true",
        max_epochs=1,
        logger=[CSVLogger(logs, name="", version="csv"), *tracked],
        default_root_dir=logs,
        enable_checkpointing=False,
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=module.every,
        use_distributed_sampler=False,
    )
    held_out = DataLoader(
        HeldOut(spec, shards.validation, place, placement.micro_windows), batch_size=None
    )
    try:
        if module.first_step == spec.training.steps:
            trainer.validate(module, held_out, verbose=False)
        else:
            batches.first = module.first_step
            _fit(trainer, module, DataLoader(batches, batch_size=None), held_out)
    except Interrupted:
        # Processes stop together, so they part as after the last step.
        _part(module)
        raise
    result = _result(module)
    if keep_weights is not None and result.outcome == "ok":
        tensors = RunState(module.model, module.cuts).gathered()
        with all_well(FILE_NAME):
            if place.rank == 0:
                save_weights(keep_weights / FILE_NAME, tensors, spec, module.compression)
    _part(module)
    return result


def _check(placement: Placement, place: Place, spec: RunSpec) -> None:
    """See that a run can lie so.

    Raises:
        ValueError: it cannot.
    """
    if placement.processes != place.ranks:
        raise ValueError(
            f"placement: expected {place.ranks} processes, got {placement.replicas} replicas x "
            f"{placement.shards} shards"
        )
    share, rest = divmod(spec.training.batch_windows, place.ranks)
    if rest:
        raise ValueError(
            f"placement: expected processes that divide the {spec.training.batch_windows} windows "
            f"of a step, got {place.ranks}"
        )
    if placement.micro_windows and share % placement.micro_windows:
        raise ValueError(
            f"placement: micro_windows: expected a divisor of the {share} windows of a process, "
            f"got {placement.micro_windows}"
        )


def _strategy(place: Place) -> ModelParallelStrategy:
    """Return Lightning's strategy for models that are cut; the cutting is done in `sharding`."""
    return ModelParallelStrategy(
        data_parallel_size=place.ranks,
        tensor_parallel_size=1,
        process_group_backend=BACKEND if torch.cuda.is_available() else "gloo",
        timeout=TIMEOUT,
    )


def _fit(trainer: Trainer, module: RunModule, batches: DataLoader, held_out: DataLoader) -> None:
    """Train the steps that are left, then validate."""
    # One epoch, so Lightning validates once, after the last step. A diverged run's result is that
    # it diverged.
    with suppress(Diverged):
        trainer.fit(module, batches, held_out)


def _part(module: RunModule) -> None:
    """Leave the other processes of the run, if there are any."""
    module.lookups.close()
    if module.checkpoints is not None:
        module.checkpoints.finish()
    leave()


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
        train_loss=seen.train_loss,
        curve_steps=seen.curve_steps,
        curve_losses=seen.curve_losses,
        steps=seen.steps,
        tokens=tokens,
        expert_load=[(load / load.sum()).tolist() for load in seen.late_load],
        dead_experts=sum(int((load == 0).sum()) for load in seen.late_load),
        gate_mean=[total / weights.sum() for total in seen.gate_sums],
        tokens_per_second=tokens / seen.training_seconds if seen.training_seconds else math.nan,
        device=device_name(module.model.compiled),
    )


def device_name(compiled: bool) -> str:
    """Return what a run's bits depend on beside its spec: runs are bit-equal on one kind only.

    Vector instructions choose torch's kernels, and wider ones add numbers in another order; so do
    compiled blocks.
    """
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else processor_name()
    return f"{name}, compiled" if compiled else name


def processor_name() -> str:
    """Return the processor and the vector instructions that torch uses of it."""
    return f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _quieten() -> None:
    """Silence what means nothing for a run: batches are memory maps, Lightning's calls its own."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*isinstance.treespec, LeafSpec.*",
        ".*no length.*",
        ".*srun.*not used.*",
    ):
        warnings.filterwarnings("ignore", message)
