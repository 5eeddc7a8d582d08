"""Sweeps over table sizes with a known truth, and how often their reading is right.

`python -m analysis.simulation.slots` prints how often the intervals of the slope and of the arms'
difference hold the truth, and how often a line is rejected.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.slots.laws import SaturatingLaw
from analysis.slots.slots_analysis import DRAWS, LEVEL, SlotsAnalysis, analyse_slots

LossOf = Callable[[np.ndarray], np.ndarray]
SIZES = 4.0 ** np.arange(3, 9)
"""Rows per head, 64 to 65,536, as in sweeps/tiny-infinite.yaml."""
LEAD = 0.003
"""What Engram gains over over-encoding at every size, nats/token."""
WORLDS: dict[str, LossOf] = {
    "line": lambda rows: 1.3 - 0.006 * np.log2(rows / 64),
    "flat": lambda rows: np.full_like(rows, 1.25, dtype=float),
    "saturating": SaturatingLaw(start=1.2572, drop=0.05, scale=200.0, power=0.6).at,
    "knee": lambda rows: 1.3 - 0.006 * np.log2(np.minimum(rows, 4096) / 64),
}
"""Loss over rows per head: a line, none, a law that saturates, a line that ends."""


@dataclass(frozen=True)
class SlotsNoise:
    """What blurs a sweep over table sizes; standard deviations in nats/token."""

    run: float = 0.002
    """Of a run beyond its seed's shift."""
    seed: float = 0.005
    """Of the shift that all runs of a seed share."""
    seed_of_arm: float = 0.0
    """Of a shift that the runs of one seed and arm share."""


def simulate_slots(
    world: str,
    seeds: int,
    noise: SlotsNoise,
    rng: np.random.Generator,
    rows: np.ndarray = SIZES,
) -> pd.DataFrame:
    """Return runs of Engram, over-encoding and the backbone whose truth is known.

    Args:
        world: one of `WORLDS`, Engram's loss; over-encoding's lies `LEAD` above it.
        seeds: seeds of every point.
        noise: what is added.
        rng: where the noise comes from.
        rows: table sizes, rows per head, shape (I,).
    """
    shift = noise.seed * rng.standard_normal(seeds)
    points = [("moe", 0.0, float(WORLDS[world](rows[:1])[0]) + 0.01)]
    for arm, above in (("engram", 0.0), ("over_encoding", LEAD)):
        points += [
            (arm, float(M), float(loss) + above)
            for M, loss in zip(rows, WORLDS[world](rows), strict=True)
        ]
    of_arm = {
        arm: noise.seed_of_arm * rng.standard_normal(seeds)
        for arm in dict.fromkeys(arm for arm, _, _ in points)
    }
    return pd.DataFrame(
        [
            {
                "arm": arm,
                "rho": 1.0,
                "rows_per_head_asked": M,
                "seed": seed,
                "outcome": "ok",
                "validation_loss": loss
                + shift[seed]
                + of_arm[arm][seed]
                + noise.run * rng.standard_normal(),
            }
            for arm, M, loss in points
            for seed in range(seeds)
        ]
    )


@dataclass(frozen=True)
class SlotsCoverage:
    """What many simulated sweeps of one world gave, as shares of them."""

    world: str
    """One of `WORLDS`."""
    sweeps: int
    """How many were simulated."""
    slope: float
    """Intervals of Engram's slope that hold the true one."""
    difference: float
    """Intervals of the mean gain over over-encoding that hold the true one."""
    rejected: float
    """Sweeps in which a line is rejected for Engram."""
    holds_to: float
    """Median of the largest size up to which a line is said to hold, rows per head."""


def measure_slots(
    world: str,
    seeds: int,
    noise: SlotsNoise,
    sweeps: int,
    seed: int = 0,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> SlotsCoverage:
    """Simulate sweeps of one world, analyse each, and count.

    Args:
        world: one of `WORLDS`.
        seeds: seeds of every point, at least 2.
        noise: what blurs the sweeps.
        sweeps: how many to simulate.
        seed: where the simulations start; the same seed gives the same numbers.
        level: nominal coverage.
        draws: bootstrap draws per sweep.
    """
    rng = np.random.default_rng([seed, *world.encode()])
    true = float(np.polyfit(np.log2(SIZES), WORLDS[world](SIZES), 1)[0])
    found = [
        analyse_slots(simulate_slots(world, seeds, noise, rng), world, level, draws)
        for _ in range(sweeps)
    ]
    tests = [one.arms[0].line for one in found]
    ends = [test.holds[1] for test in tests if test and test.holds]
    return SlotsCoverage(
        world=world,
        sweeps=sweeps,
        slope=_share(found, lambda one: _covers(one.arms[0].slope, true)),
        difference=_share(found, lambda one: _covers(one.paired[0].mean, LEAD)),
        rejected=float(np.mean([test is not None and test.rejected for test in tests])),
        holds_to=float(np.median(ends)) if ends else float("nan"),
    )


def _covers(interval: Interval, true: float) -> bool:
    low, high = interval.low, interval.high
    return low is not None and high is not None and low <= true <= high


def _share(found: list[SlotsAnalysis], holds: Callable[[SlotsAnalysis], bool]) -> float:
    return float(np.mean([holds(one) for one in found]))


def markdown(results: Iterable[SlotsCoverage]) -> str:
    """Return the table, shares in percent."""
    head = ("world", "sweeps", "slope covered", "difference covered", "line rejected", "line to M")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [
        f"| {one.world} | {one.sweeps} | {100 * one.slope:.0f} | {100 * one.difference:.0f} | "
        f"{100 * one.rejected:.0f} | {one.holds_to:,.0f} |"
        for one in results
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure from the command line."""
    parser = argparse.ArgumentParser(description="readings of simulated sweeps over table sizes")
    parser.add_argument("--sweeps", type=int, default=300, help="per world (default: 300)")
    parser.add_argument("--seeds", type=int, default=3, help="per point (default: 3)")
    parser.add_argument("--noise", type=float, default=0.002, help="run noise (default: 0.002)")
    parser.add_argument("--arm-noise", type=float, default=0.0, help="shift of seed and arm")
    options = parser.parse_args(arguments)
    noise = SlotsNoise(run=options.noise, seed_of_arm=options.arm_noise)
    found = [measure_slots(world, options.seeds, noise, options.sweeps) for world in WORLDS]
    print(markdown(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
