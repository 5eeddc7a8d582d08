"""A sweep for the hours that somebody has: the widest models whose whole sweep fits into them.

Everything but the width follows from the width (own_geometry.py) and from what is asked: tokens are
the paper's hundred per activated parameter, or what the text has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engram_sweep.config.commented_yaml import Reasoned, commented, plain
from engram_sweep.config.scale import Scale
from engram_sweep.errors import UserError
from engram_sweep.planning.allocation import allocate
from engram_sweep.planning.anchor import experts_for, with_experts
from engram_sweep.planning.axes import FLOPS_PER_ACTIVE
from engram_sweep.planning.cost import GPUS, cost, price_of
from engram_sweep.planning.own_geometry import (
    FAMILY_WIDTH,
    RHO_STEPS,
    SPARSITY,
    WIDTHS,
    Compute,
    memory_section,
    model_section,
    shared_experts,
    training_section,
)
from engram_sweep.planning.own_machine import (
    RHO,
    SUSTAINED_GFLOPS,
    Machine,
    Text,
    launch_section,
    mfu_of,
    sweep_section,
)
from engram_sweep.planning.plan import Plan, make_plan

TOKENS_PER_ACTIVE = 100.0
"""The paper's sweeps: 100.7e9 tokens for 993M activated parameters (section 3.1)."""
MIN_TOKENS_PER_ACTIVE = 20.0
"""Dense models that are best for their compute have this (arXiv 2203.15556): less is short."""
MAX_TOKENS_PER_ACTIVE = 200.0
"""Hours that no wider model can use go into longer runs up to this."""
MAX_EPOCHS = 4.0
"""Readings of one text that are almost as good as new text (arXiv 2305.16264)."""
SAFETY = 0.98
"""Share of the hours that is planned: whole steps and integer solutions round upwards."""
FLOAT32 = 4
"""Bytes of a weight in training."""
SHARED_EXPERTS = (1, 2, 3, 4, 6)
"""Widths of the shared expert, over the usual one, until Engram's compute fits into it."""


@dataclass(frozen=True)
class OwnSize:
    """A sweep that fits: the text of its file, its plan and what decided its size."""

    text: str
    plan: Plan
    estimate: dict[str, Any]
    """`cost` of the plan."""
    limits: tuple[str, ...]
    """What kept the models from being wider or longer, in words."""

    @property
    def hours(self) -> float:
        """Hours of one device that the whole sweep takes."""
        return self.estimate.get("gpu_hours", self.estimate.get("worker_hours", 0.0))


def solve(
    machine: Machine, text: Text, name: str, seeds: Sequence[int], anchor_seeds: Sequence[int] = ()
) -> OwnSize:
    """Return the widest sweep that fits into hours, text and memory.

    Args:
        machine: where it trains.
        text: what it trains on.
        name: what the scale will be called.
        seeds: seeds of every point.
        anchor_seeds: further seeds of rho = 1.

    Raises:
        UserError: not even the smallest sweep fits; says what it takes.
    """
    found = None
    for shared in SHARED_EXPERTS:
        search = _Search(machine, text, name, tuple(seeds), tuple(anchor_seeds), shared)
        try:
            found = search.widest()
        except _NoSolution:
            # Engram's compute does not fit into so narrow a shared expert.
            continue
        break
    if found is None:
        raise UserError("init: no width has an integer solution with these seeds and this text")
    return found


class _NoSolution(Exception):
    """The planner finds no integers at some rho."""


@dataclass(frozen=True)
class _Candidate:
    """One width, before the planner has looked at its points along rho."""

    d_model: int
    experts: int
    params_total: int
    params_active: int
    tokens: int
    hours: float


@dataclass(frozen=True)
class _Search:
    machine: Machine
    text: Text
    name: str
    seeds: tuple[int, ...]
    anchor_seeds: tuple[int, ...]
    shared: int

    @property
    def runs(self) -> int:
        return len(RHO) * len(self.seeds) + len(self.anchor_seeds)

    @property
    def gpus_per_run(self) -> int:
        """One, unless there are more GPUs than runs; a power of two, as batches are."""
        if self.machine.gpu is None:
            return 1
        spare = max(1, self.machine.devices // self.runs)
        return 2 ** (spare.bit_length() - 1)

    def widest(self) -> OwnSize:
        """Return the widest sweep that fits.

        Raises:
            UserError: not even the narrowest does.
            _NoSolution: the planner finds no integers.
        """
        widths = [d for d in WIDTHS if self.machine.gpu is None or d >= FAMILY_WIDTH]
        chosen, limits = None, ("it is the widest that init tries",)
        for d_model in widths:
            candidate = self._candidate(d_model)
            if problem := self._problem(candidate):
                limits = (problem,)
                break
            chosen = candidate
        if chosen is None:
            raise UserError(f"init: {limits[0]}")
        # Memory is that of the whole model, which only the plan knows to the byte; and only the
        # plan knows the whole steps, which are long if many GPUs share a run.
        for d_model in reversed([d for d in widths if d <= chosen.d_model]):
            candidate = self._lengthened(self._candidate(d_model))
            made = None if self._far_too_large(candidate) else self._made(candidate, limits)
            if made is None or not made.estimate.get("fits", True):
                limits = (f"at d_model {d_model} a run does not fit into the memory of one GPU",)
            elif made.hours > self.machine.hours:
                limits = (self._too_long(d_model, made.hours),)
            else:
                return made
        raise UserError(f"init: {limits[0]}")

    def _far_too_large(self, candidate: _Candidate) -> bool:
        """Return whether the weights alone fill the GPUs: such a plan takes seconds to price."""
        if self.machine.gpu is None:
            return False
        memory = GPUS[self.machine.gpu].memory_bytes * self.gpus_per_run
        return FLOAT32 * candidate.params_total > memory

    def _candidate(self, d_model: int) -> _Candidate:
        """Size a width by its model at rho = 1: along rho FLOPs are held."""
        scale = self._scale(d_model, RHO_STEPS, Compute(1, 1.0))
        try:
            experts = experts_for(scale, SPARSITY)
        except UserError:
            raise _NoSolution from None
        top_k = scale.model.top_k
        experts = top_k + RHO_STEPS * max(1, round((experts - top_k) / RHO_STEPS))
        anchor = allocate(with_experts(scale, experts), 1.0, "moe").ledger
        tokens = round(TOKENS_PER_ACTIVE * anchor.params_active)
        if self.text.tokens is not None:
            tokens = min(tokens, round(MAX_EPOCHS * self.text.tokens))
        hours = self.runs * anchor.flops_per_token * tokens / self._flops_per_hour(d_model)
        total, active = anchor.params_total, anchor.params_active
        return _Candidate(d_model, experts, total, active, tokens, hours)

    def _problem(self, candidate: _Candidate) -> str | None:
        """Return why a width is too wide, None if it is not."""
        d_model, hours = candidate.d_model, SAFETY * self.machine.hours
        per_active = candidate.tokens / candidate.params_active
        if per_active < MIN_TOKENS_PER_ACTIVE:
            return (
                f"at d_model {d_model} {MAX_EPOCHS:g} readings of the text are {per_active:.0f} "
                f"tokens per activated parameter, fewer than {MIN_TOKENS_PER_ACTIVE:g}"
            )
        if candidate.hours > hours:
            return self._too_long(d_model, candidate.hours)
        return None

    def _too_long(self, d_model: int, hours: float) -> str:
        return (
            f"at d_model {d_model} the {self.runs} runs take {_hours(hours)} hours, "
            f"of {self.machine.hours:g}"
        )

    def _lengthened(self, candidate: _Candidate) -> _Candidate:
        """Spend the hours that are left on longer runs, as far as that is of use."""
        longer = SAFETY * self.machine.hours / candidate.hours
        tokens = min(candidate.tokens * longer, MAX_TOKENS_PER_ACTIVE * candidate.params_active)
        if self.text.tokens is not None:
            tokens = min(tokens, MAX_EPOCHS * self.text.tokens)
        # Two digits, downwards: a number that a person can write down.
        unit = 10 ** max(0, len(str(int(tokens))) - 2)
        return replace(candidate, tokens=int(tokens) // unit * unit)

    def _made(self, candidate: _Candidate, limits: tuple[str, ...]) -> OwnSize:
        tokens, active = candidate.tokens, candidate.params_active
        compute = Compute(tokens, FLOPS_PER_ACTIVE * active * tokens)
        about = (
            f"{_count(candidate.params_total)} parameters of which {_count(active)} are active, "
            f"{tokens / active:.0f} tokens per active parameter"
        )
        scale = self._scale(candidate.d_model, candidate.experts, compute, about)
        try:
            plan = make_plan(scale)
        except UserError:
            raise _NoSolution from None
        head = [
            "yaml-language-server: $schema=schema.json",
            f"Written by engram-sweep init for {self.machine}; it is yours to change.",
            "docs/keys.md says what every key means; engram-sweep keys WORD looks one up.",
        ]
        sections = self._sections(candidate.d_model, candidate.experts, compute)
        estimate = cost(plan, price_of(scale.launch))
        return OwnSize(commented(head, about, sections), plan, estimate, limits)

    def _flops_per_hour(self, d_model: int) -> float:
        speed = SUSTAINED_GFLOPS * 1e9
        if self.machine.gpu is not None:
            speed = GPUS[self.machine.gpu].peak_flops * mfu_of(d_model)
        return 3600 * speed

    def _sections(
        self, d_model: int, experts: int, compute: Compute
    ) -> dict[str, dict[str, Reasoned]]:
        gpus, on_gpu = self.gpus_per_run, self.machine.gpu is not None
        sections = {
            "corpus": self.text.corpus,
            "model": model_section(d_model, self.shared * shared_experts(d_model), experts),
            "memory": memory_section(d_model),
            "training": training_section(d_model, compute, gpus, on_gpu),
            "sweep": sweep_section(self.seeds, self.anchor_seeds),
            "launch": launch_section(self.machine, gpus, d_model, self.text.path),
        }
        if on_gpu:
            sections["budget"] = {"max_gpu_hours": (self.machine.hours, "a launch checks it")}
        return sections

    def _scale(self, d_model: int, experts: int, compute: Compute, about: str = "") -> Scale:
        values = plain(self._sections(d_model, experts, compute))
        return Scale.model_validate({"name": self.name, "about": about, **values})


def _count(number: int) -> str:
    for unit, word in ((1e9, "B"), (1e6, "M")):
        if number >= unit:
            return f"{number / unit:.3g}{word}"
    return f"{number:,}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
