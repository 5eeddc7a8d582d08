"""Measure how often a 90 % interval covers the truth: `python -m analysis.simulation.coverage`.

Every simulated sweep goes through the same `analyse_sweep` as a real one. If the truth lies at
the end of what a quantity can be (rho* at the largest rho measured, a gain of zero), an interval
that respects that end misses on one side only: it is held to a floor, not to a ceiling, and marked.
"""

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.simulation.sweeps import TRUTHS, Noise, simulate
from analysis.simulation.worlds import WORLDS, World
from analysis.sweep.sweep_analysis import DELTA, DRAWS, LEVEL, SweepAnalysis, analyse_sweep
from analysis.sweep.verdict import doubts, judge

QUANTITIES: tuple[str, ...] = ("gain", "rho_star", "near_low", "near_high", "break_even")
WANTED = (0.85, 0.95)
CHANCE = 0.01
"""A cell is called outside if luck explains it less often."""
TOLERANCE = 1e-9
"""An interval that ends on the edge of the range covers a truth on that edge."""


@dataclass(frozen=True)
class Coverage:
    """What many simulated sweeps of one truth gave."""

    truth: str
    """Name of the curve."""
    sweeps: int
    """How many were simulated."""
    covered: dict[str, float]
    """Share of sweeps whose interval holds the true value, by quantity; NaN if none exists or
    many do."""
    one_sided: frozenset[str]
    """Quantities whose true value is the least or the largest that they can be."""
    width: dict[str, float]
    """Mean width of the intervals, by quantity."""
    single_dip: tuple[float, float]
    """Share of sweeps in which the place of a single dip of any shape holds rho*, and mean width.

    The share is NaN if many rho are optimal."""
    corner: float
    """Share in which a form with corners is reported to be lowest elsewhere."""
    rho_bias: float
    """Mean of rho* minus the true optimum; NaN if many are optimal."""
    rho_spread: float
    """Standard deviation of rho*."""
    verdicts: dict[str, float]
    """Share of each verdict."""
    claimed: float
    """Share whose interval of the gain lies above zero."""
    warned: float
    """Share with a diagnostic in doubt, a fit on a bound of its shapes, or a corner elsewhere."""

    @property
    def outside(self) -> tuple[str, ...]:
        """Quantities that are not covered as often as WANTED, beyond chance."""
        found = []
        for name, share in self.covered.items():
            hits = np.rint(share * self.sweeps)
            too_few = special.bdtr(hits, self.sweeps, WANTED[0])
            too_many = (
                1.0 if name in self.one_sided else special.bdtrc(hits - 1, self.sweeps, WANTED[1])
            )
            if min(too_few, too_many) < CHANCE:  # False if it is NaN
                found.append(name)
        return tuple(found)


def limits(result: SweepAnalysis) -> dict[str, tuple[float, float]]:
    """Interval of every quantity; a limit that lies below the measured range is -inf."""
    near = result.near_optimal
    return {
        "gain": _ends(result.gain_over_moe.low, result.gain_over_moe.high),
        "rho_star": _ends(result.rho_star.low, result.rho_star.high),
        "near_low": _ends(*(near.low_interval or (None, None))),
        "near_high": _ends(*(near.high_interval or (None, None))),
        "break_even": _ends(result.break_even.low, result.break_even.high),
    }


def _ends(low: float | None, high: float | None) -> tuple[float, float]:
    return (-np.inf if low is None else low, -np.inf if high is None else high)


def measure(
    world: World,
    sweeps: int,
    seed: int = 0,
    level: float = LEVEL,
    delta: float = DELTA,
    draws: int = DRAWS,
) -> Coverage:
    """Simulate sweeps of one world, analyse each, and count.

    Args:
        world: truth, design and noise; rho must reach 1 for the gain and the break-even.
        sweeps: how many to simulate.
        seed: where the simulations start; the same seed gives the same numbers.
        level: nominal coverage.
        delta: what counts as near-optimal, nats/token.
        draws: bootstrap draws per sweep.
    """
    truth, rho = world.truth, world.rho
    rng = np.random.default_rng([seed, *world.name.encode()])  # worlds do not share their luck
    true = truth.read(float(rho[0]), float(rho[-1]), delta)
    truths = (true.gain, true.optimum, true.near_low, true.near_high, true.break_even)
    values = {name: float(one[0]) for name, one in zip(QUANTITIES, truths, strict=True)}
    span = (float(rho[0]), float(rho[-1]))
    ends = {
        "gain": (0.0,),
        "rho_star": span,
        "near_low": span,
        "near_high": span,
        "break_even": (-np.inf, span[1]),
    }
    held = dict.fromkeys(QUANTITIES, 0)
    widths: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    optima, words = [], Counter()
    claimed = warned = corners = dips = 0
    dip_widths = []
    for _ in range(sweeps):
        table = simulate(truth, rho, world.seeds, world.noise, rng, world.anchor_seeds)
        result = analyse_sweep(table, world.name, level, delta, draws)
        claimed += (result.gain_over_moe.low or 0.0) > 0
        on_bound, corner = result.curve.chosen.on_bound, result.corner is not None
        warned += bool(doubts(result)) or on_bound or corner
        corners += corner
        low, high = _ends(result.single_dip.low, result.single_dip.high)
        dips += low - TOLERANCE <= values["rho_star"] <= high + TOLERANCE
        dip_widths.append(high - low)
        for name, (low, high) in limits(result).items():
            held[name] += bool(low - TOLERANCE <= values[name] <= high + TOLERANCE)
            widths[name].append(high - max(low, float(rho[0])) if name != "gain" else high - low)
        optima.append(result.rho_star.value)
        words[judge(result).word] += 1
    # If many rho are optimal, neither rho* nor the break-even has one true value.
    scored = {
        name: truth.one_optimum or name not in ("rho_star", "break_even") for name in QUANTITIES
    }
    return Coverage(
        truth=world.name,
        sweeps=sweeps,
        covered={name: held[name] / sweeps if scored[name] else np.nan for name in QUANTITIES},
        one_sided=frozenset(
            n for n in QUANTITIES if any(np.isclose(values[n], end, atol=1e-3) for end in ends[n])
        ),
        width={name: _mean(found) for name, found in widths.items()},
        single_dip=(dips / sweeps if truth.one_optimum else np.nan, _mean(dip_widths)),
        corner=corners / sweeps,
        rho_bias=float(np.mean(optima) - true.optimum[0]) if truth.one_optimum else np.nan,
        rho_spread=float(np.std(optima)),
        verdicts={word: count / sweeps for word, count in words.items()},
        claimed=claimed / sweeps,
        warned=warned / sweeps,
    )


def _mean(widths: list[float]) -> float:
    finite = [width for width in widths if np.isfinite(width)]
    return float(np.mean(finite)) if finite else float("nan")


def markdown(results: Iterable[Coverage]) -> str:
    """Return the table: coverage in percent, mean width in brackets, truths at an end marked."""
    head = [
        "truth",
        "gain",
        "rho*",
        "near low",
        "near high",
        "break-even",
        "single dip",
        "bias of rho*",
        "SD",
        "gain claimed",
        "corner",
        "warned",
        "verdicts",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in results:
        cells = [
            "-"
            if np.isnan(one.covered[name])
            else f"{100 * one.covered[name]:.0f}{' end' if name in one.one_sided else ''} "
            f"({one.width[name]:.3f})"
            for name in QUANTITIES
        ]
        share, width = one.single_dip
        dip = "-" if np.isnan(share) else f"{100 * share:.0f} ({width:.3f})"
        bias = "-" if np.isnan(one.rho_bias) else f"{one.rho_bias:+.3f}"
        words = ", ".join(
            f"{word} {100 * share:.0f} %" for word, share in sorted(one.verdicts.items())
        )
        lines.append(
            f"| {one.truth} | {' | '.join(cells)} | {dip} | {bias} | {one.rho_spread:.3f} | "
            f"{100 * one.claimed:.0f} | {100 * one.corner:.0f} | {100 * one.warned:.0f} | {words} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the sweep from the command line."""
    parser = argparse.ArgumentParser(description="coverage of the intervals on simulated sweeps")
    parser.add_argument(
        "--sweeps", type=int, default=300, help="simulated sweeps per truth (default: 300)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="seeds per rho (default: 3)")
    parser.add_argument(
        "--points", type=int, default=9, help="values of rho, evenly spaced up to 1 (default: 9)"
    )
    parser.add_argument("--lowest", type=float, default=0.2, help="smallest rho (default: 0.2)")
    parser.add_argument(
        "--noise", type=float, default=0.002, help="run noise in nats/token (default: 0.002)"
    )
    parser.add_argument(
        "--tilt", type=float, default=0.0, help="slope in rho per seed, nats/token (default: 0)"
    )
    parser.add_argument("--windows", type=int, default=64, help="validation windows (default: 64)")
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help=f"bootstrap draws per sweep (default: {DRAWS})"
    )
    parser.add_argument(
        "--truths", nargs="+", choices=sorted(TRUTHS), default=list(TRUTHS), help="default: all"
    )
    parser.add_argument(
        "--worlds",
        nargs="*",
        choices=sorted(WORLDS),
        default=list(WORLDS),
        metavar="WORLD",
        help="designs and noises of their own (simulation/worlds.py), after the truths; default: "
        "all, without a name: none",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulations (default: 0)")
    options = parser.parse_args(arguments)
    rho = np.linspace(options.lowest, 1, options.points)
    noise = Noise(run=options.noise, seed_tilt=options.tilt, windows=options.windows)
    plain = [World(name, TRUTHS[name], rho, options.seeds, noise) for name in options.truths]
    results = []
    for world in [*plain, *(WORLDS[name] for name in options.worlds)]:
        results.append(measure(world, options.sweeps, options.seed, draws=options.draws))
        print(
            markdown(results[-1:]).splitlines()[-1] if len(results) > 1 else markdown(results),
            flush=True,
        )
    outside = [
        f"{one.truth} {name} {one.covered[name]:.1%}" for one in results for name in one.outside
    ]
    print(
        f"\nOutside {WANTED[0]:.0%} to {WANTED[1]:.0%} beyond chance (p < {CHANCE:g}; at an end, "
        "below only): " + (", ".join(outside) or "none")
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
