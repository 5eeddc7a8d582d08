"""A scale: one commented YAML file in `sweeps/` with what a sweep holds fixed and what it varies.

Adding an experiment is adding a file; everything else is derived from it (see
`engram_sweep.planning.plan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from engram_sweep.config.changes import read_changes, with_changes
from engram_sweep.config.sections import Corpus, Count, Memory, Model, Positive, Share, Training
from engram_sweep.config.slurm import Slurm
from engram_sweep.config.strict_yaml import Section, first_problem, read_mapping
from engram_sweep.corpus.sources import SHARDS
from engram_sweep.errors import UserError, did_you_mean


class Arms(Section):
    """Control arms beside the curve; each trains every seed."""

    over_encoding: Annotated[tuple[Share, ...], Field(strict=False)] = ()
    """At these rho: narrow hashed tables, projected and averaged with the token's embedding."""
    one_row: bool = False
    """The Engram modules with one row per head and all experts: the compute without the memory."""
    dense: bool = False
    """The same activated parameters, nothing sparse."""


Iso = Literal["strict", "paper"]
"""What is held along rho: P_tot, P_act and FLOPs, or P_tot only, as in the paper."""


def _as_list(value: object) -> object:
    """Return a name by itself as a list of one, so that `iso: paper` needs no brackets."""
    return [value] if isinstance(value, str) else value


Rhos = Annotated[tuple[Share, ...], Field(strict=False)]
Seed = Annotated[int, Field(ge=0)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1, strict=False)]
AnchorSeeds = Annotated[tuple[Seed, ...], Field(strict=False)]


class Full(Section):
    """What `--full` puts in place of the same keys: the table to publish after the quick look."""

    rho: Rhos | None = None
    """In place of `sweep.rho`."""
    seeds: Seeds | None = None
    """In place of `sweep.seeds`."""
    anchor_seeds: AnchorSeeds | None = None
    """In place of `sweep.anchor_seeds`."""
    arms: Arms | None = None
    """In place of `sweep.arms`."""


class Sweep(Section):
    """What varies; a sweep is the product of its axes."""

    iso: Annotated[
        tuple[Iso, ...],
        BeforeValidator(_as_list, json_schema_input_type=Iso | tuple[Iso, ...]),
        Field(min_length=1, strict=False),
    ] = ("strict",)
    """How points are compared; both modes give two curves that share their runs at rho = 1.

    `strict` takes what the Engram module activates out of the shared expert; `paper` changes routed
    experts and table rows only (paper section 3.1)."""
    rho: Rhos
    """Shares of P_sparse in routed experts; empty only if `arms.dense` is all that trains."""
    seeds: Seeds
    """Of initial values and of the order of the text; every point trains all of them."""
    anchor_seeds: AnchorSeeds = ()
    """Further seeds that train rho = 1 only, e.g. [2, 3, 4] beside seeds [0, 1].

    Pure MoE may scatter several times as much as hybrids, and every gain is measured from it."""
    total_over_active: Annotated[
        tuple[Annotated[float, Field(gt=1)], ...], Field(strict=False)
    ] = ()
    """P_tot / P_act at rho = 1; sets the number of experts in place of `model.routed_experts`."""
    tokens_per_active: Annotated[tuple[Positive, ...], Field(strict=False)] = ()
    """Training tokens per activated parameter (P_act of rho = 1), in place of `training.tokens`."""
    budgets: Annotated[tuple[Positive, ...], Field(strict=False)] = ()
    """Training compute C in FLOPs, in place of `training.tokens`.

    The tokens are C / (6 P_act of rho = 1), paper section 3.1."""
    rows_per_head: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(strict=False)] = ()
    """Table sizes in place of what the experts give up; P_tot is then not held (paper section 3.2).

    Rows of every Engram head; over-encoding gets as many parameters. One rho stands beside them. 0
    is the backbone without a memory and stands beside rho = 1 only."""
    arms: Arms = Arms()
    full: Full | None = None

    @model_validator(mode="after")
    def _possible(self) -> Sweep:
        for key in (
            "iso",
            "rho",
            "seeds",
            "anchor_seeds",
            "total_over_active",
            "tokens_per_active",
            "budgets",
            "rows_per_head",
        ):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key}: expected distinct values, got {list(values)}")
        if not self.rho and not self.arms.dense:
            raise ValueError("rho: expected at least one value (or arms.dense), got none")
        if len(self.iso) > 1 and 1 not in self.rho:
            raise ValueError(
                "iso: expected rho = 1 in sweep.rho beside two modes, their curves meet there, got "
                f"{list(self.rho)}"
            )
        if self.anchor_seeds and 1 not in self.rho:
            raise ValueError(
                f"anchor_seeds: expected rho = 1 among sweep.rho, got rho {list(self.rho)}"
            )
        if 1 in self.arms.over_encoding and not self.rows_per_head:
            raise ValueError(
                "arms.over_encoding: expected rho below 1, where experts give up parameters, got 1"
            )
        if self.rows_per_head:
            self._check_table_sizes()
        if self.full is not None:
            self.in_full()
        return self

    def _check_table_sizes(self) -> None:
        """Check what stands beside `rows_per_head`: one backbone, and an arm for every size.

        Raises:
            ValueError: something else does.
        """
        rho, others = list(self.rho), list(self.arms.over_encoding)
        if 0 in self.rows_per_head and set(rho) != {1}:
            raise ValueError(
                f"rows_per_head: expected 0 (no memory) beside rho = 1 only, got rho {rho}"
            )
        if len(rho) != 1:
            raise ValueError(
                f"rows_per_head: expected one rho beside it, whose model gets the tables, got {rho}"
            )
        if others and others != rho:
            raise ValueError(
                f"arms.over_encoding: expected {rho} beside rows_per_head, the rho that Engram "
                f"has, got {others}"
            )
        if others and not any(self.rows_per_head):
            raise ValueError("rows_per_head: expected a size above 0 for arms.over_encoding, got 0")

    def in_full(self) -> Sweep:
        """Return the sweep with the keys of `full` in place of its own.

        Raises:
            ValueError: they do not fit together.
        """
        given = {key: getattr(self.full, key, None) for key in Full.model_fields}
        own = {key: getattr(self, key) for key in type(self).model_fields if key != "full"}
        return Sweep(**own | {key: value for key, value in given.items() if value is not None})


class Budget(Section):
    """What the plan is checked against: printed numbers, and what may be spent."""

    params_total: Positive | None = None
    """P_tot of the largest model."""
    params_active: Positive | None = None
    """P_act at rho = 1."""
    slack: Share = 0.01
    """Largest relative miss of the two."""
    vocabulary_matrices: Annotated[int, Field(ge=0, le=2)] = 0
    """How many of embedding and LM head `params_total` counts; `params_active` counts none."""
    max_gpu_hours: Positive | None = None
    """A sweep that takes more is not launched, unless `--max-gpu-hours` raises it."""


Tries = Annotated[int, Field(ge=0)]


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


class Launch(Section):
    """Where runs go and how fast they are expected to be; not part of any run's identity."""

    executor: Literal["local", "inline", "slurm"] | None = None
    """If left out: slurm if the scale asks for GPUs and there is `sbatch`, else local."""
    parallel: Annotated[int, Field(ge=0)] = 0
    """Runs side by side; 0 for one per core (one at a time on GPUs)."""
    timeout_minutes: Count = 60
    """Time limit of one attempt; a run that needs longer goes on in the next."""
    retries: Retries = Retries()
    checkpoint_minutes: Positive = 10.0
    """Time between two checkpoints of a run."""
    keep_weights: Literal["none", "final"] | None = None
    """Whether a finished run's final weights stay in its folder.

    If left out: `final` for small models (`planning.kept_weights.MAX_KEPT_BYTES`), else `none`."""
    corpus_path: str | None = None
    """The folder of token shards if `corpus.source` is `shards`; `--corpus` names another."""
    sustained_gflops: Positive | None = None
    """Training speed that one CPU worker is expected to sustain, for the plan's cost estimate."""
    gpu: Literal["h100", "h200", "a100"] | None = None
    """The GPU that the cost is estimated for; instead of `sustained_gflops`."""
    gpus: Count = 1
    """GPUs of one run."""
    mfu: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Share of the GPU's dense bf16 peak that training is expected to sustain."""
    slurm: Slurm = Slurm()
    """What SLURM is asked for; the user's own `cluster.yaml` gives what is left out here."""

    @model_validator(mode="after")
    def _priced(self) -> Launch:
        if (self.sustained_gflops is None) == (self.gpu is None):
            raise ValueError("gpu: expected either this key or sustained_gflops")
        return self


class Results(Section):
    """Who may look at what a sweep writes; not part of any run's identity."""

    group_readable: bool = False
    """Whether the group may read run folders; without it they are the user's alone."""


class Scale(Section):
    """One file of `sweeps/`."""

    name: str
    """The file's name without `.yaml`."""
    changes: Annotated[tuple[str, ...], Field(exclude=True)] = ()
    """What `--set` put in place of the file's values (`config.changes`)."""
    about: str
    """What this sweep is, in one line, for plans and reports."""
    corpus: Corpus
    model: Model
    memory: Memory
    training: Training
    sweep: Sweep
    launch: Launch
    budget: Budget = Budget()
    results: Results = Results()

    @model_validator(mode="after")
    def _agrees(self) -> Scale:
        lengths = (
            self.training.tokens is not None,
            bool(self.sweep.tokens_per_active),
            bool(self.sweep.budgets),
        )
        if sum(lengths) != 1:
            raise ValueError(
                "training.tokens: expected this key, sweep.tokens_per_active or sweep.budgets, "
                "one of them"
            )
        if self.sweep.total_over_active and self.budget.params_total:
            raise ValueError(
                "budget.params_total: expected no such key where sweep.total_over_active varies it"
            )
        if self.training.batch_windows % self.launch.gpus:
            raise ValueError(
                "launch.gpus: expected a divisor of training.batch_windows "
                f"({self.training.batch_windows}), got {self.launch.gpus}"
            )
        if self.launch.corpus_path is not None and self.corpus.source != SHARDS:
            raise ValueError(
                f"launch.corpus_path: expected no such key where corpus.source is "
                f"{self.corpus.source}"
            )
        if self.budget.max_gpu_hours and not self.launch.gpu:
            raise ValueError("budget.max_gpu_hours: expected launch.gpu beside it")
        for layer in self.memory.layers:
            if layer >= self.model.n_layers:
                raise ValueError(
                    f"memory.layers: expected blocks 0..{self.model.n_layers - 1}, got {layer}"
                )
        return self

    def in_full(self) -> Scale:
        """Return the scale whose sweep is the full one; itself if `sweep.full` is left out."""
        return (
            self
            if self.sweep.full is None
            else self.model_copy(update={"sweep": self.sweep.in_full()})
        )


def scale_names(folder: Path) -> list[str]:
    """Names of the scales in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_scale(name: str, folder: Path = Path("sweeps"), changes: Sequence[str] = ()) -> Scale:
    """Read `<folder>/<name>.yaml`.

    Args:
        name: the file's name without `.yaml`.
        folder: where it lies.
        changes: `section.key=value`, in place of the file's values.

    Raises:
        UserError: no such scale (lists those there are), unreadable YAML, or a key that is unknown,
            missing, of the wrong type or impossible: one line with the file, the key and what was
            expected.
    """
    path, names = folder / f"{name}.yaml", scale_names(folder)
    # The name is a folder of results too: a path in it would lead out of there.
    if name not in names:
        there = ", ".join(names) or f"none in {folder}/"
        raise UserError(f"no scale named {name!r}{did_you_mean(name, names)}; there are: {there}")
    made = read_changes(changes)
    data = with_changes(_sections(path), made)
    source = " ".join([str(path), *(f"with --set {change}" for change in made)])
    for key in HIDDEN:
        if key in data:
            raise UserError(f"{source}: {key}: expected no such key, files name scales")
    try:
        return Scale.model_validate({**data, "name": name, "changes": made})
    except ValidationError as error:
        raise UserError(f"{source}: {first_problem(error, Scale, hidden=HIDDEN)}") from None


HIDDEN = ("name", "changes")
"""Fields of a scale that its file does not hold."""


def _sections(path: Path) -> dict[str, Any]:
    data = read_mapping(path)
    if not data:
        raise UserError(
            f"{path}: expected a mapping of sections (corpus, model, memory, training, sweep, "
            "launch)"
        )
    return data
