"""A sweep whose runs are chosen while it goes on: its candidates, its pilot, what it may cost.

The candidates are the runs of a grid over rho, training length and seed; a pilot of them is trained
first, then batches that whoever reads the losses chooses. The choice itself is made elsewhere (an
entry point of the group `engram_sweep.designs`), so these types are all that both sides share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.planning.plan import Plan, PlannedRun

PILOT_RHOS = 5
"""Shares that the pilot trains at the shorter lengths: the fewest that can place an optimum."""


@dataclass(frozen=True)
class Cell:
    """A place where runs may be trained."""

    rho: float
    """Share in experts, realised."""
    length: float
    """Training tokens per activated parameter, as asked."""
    flops: float
    """FLOPs of one run."""


@dataclass(frozen=True)
class Rules:
    """How runs are chosen and when that ends: fixed before the first run."""

    width: float
    """Stop when the interval of rho* at the longest length is no wider."""
    batch: int
    """Runs between two looks."""
    looks: int
    """At most so many looks at the losses; the first follows the pilot."""
    floor: int
    """Least number of runs of the longest length at rho = 1, and of those around the optimum."""


@dataclass(frozen=True)
class Design:
    """The candidates and the rules."""

    cells: tuple[Cell, ...]
    """Every rho at every length."""
    seeds: tuple[int, ...]
    """Seeds that a cell may be trained with, in the order in which they are used."""
    rules: Rules

    @property
    def lengths(self) -> tuple[float, ...]:
        """Training lengths, ascending."""
        return tuple(sorted({cell.length for cell in self.cells}))

    def at(self, length: float) -> list[int]:
        """Return the numbers of the cells of a length, by ascending rho."""
        found = [i for i, cell in enumerate(self.cells) if cell.length == length]
        return sorted(found, key=lambda i: self.cells[i].rho)


@dataclass(frozen=True)
class Finished:
    """A run whose record is there."""

    cell: int
    """Number of its cell."""
    seed: int
    """Its seed."""
    loss: float
    """Validation loss, nats/token; NaN if it diverged."""


@dataclass(frozen=True)
class Chosen:
    """A run that is to be trained next."""

    cell: int
    """Number of its cell."""
    seed: int
    """Its seed."""
    reason: str
    """Why this run, in words."""


@dataclass(frozen=True)
class Look:
    """What one look at the losses decided."""

    width: float | None
    """Of the interval of rho* at the longest length; None if no law says anything of it."""
    words: str
    """What was seen and decided."""
    stop: bool
    """Whether the rules end the sweep here."""
    batch: tuple[Chosen, ...] = ()
    """What to train before the next look."""


Proposer = Callable[[Design, Sequence[Finished], int], Look]
"""Looks at finished runs and chooses the next ones; the last argument numbers the looks from 1."""


def design_of(plan: Plan) -> Design:
    """Return the design of an adaptive scale's plan, which holds every candidate."""
    rules, cells = plan.scale.sweep.adaptive, _cells(plan)
    return Design(
        cells=tuple(Cell(rho, length, flops) for (rho, length), flops in cells.items()),
        seeds=plan.scale.sweep.seeds,
        rules=Rules(rules.width, rules.batch, rules.looks, rules.floor),
    )


def by_cell(plan: Plan, design: Design) -> dict[tuple[int, int], PlannedRun]:
    """Return the candidates of a plan by the number of their cell and their seed."""
    number = {(cell.rho, cell.length): i for i, cell in enumerate(design.cells)}
    return {(number[_place(run)], run.spec.seed): run for run in plan.runs}


def pilot(design: Design) -> tuple[tuple[int, int], ...]:
    """Return the runs before the first look, as cells and seeds.

    Five shares at every shorter length, twice at the shortest, where a measure of the noise is
    cheapest; of the longest, on which the curve is judged, both ends and the middle, and rho = 1
    twice.
    """
    first, second = design.seeds[:2]
    *short, longest = design.lengths
    found = [(cell, first) for length in short for cell in _spread(design.at(length))]
    found += [(cell, second) for cell in _spread(design.at(short[0]))]
    full = design.at(longest)
    found += [(cell, first) for cell in (full[0], full[len(full) // 2], full[-1])]
    found.append((full[-1], second))
    # With few shares one of them may stand for two places.
    return tuple(dict.fromkeys(found))


def pilot_of(plan: Plan) -> Plan:
    """Return the plan of an adaptive scale's pilot."""
    design = design_of(plan)
    runs = by_cell(plan, design)
    return with_runs(plan, {runs[place].run_id for place in pilot(design)})


def at_most(plan: Plan) -> Plan:
    """Return the plan of the pilot and the dearest runs that could follow it."""
    first = pilot_of(plan)
    known = {run.run_id for run in first.runs}
    others = sorted(
        (run for run in plan.runs if run.run_id not in known), key=lambda run: run.flops
    )
    rules = plan.scale.sweep.adaptive
    more = others[max(0, len(others) - rules.batch * (rules.looks - 1)) :]
    return with_runs(plan, known | {run.run_id for run in more})


def with_runs(plan: Plan, run_ids: set[str]) -> Plan:
    """Return a plan with these of its runs only."""
    return replace(plan, runs=tuple(run for run in plan.runs if run.run_id in run_ids))


def rules_of(plan: Plan) -> dict[str, Any]:
    """Return what an adaptive scale fixes before the first run, as plain data."""
    design = design_of(plan)
    return {
        **asdict(design.rules),
        "rho": sorted({cell.rho for cell in design.cells}),
        "lengths": list(design.lengths),
        "seeds": list(design.seeds),
    }


def _spread(cells: list[int]) -> list[int]:
    """Return at most PILOT_RHOS cells of a length: both ends, the others evenly between."""
    last = len(cells) - 1
    return [cells[round(at * last / (PILOT_RHOS - 1))] for at in range(PILOT_RHOS)]


def _cells(plan: Plan) -> dict[tuple[float, float], float]:
    """Return the FLOPs of a run at every place of a plan."""
    return {_place(run): float(run.flops) for run in plan.runs}


def _place(run: PlannedRun) -> tuple[float, float]:
    """Return share and length of a run.

    Raises:
        UserError: two lengths are one and the same run.
    """
    length = run.axes.get("tokens_per_active")
    if length is None:
        raise UserError(
            f"sweeps/{run.scale}.yaml: sweep.tokens_per_active: expected lengths that are not the "
            f"same number of tokens, {run.tokens:,} is asked for twice"
        )
    return run.spec.rho, float(length)
