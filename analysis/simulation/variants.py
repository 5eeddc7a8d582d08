"""How often the intervals of an ablation hold all of its variants, on sweeps with a known truth.

python -m analysis.simulation.variants --sweeps 3000
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.levels import LEVEL
from analysis.sweep.many_to_one import many_to_one

SEED_NOISE = 5.0
"""Standard deviation of the seeds' shifts, in units of the run noise."""
DRAWS = 10_000
"""Draws of the largest statistic: fewer than an analysis takes, for there are many sweeps."""


@dataclass(frozen=True)
class Design:
    """An ablation: how many variants and seeds, and how loud its last variant is."""

    variants: int
    seeds: int
    loud: float = 1.0
    """Run noise of the last variant over that of all others, which the intervals take as equal."""


DESIGNS = (
    Design(9, 3), Design(9, 2), Design(5, 5), Design(9, 5), Design(9, 3, 2.0), Design(9, 3, 3.0)
)  # fmt: skip


@dataclass(frozen=True)
class Coverage:
    """Shares of simulated sweeps."""

    design: Design
    family: float
    """In which every variant's interval holds its truth."""
    each: float
    """The same of one variant, on average."""
    loud: float
    """The same of the last variant."""


def measure(design: Design, sweeps: int, seed: int = 0, level: float = LEVEL) -> Coverage:
    """Simulate ablations and count how often the intervals hold.

    Args:
        design: what is simulated.
        sweeps: how many times.
        seed: of the noise.
        level: nominal coverage of the family.
    """
    rng = np.random.default_rng(seed)
    cells = np.repeat(np.arange(design.variants + 1), design.seeds)
    blocks = np.tile(np.arange(design.seeds), design.variants + 1)
    pairs = np.array([[variant, 0] for variant in range(1, design.variants + 1)])
    noise = np.where(cells == design.variants, design.loud, 1.0)
    held = np.empty((sweeps, design.variants), dtype=bool)
    for at in range(sweeps):
        truth = rng.standard_normal(design.variants + 1)
        shift = SEED_NOISE * rng.standard_normal(design.seeds)
        values = truth[cells] + shift[blocks] + noise * rng.standard_normal(len(cells))
        found = many_to_one(values, cells, blocks, pairs, level, DRAWS)
        wanted = truth[1:] - truth[0]
        held[at] = (found.low <= wanted) & (wanted <= found.high)
    each = held.mean(0)
    return Coverage(design, float(held.all(1).mean()), float(each.mean()), float(each[-1]))


def markdown(results: Sequence[Coverage]) -> str:
    """Return the results as a table."""
    heads = ("variants", "seeds", "noise of the last", "all", "each", "last")
    rows = [heads, ("---",) * len(heads)]
    for one in results:
        shares = [f"{share:.1%}" for share in (one.family, one.each, one.loud)]
        design = one.design
        rows.append((f"{design.variants}", f"{design.seeds}", f"x {design.loud:g}", *shares))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: list[str] | None = None) -> int:
    """Print the coverage of every design."""
    parser = argparse.ArgumentParser(description="coverage of an ablation's intervals")
    parser.add_argument(
        "--sweeps", type=int, default=1000, help="simulated sweeps per design (default: 1000)"
    )
    options = parser.parse_args(arguments)
    print(markdown([measure(design, options.sweeps) for design in DESIGNS]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
