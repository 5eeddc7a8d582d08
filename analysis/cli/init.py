"""`engram-sweep init`: a commented scale for the hours that somebody has, and what it can tell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from engram_sweep.cli.options import positive
from engram_sweep.cli.own_size import (
    add_size_options,
    machine_of,
    path_of,
    print_size,
    text_of,
    write_scale,
)

if TYPE_CHECKING:
    from analysis.simulation.sweeps import Noise

SEEDS = (2, 3, 4, 5)
"""Numbers of seeds that are tried; one leaves no noise to measure."""
FURTHER_ANCHORS = 3
"""Further seeds of rho = 1, as tiny has: two do not say how loud it is (docs/lab-notebook.md)."""
NOISE = 0.002
"""Run noise in nats/token, as hybrids of tiny scatter (docs/lab-notebook.md)."""
ANCHOR_NOISE = 1.4
"""Noise of rho = 1 over that of others in tiny (docs/lab-notebook.md)."""
TRIALS = 100
"""Simulated sweeps for each number of seeds; a share of 0.9 is then known to 0.03."""
HALVINGS = 5
"""Steps of the search for the smallest gain that a design finds."""


def register_init(subparsers) -> None:
    """Add `init`: hours in, a commented YAML out."""
    summary = "write a scale for the hours that you have, every line with its reason"
    parser = subparsers.add_parser("init", help=summary, description=summary)
    add_size_options(parser)
    parser.add_argument(
        "--gain",
        type=positive,
        metavar="NATS",
        help="gain over rho = 1 that it should find, nats/token (default: the paper's 0.0139)",
    )
    parser.add_argument(
        "--noise",
        type=positive,
        default=NOISE,
        metavar="NATS",
        help=f"run noise, nats/token (default: {NOISE:g}, as in tiny)",
    )
    parser.add_argument(
        "--anchor-noise",
        type=positive,
        default=ANCHOR_NOISE,
        metavar="RATIO",
        help=f"noise of rho = 1 over that of others (default: {ANCHOR_NOISE:g}, as in tiny)",
    )
    parser.set_defaults(func=_run)


def _run(options: argparse.Namespace) -> int:
    """Write the scale and say what its design can tell.

    Raises:
        UserError: the options make no sense, or nothing fits into the hours.
    """
    from analysis.simulation.power import WANTED
    from analysis.simulation.sweeps import PAPER_END, PAPER_LOWEST, Noise
    from engram_sweep.planning.own_size import solve

    machine, path, text = machine_of(options), path_of(options), text_of(options)
    gain = options.gain or PAPER_END - PAPER_LOWEST
    noise = Noise(run=options.noise, anchor=options.anchor_noise)
    # Hours first, in an instant; then the seeds, which take some seconds.
    solve(machine, text, path.stem, range(SEEDS[0]), _anchors(SEEDS[0]))
    seeds, shares = SEEDS[0], dict[int, float]()
    for seeds in SEEDS:
        shares[seeds] = _power(gain, seeds, noise)
        if shares[seeds] >= WANTED:
            break
    own = solve(machine, text, path.stem, range(seeds), _anchors(seeds))
    write_scale(path, own)
    print_size(path, own, machine.unit)
    tried = ", ".join(f"{share:.0%} with {count} seeds" for count, share in shares.items())
    print(
        f"  finds a gain of {gain:.3g} nats/token over pure MoE in {tried} "
        f"({TRIALS} simulated sweeps)"
    )
    if shares[seeds] < WANTED:
        print(f"  none of them reaches {WANTED:.0%}: expect a sweep that cannot tell")
    print(f"  {WANTED:.0%} is reached at a gain of {_smallest_gain(seeds, noise):.2g} nats/token")
    print(
        f"  assumed: runs scatter by {noise.run:g}, those at rho = 1 by {noise.anchor:g} times "
        "that; --noise, --anchor-noise and --gain are yours to say"
    )
    print(f"make plan SCALE={path.stem}    # what it trains and what it costs")
    return 0


def _anchors(seeds: int) -> range:
    """Return the further seeds of rho = 1 beside so many seeds."""
    return range(seeds, seeds + FURTHER_ANCHORS)


def _power(gain: float, seeds: int, noise: Noise) -> float:
    """Return how often a design of so many seeds finds a gain."""
    import numpy as np

    from analysis.simulation.power import power
    from engram_sweep.planning.own_machine import RHO

    rho = np.array(sorted(RHO))
    return power(gain, rho, seeds, noise, TRIALS, anchor_seeds=FURTHER_ANCHORS).gain


def _smallest_gain(seeds: int, noise: Noise) -> float:
    """Return the gain, nats/token, from which a design finds as many as it should."""
    from analysis.simulation.power import WANTED

    # Between half of the noise, which no such design finds, and 16 times, which each does.
    low, high = noise.run / 2, 16 * noise.run * max(1.0, noise.anchor)
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        if _power(middle, seeds, noise) >= WANTED:
            high = middle
        else:
            low = middle
    return high
