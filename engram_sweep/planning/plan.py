"""Scale -> plan: every run resolved, with its identity. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from engram_sweep.config.scale import Scale
from engram_sweep.errors import UserError
from engram_sweep.planning.allocation import Allocation, allocate
from engram_sweep.planning.arms import ARMS, asked_rhos, control_arms
from engram_sweep.planning.axes import AxisValues, variants
from engram_sweep.planning.ledger import Ledger
from engram_sweep.spec import SPEC_SCHEMA, CorpusSpec, RunSpec, TrainingSpec, plain_data, run_id


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: what to train and how it was asked for."""

    scale: str
    run_id: str
    spec: RunSpec
    allocation: Allocation
    axes: AxisValues = field(default_factory=AxisValues)
    """What it was asked for on each axis."""
    place: int = 0
    """Place in the order of training, from 0."""

    @property
    def flops(self) -> int:
        """FLOPs of the whole run, forward and backward."""
        return self.allocation.ledger.flops_per_token * self.tokens

    @property
    def tokens(self) -> int:
        """Training tokens, in whole steps."""
        training = self.spec.training
        return training.steps * training.window * training.batch_windows

    def row(self) -> dict[str, Any]:
        """Return the run as plain data, for tables and `--json`."""
        a, memory = self.allocation, self.spec.geometry.memory
        rows = [p for table in memory.rows for order in table for p in order] if memory else []
        return {
            "run_id": self.run_id,
            "arm": self.spec.arm,
            "rho_asked": a.rho_asked,
            "rho": a.rho,
            "seed": self.spec.seed,
            "place": self.place,
            **self.axes.row(),
            "routed_experts": self.spec.geometry.routed_experts,
            "shared_width": list(self.spec.geometry.shared_width),
            "rows_per_head": [min(rows), max(rows)] if rows else None,
            **a.ledger.sums(),
            "tokens": self.tokens,
        }


@dataclass(frozen=True)
class Plan:
    """All runs of a scale, seed by seed, in the order of its points.

    They are trained in the order of their places: seed by seed too, so that a stopped sweep leaves
    whole curves, but within a seed in the order of their ids, which is as good as random. Were rho
    trained from 1 down, a machine that changes with time would tilt every curve alike, and no test
    could tell that tilt from a slope in rho.
    """

    scale: Scale
    runs: tuple[PlannedRun, ...]
    asked: tuple[tuple[str, float], ...] = ()
    """Run id and asked rho of every point, of the first seed: some points are one run."""

    def held(self) -> dict[str, float]:
        """Largest relative miss of rho = 1 along the curve, by quantity."""
        curve = [run.allocation for run in self.runs if ARMS[run.spec.arm].splits_budget]
        return {
            key: max(
                (abs(getattr(a.ledger, key) / getattr(a.anchor, key) - 1) for a in curve),
                default=0.0,
            )
            for key in ("params_total", "params_active", "flops_per_token")
        }


def make_plan(scale: Scale) -> Plan:
    """Resolve every run of a scale: the product of its axes, its points and its seeds.

    rho = 1 has the anchor's own seeds too.

    Points of the grid that round to the same integer solution are one run, not two.

    Raises:
        UserError: a point has no integer solution, or the models miss the scale's budget.
    """
    points = list(_points(scale))
    first = [_spec(variant, allocation, scale.sweep.seeds[0]) for _, variant, allocation in points]
    # As plain data once per point, not once per seed: of thousands of runs that is where the time
    # goes.
    plain = [plain_data(spec) for spec in first]
    runs: dict[str, PlannedRun] = {}
    sweep = scale.sweep
    # The further anchors are spread over the seeds: all at the end, they would be apart in time.
    blocks = [*enumerate(sweep.seeds)]
    blocks += [(at % len(sweep.seeds), seed) for at, seed in enumerate(sweep.anchor_seeds)]
    block_of: dict[str, int] = {}
    for number, (block, seed) in enumerate(blocks):
        anchors_only = number >= len(sweep.seeds)
        for (axes, _, allocation), spec, data in zip(points, first, plain, strict=True):
            if anchors_only and not (ARMS[spec.arm].on_curve and spec.rho == 1):
                continue
            identity = run_id(data | {"seed": seed})
            run = PlannedRun(scale.name, identity, replace(spec, seed=seed), allocation, axes)
            if identity in runs:
                # Asked for twice: it is trained once, and lies where both agree.
                first_asked = runs[identity]
                run = replace(first_asked, axes=first_asked.axes.shared_with(axes))
            else:
                block_of[identity] = block
            runs[identity] = run
    order = sorted(runs, key=lambda identity: (block_of[identity], identity))
    places = {identity: place for place, identity in enumerate(order)}
    asked = [
        (run_id(data | {"seed": scale.sweep.seeds[0]}), allocation.rho_asked)
        for (_, _, allocation), data in zip(points, plain, strict=True)
    ]
    placed = tuple(replace(run, place=places[run.run_id]) for run in runs.values())
    plan = Plan(scale, placed, tuple(asked))
    _check_budget(plan)
    return plan


def _points(scale: Scale) -> Iterator[tuple[AxisValues, Scale, Allocation]]:
    """Yield every point of a scale: its place on the axes, the scale there, its allocation."""
    for axes, variant in variants(scale):
        for at, allocation in _allocations(variant, axes):
            yield at, variant, allocation


def _allocations(scale: Scale, axes: AxisValues) -> Iterator[tuple[AxisValues, Allocation]]:
    sweep = scale.sweep
    controls = [(arm, asked_rhos(sweep.arms, arm)) for arm in control_arms()]
    for tables, _ in variants(scale, tables_only=True):
        at = AxisValues((*axes.values, *tables.values))
        rows = tables.rows_per_head
        for rho in sweep.rho:
            yield at, allocate(scale, rho, rows_per_head=rows)
        for arm, rhos in controls:
            # Without rows there is no memory to put anywhere.
            if arm.fixed_rho is None and rows != 0:
                for rho in rhos:
                    yield at, allocate(scale, rho, arm.key, rows)
    for arm, rhos in controls:
        if arm.fixed_rho is not None:
            for rho in rhos:
                yield axes, allocate(scale, rho, arm.key)


def _spec(scale: Scale, allocation: Allocation, seed: int) -> RunSpec:
    return RunSpec(
        schema=SPEC_SCHEMA,
        arm=allocation.arm,
        rho=allocation.rho,
        seed=seed,
        geometry=allocation.geometry,
        # The geometry holds the vocabulary's size and special ids.
        corpus=CorpusSpec(**scale.corpus.model_dump(exclude={"vocab_size", "document_end"})),
        training=TrainingSpec(**scale.training.model_dump()),
    )


def total_with_vocabulary(ledger: Ledger, matrices: int) -> int:
    """Return P_tot and the parameters of the vocabulary, as technical reports count them.

    Args:
        ledger: the model's ledger.
        matrices: how many of embedding and LM head to count; they are of one size.
    """
    embedding = sum(e.count for e in ledger.entries if e.part == "embedding")
    return ledger.params_total + matrices * embedding


def _check_budget(plan: Plan) -> None:
    """Hold the largest model's P_tot and the P_act of rho = 1 against the scale's `budget`.

    Other points meet that P_act within the allocation's tolerance, or are not meant to (`iso:
    paper`, whose module comes on top).
    """
    scale, budget = plan.scale, plan.scale.budget
    ledger = max(
        (run.allocation.ledger for run in plan.runs), key=lambda ledger: ledger.params_total
    )
    total = total_with_vocabulary(ledger, budget.vocabulary_matrices)
    if (wanted := budget.params_total) and abs(total / wanted - 1) > budget.slack:
        routed = sum(e.count for e in ledger.entries if e.part in ("routed", "router"))
        experts = next(
            (r.spec.geometry.routed_experts for r in plan.runs if r.allocation.ledger is ledger), 0
        )
        nearest = round((wanted - total) / (routed / experts)) if experts else 0
        hint = (
            f"; the nearest is model.routed_experts: {scale.model.routed_experts + nearest}"
            if nearest
            else ""
        )
        raise _miss(scale, "params_total", "P_tot of the largest model", wanted, total, hint)
    for active in sorted({run.allocation.anchor.params_active for run in plan.runs}):
        if (wanted := budget.params_active) and abs(active / wanted - 1) > budget.slack:
            layers = scale.model.n_layers - scale.model.dense_layers
            width = scale.model.shared_width + round(
                (wanted - active) / (3 * scale.model.d_model * layers)
            )
            hint = f"; the nearest is model.shared_width: {width}" if width >= 0 else ""
            raise _miss(scale, "params_active", "P_act at rho = 1", wanted, active, hint)


def _miss(scale: Scale, key: str, what: str, wanted: float, found: int, hint: str) -> UserError:
    slack = scale.budget.slack
    return UserError(
        f"sweeps/{scale.name}.yaml: budget.{key}: expected {wanted:,.0f} within {slack:.2%}, "
        f"{what} is {found:,} ({found / wanted - 1:+.2%}){hint}"
    )
