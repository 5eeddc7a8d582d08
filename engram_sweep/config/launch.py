"""The section of a scale that says where its runs go; no part of any run's identity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from engram_sweep.config.sections import MAX_COUNT, Count
from engram_sweep.config.slurm import Slurm
from engram_sweep.config.strict_yaml import Section

Tries = Annotated[int, Field(ge=0, le=MAX_COUNT)]
MAX_MINUTES = 525_600
"""A year: of far longer times timers make numbers that no clock holds."""


class Retries(Section):
    """How often a run starts again within one sweep, by how its attempt ended."""

    node: Tries = 2
    """The worker vanished, or its disk failed."""
    preempted: Tries = 100
    """Its queue asked it to stop."""
    timed_out: Tries = 100
    """At `launch.timeout_minutes`; never after an attempt that reached no later checkpoint."""
    out_of_memory: Tries = 0
    """It got no memory, of the machine or of the GPU."""
    bug: Tries = 0
    """Its worker raised an exception."""
    bad_data: Tries = 0
    """The corpus or a file of the run is not what it should be."""


def _shard(value: object) -> object:
    named = isinstance(value, str) and value in ("node", "all")
    counted = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not (named or counted):
        # Pydantic would report one problem for each of the two kinds.
        raise PydanticCustomError("shard", "expected node, all or a number of processes")
    return value


class Launch(Section):
    """Where runs go and how fast they are expected to be; not part of any run's identity."""

    executor: Literal["local", "inline", "slurm"] | None = None
    """If left out: slurm if the scale asks for GPUs and there is `sbatch`, else local."""
    parallel: Tries = 0
    """Runs side by side; 0 for one per core (one at a time on GPUs)."""
    timeout_minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES)] = 60
    """Time limit of one attempt; a run that needs longer goes on in the next."""
    retries: Retries = Retries()
    checkpoint_minutes: Annotated[float, Field(gt=0, le=MAX_MINUTES)] = 10.0
    """Time between two checkpoints of a run."""
    keep_weights: Literal["none", "final"] | None = None
    """Whether a finished run's final weights stay in its folder.

    If left out: `final` for small models (`planning.kept_weights.MAX_KEPT_BYTES`), else `none`."""
    corpus_path: str | None = None
    """The folder of token shards if `corpus.source` is `shards`; `--corpus` names another."""
    sustained_gflops: Annotated[float, Field(ge=1e-6, le=1e12)] | None = None
    """Training speed that one CPU worker is expected to sustain, for the plan's cost estimate."""
    gpu: Literal["h100", "h200", "a100"] | None = None
    """The GPU that the cost is estimated for; instead of `sustained_gflops`."""
    gpus: Count = 1
    """GPUs of one run."""
    mfu: Annotated[float, Field(ge=1e-6, le=1)] = 0.22
    """Share of the GPU's dense bf16 peak that training is expected to sustain (docs/scales.md)."""
    shard: Annotated[Literal["node", "all"] | Count, BeforeValidator(_shard)] = "node"
    """Processes of a run that share one copy of the weights: those of a node, all, or a number.

    It divides the processes of a run. N-gram tables lie on all of them whatever it is."""
    micro_windows: Count | None = None
    """Windows that each GPU trains at once, a divisor of its part of a step.

    If left out, as many as fit on paper; all of them without GPUs."""
    recompute: bool | None = None
    """Whether blocks are computed again in the backward pass (activation checkpointing).

    If left out, only if it does not fit otherwise; no without GPUs."""
    loss_chunk: Count | None = None
    """Tokens whose logits exist at once; if left out 2048 on GPUs, and all without."""
    tables: Literal["device", "host"] = "device"
    """Where n-gram tables and their optimizer states lie: on the GPUs, or in their host's memory.

    For tables larger than the GPUs of a run; without GPUs both are the same memory."""
    trackers: Annotated[
        tuple[Literal["tensorboard", "wandb", "trackio"], ...], Field(strict=False)
    ] = ("tensorboard",)
    """Where curves of training go beside each run's CSV log; `engram-sweep logs` opens them.

    `wandb` and `trackio` have to be installed. Both write to this machine only; WANDB_MODE=online
    sends as it trains. A tracker that fails is one line in the run's log."""
    notify: Annotated[str, Field(min_length=1)] | None = None
    """A line for `sh`, run when the sweep ends or breaks off, and at its first failed run.

    The process that runs `sweep` runs it; ENGRAM_SWEEP_EVENT, _SCALE, _REASON and others say what
    happened (docs/watching.md). Its failure is one line and harms nothing."""
    slurm: Slurm = Slurm()
    """What SLURM is asked for; the user's own `cluster.yaml` gives what is left out here."""

    @model_validator(mode="after")
    def _priced(self) -> Launch:
        if (self.sustained_gflops is None) == (self.gpu is None):
            raise ValueError("gpu: expected either this key or sustained_gflops")
        return self
