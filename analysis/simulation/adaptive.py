"""Adaptive sweeps of known truths against a grid: `python -m analysis.simulation.adaptive`.

In every world grids of 9 rho x 3 seeds at the longest length are simulated first; the mean width of
their interval of rho* is where the adaptive sweeps of that world stop. So both end equally sure of
rho*, and what is compared is what that took, how often the intervals hold the truth, and how much
worse than the best the rho is that each would choose.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from analysis.adaptive.estimate import longest_alone
from analysis.adaptive.look import look
from analysis.adaptive.sampler import AXIS, runs_of
from analysis.levels import LEVEL
from analysis.scaling.run_laws import fit_longest_run_laws
from analysis.simulation.adaptive_worlds import ADAPTIVE_WORLDS, LENGTHS, AdaptiveWorld
from analysis.simulation.sweeps import Noise, Truth, simulate
from analysis.simulation.worlds import NINE
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.planning.adaptive import Cell, Design, Finished, Rules, pilot

GRID_SEEDS = 3
"""Seeds of the grid that is compared."""
GRID_DRAWS = 400
"""Bootstrap draws of its analysis."""
SEEDS = tuple(range(8))
"""Seeds that an adaptive sweep may use."""
MEASURED = Path(__file__).with_name("adaptive_coverage.json")
"""What the command measured last; a report of an adaptive sweep says it."""


@dataclass(frozen=True)
class Outcome:
    """What one sweep says of the longest length, and what it took."""

    rho_star: tuple[float, float, float]
    """Estimate and limits."""
    gain: tuple[float, float, float]
    """The same, nats/token."""
    flops: float
    """Training FLOPs over those of the grid."""
    looks: int = 0
    """Looks at the losses, 0 of a grid."""
    refuted: bool = False
    """Whether every law was refuted at the end, so that the longest length speaks for itself."""


def adaptive_design(width: float) -> Design:
    """Return the design that is simulated: the rho of the grid at four lengths."""
    cells = tuple(Cell(float(rho), length, length) for length in LENGTHS for rho in NINE)
    return Design(cells, SEEDS, Rules(width=width, batch=6, looks=4, floor=3))


def trainer(
    world: AdaptiveWorld, design: Design, rng: np.random.Generator
) -> Callable[[int, int], Finished]:
    """Return what trains a run of a world, given its cell and seed."""
    shifts = rng.standard_normal((len(design.lengths), len(design.seeds))) * world.noise.seed

    def train(cell: int, seed: int) -> Finished:
        place = design.cells[cell]
        own = world.noise.run * (world.noise.anchor if place.rho == 1 else 1.0)
        shift = shifts[design.lengths.index(place.length), design.seeds.index(seed)]
        loss = world.loss(place.length, np.array(place.rho)) + shift + own * rng.standard_normal()
        return Finished(cell, seed, float(loss))

    return train


def adaptive_sweep(world: AdaptiveWorld, design: Design, rng: np.random.Generator) -> Outcome:
    """Simulate one adaptive sweep to its end."""
    train = trainer(world, design, rng)
    done, number = [train(*place) for place in pilot(design)], 1
    while not (found := look(design, done, number)).stop:
        done += [train(one.cell, one.seed) for one in found.batch]
        number += 1
    fitted = fit_longest_run_laws(runs_of(design, done), AXIS, LEVEL)
    if fitted is not None and fitted[0].in_play:
        said = fitted[0].predict(float(np.log2(design.lengths[-1])))
        rho_star, gain, refuted = said.rho_star, said.gain_over_moe, False
    else:
        # What a report says then: the longest length by itself.
        alone = longest_alone(design, done, LEVEL)
        assert alone is not None  # gaps were closed
        rho_star, gain, refuted = alone.rho_star, alone.gain_over_moe, True
    flops = sum(design.cells[run.cell].flops for run in done)
    grid = len(NINE) * GRID_SEEDS * LENGTHS[-1]
    return Outcome(_limits(rho_star), _limits(gain), flops / grid, number, refuted)


def grid_sweep(world: AdaptiveWorld, rng: np.random.Generator) -> Outcome:
    """Simulate the grid at the longest length."""
    truth = Truth(world.name, partial(world.loss, LENGTHS[-1]), has_u=True)
    noise = Noise(run=world.noise.run, seed=world.noise.seed, anchor=world.noise.anchor)
    table = simulate(truth, NINE, GRID_SEEDS, noise, rng)
    result = analyse_sweep(table, world.name, LEVEL, draws=GRID_DRAWS)
    return Outcome(_limits(result.rho_star), _limits(result.gain_over_moe), 1.0)


def _limits(interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


@dataclass(frozen=True)
class Compared:
    """One world: many sweeps of one kind."""

    world: AdaptiveWorld
    outcomes: tuple[Outcome, ...]

    def covered(self, of_gain: bool) -> float:
        """Return the share of intervals that hold the truth; NaN without one optimum."""
        best, gain = self.world.truth(LENGTHS[-1])
        true, key = (gain, "gain") if of_gain else (best, "rho_star")
        found = [getattr(one, key) for one in self.outcomes]
        return float(np.mean([low - 1e-9 <= true <= high + 1e-9 for _, low, high in found]))

    def width(self, of_gain: bool) -> float:
        """Return the mean width of the intervals."""
        key = "gain" if of_gain else "rho_star"
        return float(np.mean([np.subtract(*getattr(one, key)[:0:-1]) for one in self.outcomes]))

    @property
    def excess(self) -> float:
        """Mean loss of the chosen rho above the lowest, nats/token."""
        chosen = np.array([one.rho_star[0] for one in self.outcomes])
        best, _ = self.world.truth(LENGTHS[-1])
        losses = self.world.loss(LENGTHS[-1], np.append(chosen, best))
        return float(np.mean(losses[:-1] - losses[-1]))

    @property
    def flops(self) -> float:
        """Mean training FLOPs over those of the grid."""
        return float(np.mean([one.flops for one in self.outcomes]))


def compare(world: AdaptiveWorld, sweeps: int, seed: int = 0) -> tuple[Compared, Compared]:
    """Simulate grids of a world, then adaptive sweeps that end at the grids' mean width of rho*.

    Args:
        world: truth and noise.
        sweeps: of each kind.
        seed: where the simulations start.
    """
    rng = np.random.default_rng([seed, *world.name.encode()])
    grid = Compared(world, tuple(grid_sweep(world, rng) for _ in range(sweeps)))
    design = adaptive_design(round(grid.width(of_gain=False), 2))
    return grid, Compared(world, tuple(adaptive_sweep(world, design, rng) for _ in range(sweeps)))


HEAD = (
    "world",
    "design",
    "FLOPs",
    "rho* covered (width)",
    "gain covered (width)",
    "gain claimed",
    "bias of rho*",
    "excess loss, 1e-4",
    "looks",
    "refuted",
)


def markdown(pairs: Sequence[tuple[Compared, Compared]]) -> str:
    """Return the table, two lines a world; FLOPs in units of the grid."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for grid, adaptive in pairs:
        for name, one in (("9 x 3", grid), ("adaptive", adaptive)):
            best, _ = one.world.truth(LENGTHS[-1])
            looks = "-" if one is grid else f"{np.mean([o.looks for o in one.outcomes]):.1f}"
            rho = f"{100 * one.covered(False):.0f} ({one.width(False):.2f})"
            bias = f"{np.mean([o.rho_star[0] for o in one.outcomes]) - best:+.2f}"
            excess = f"{1e4 * one.excess:.1f}"
            if one.world.is_flat:
                rho, bias, excess = f"- ({one.width(False):.2f})", "-", "-"
            cells = (
                one.world.name,
                name,
                f"{one.flops:.2f}",
                rho,
                f"{100 * one.covered(True):.0f} ({one.width(True):.4f})",
                f"{100 * np.mean([o.gain[1] > 0 for o in one.outcomes]):.0f}",
                bias,
                excess,
                looks,
                "-" if one is grid else str(sum(o.refuted for o in one.outcomes)),
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def note(pair: tuple[Compared, Compared]) -> None:
    """Note the coverage of a world's adaptive ends for reports, beside that of other worlds."""
    _, adaptive = pair
    if adaptive.world.is_flat:
        return
    noted = json.loads(MEASURED.read_text()) if MEASURED.exists() else {}
    noted[adaptive.world.name] = {
        "sweeps": len(adaptive.outcomes),
        "level": LEVEL,
        "rho_star": round(adaptive.covered(of_gain=False), 3),
        "gain": round(adaptive.covered(of_gain=True), 3),
    }
    MEASURED.write_text(json.dumps(noted, indent=1, sort_keys=True) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the comparison from the command line."""
    parser = argparse.ArgumentParser(description="adaptive sweeps of known truths against a grid")
    parser.add_argument(
        "--sweeps", type=int, default=60, help="simulated sweeps of each kind a world (default: 60)"
    )
    parser.add_argument(
        "--worlds", nargs="+", choices=sorted(ADAPTIVE_WORLDS), default=list(ADAPTIVE_WORLDS)
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulations (default: 0)")
    parser.add_argument(
        "--write", action="store_true", help=f"note the coverage for reports ({MEASURED.name})"
    )
    options = parser.parse_args(arguments)
    pairs = []
    for name in options.worlds:
        pairs.append(compare(ADAPTIVE_WORLDS[name], options.sweeps, options.seed))
        lines = markdown(pairs[-1:]).splitlines()
        print("\n".join(lines if len(pairs) == 1 else lines[2:]), flush=True)
        if options.write:
            note(pairs[-1])
    error = 100 * np.sqrt(0.9 * 0.1 / options.sweeps)
    print(
        f"\nA covered 90 % has a standard error of {error:.0f} points at {options.sweeps} sweeps."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
