"""A scale: one commented YAML file in `sweeps/` with what a sweep holds fixed and what it varies.

Adding an experiment is adding a file; everything else is derived from it (see
`engram_sweep.planning.plan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from engram_sweep.config.changes import read_changes, with_changes
from engram_sweep.config.launch import Launch
from engram_sweep.config.sections import Corpus, Memory, Model, Positive, Share, Training
from engram_sweep.config.strict_yaml import Section, first_problem, read_mapping
from engram_sweep.config.sweep import Sweep
from engram_sweep.config.variants import check_variants, varied
from engram_sweep.corpus.sources import SHARDS
from engram_sweep.errors import UserError, did_you_mean


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
        shard, gpus = self.launch.shard, self.launch.gpus
        if self.launch.gpu and isinstance(shard, int) and gpus % shard:
            raise ValueError(
                f"launch.shard: expected node, all or a divisor of launch.gpus ({gpus}), got "
                f"{shard}"
            )
        if self.launch.corpus_path is not None and self.corpus.source != SHARDS:
            raise ValueError(
                f"launch.corpus_path: expected no such key where corpus.source is "
                f"{self.corpus.source}"
            )
        if self.budget.max_gpu_hours and not self.launch.gpu:
            raise ValueError("budget.max_gpu_hours: expected launch.gpu beside it")
        self._check_memory(self.memory, "")
        try:
            check_variants(self.memory, self.sweep.variants)
        except ValueError as error:
            raise ValueError(f"sweep.{error}") from None
        for name, changes in self.sweep.variants.items():
            self._check_memory(varied(self.memory, name, changes), f"sweep.variants.{name}.")
        return self

    def _check_memory(self, memory: Memory, at: str) -> None:
        """Check what a memory needs of the model.

        Raises:
            ValueError: the model has no such block, or no streams to fuse.
        """
        for layer in memory.layers:
            if layer >= self.model.n_layers:
                raise ValueError(
                    f"{at}memory.layers: expected blocks 0..{self.model.n_layers - 1}, got {layer}"
                )
        if memory.fusion == "single" and self.model.streams == 1:
            raise ValueError(
                f"{at}memory.fusion: expected branches where model.streams is 1, got single"
            )

    def with_variant(self, name: str) -> Scale:
        """Return the scale with the memory of one of its variants, and no variants."""
        memory = varied(self.memory, name, self.sweep.variants[name])
        sweep = self.sweep.model_copy(update={"variants": {}})
        return self.model_copy(update={"memory": memory, "sweep": sweep})

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
