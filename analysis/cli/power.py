"""`engram-sweep power`: how many seeds distinguish a gain from none, before anything is trained."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.levels import MAX_LOSS
from engram_sweep.cli.options import add_set_option, changes_of, scale_of
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from analysis.simulation.sweeps import Noise
    from analysis.sweep.next_run import NextRun

GAIN, NOISE, ANCHOR_NOISE = 0.004, 0.002, 1.0
"""What is assumed of a sweep without finished runs: nats/token, nats/token, a ratio."""
LEAST = 1e-9
"""nats/token, or a ratio: less is lost in a loss's last digits."""
MAX_SEEDS, MAX_TRIALS = 200, 100_000
"""So that an answer takes minutes."""


def register_power(subparsers) -> None:
    """Add `power`: which numbers of seeds show a gain at a scale's rho grid."""
    parser = subparsers.add_parser(
        "power", help="how many seeds tell a gain from none, before training"
    )
    parser.add_argument("scale", help="name of a file in sweeps/: its rho grid is the design")
    parser.add_argument(
        "--sweeps", type=Path, default=Path("sweeps"), help="folder of scales (default: sweeps)"
    )
    add_set_option(parser)
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        help="where finished runs are looked for (default: results)",
    )
    assumed = "default: as the sweep's finished runs have it, or"
    parser.add_argument(
        "--gain", type=float, help=f"true gain over rho = 1, nats/token ({assumed} {GAIN:g})"
    )
    parser.add_argument("--noise", type=float, help=f"run noise, nats/token ({assumed} {NOISE:g})")
    parser.add_argument(
        "--anchor-noise",
        type=float,
        metavar="RATIO",
        help=f"noise of runs at rho = 1 over that of others ({assumed} {ANCHOR_NOISE:g})",
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[2, 3, 5], help="seeds to try (default: 2 3 5)"
    )
    parser.add_argument(
        "--trials", type=int, default=400, help="simulated sweeps for each (default: 400)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(func=_run)


def _run(options: argparse.Namespace) -> int:
    """Print a line for every number of seeds, and the smallest sufficient one.

    Raises:
        UserError: the options or the scale's grid make no sense.
    """
    import numpy as np

    from analysis.simulation.power import WANTED, power, worth_of_next_run

    for flag, value in (("gain", options.gain), ("noise", options.noise)):
        if value is not None and not LEAST <= value <= MAX_LOSS:
            raise UserError(
                f"--{flag}: expected nats/token above 0, from {LEAST:g} to {MAX_LOSS:g}, got "
                f"{value:g}"
            )
    ratio = options.anchor_noise
    if ratio is not None and not LEAST <= ratio <= 1 / LEAST:
        raise UserError(
            f"--anchor-noise: expected a ratio above 0, from {LEAST:g} to {1 / LEAST:g}, got "
            f"{ratio:g}"
        )
    if min(options.seeds) < 2:
        raise UserError(
            "--seeds: expected at least 2, one leaves no run noise to measure, got "
            f"{min(options.seeds)}"
        )
    if max(options.seeds) > MAX_SEEDS:
        raise UserError(f"--seeds: expected at most {MAX_SEEDS}, got {max(options.seeds)}")
    if not 1 <= options.trials <= MAX_TRIALS:
        raise UserError(
            f"--trials: expected at least 1, at most {MAX_TRIALS:,}, got {options.trials}"
        )
    scale = scale_of(options)
    rho, anchors = np.array(sorted(scale.sweep.rho)), len(scale.sweep.anchor_seeds)
    if len(rho) < 3 or rho[-1] != 1:
        raise UserError(
            f"sweeps/{scale.name}.yaml: sweep.rho: expected rho = 1 and at least two below, "
            f"got {rho.tolist()}"
        )
    gain, noise = _world(options, scale.name)
    found: dict[int, float] = {}
    best: dict[int, NextRun | None] = {}
    more = f" and {anchors} more at rho = 1" if anchors else ""
    louder = f", {noise.anchor:.3g} times that at rho = 1" if noise.anchor != 1 else ""
    for seeds in sorted(set(options.seeds)):
        found[seeds] = power(gain, rho, seeds, noise, options.trials, anchor_seeds=anchors).gain
        best[seeds] = worth_of_next_run(gain, rho, seeds, noise, anchors)
        if not options.json:
            print(
                f"{seeds} seeds x {len(rho)} points{more} tell a gain of {gain:.3g} "
                f"nats/token from 0 with {found[seeds]:.0%} power ({options.trials} simulated "
                f"sweeps, run noise {noise.run:.3g}{louder}){_next(best[seeds])}",
                flush=True,
            )
    if options.json:
        design = {
            "rho": rho.tolist(),
            "gain": gain,
            "noise": noise.run,
            "anchor_noise": noise.anchor,
            "anchor_seeds": anchors,
            "trials": options.trials,
        }
        answers = {
            "power": {str(seeds): share for seeds, share in found.items()},
            "next_run": {str(seeds): one and asdict(one) for seeds, one in best.items()},
        }
        print(json.dumps(design | answers))
        return 0
    enough = next((seeds for seeds, share in found.items() if share >= WANTED), None)
    if enough is None:
        print(f"none of them reaches {WANTED:.0%}; more seeds or more points are needed")
    else:
        print(f"{enough} seeds are enough for {WANTED:.0%}")
    return 0


def _world(options: argparse.Namespace, name: str) -> tuple[float, Noise]:
    """Return gain and noise: given ones, else those of finished runs, else assumed ones."""
    from analysis.simulation.sweeps import Noise

    given = (options.gain, options.noise, options.anchor_noise)
    assumed = (GAIN, NOISE, ANCHOR_NOISE)
    if None in given:
        assumed = _measured(name, options) or assumed
    gain, run, anchor = (
        one if one is not None else other for one, other in zip(given, assumed, strict=True)
    )
    return gain, Noise(run=run, anchor=anchor)


def _measured(name: str, options: argparse.Namespace) -> tuple[float, float, float] | None:
    """Return gain, run noise and anchor noise of a sweep's finished runs; None if they say none."""
    from analysis.scaling.joint import analyse
    from engram_sweep.runs.records import read_runs

    try:
        joint = analyse(read_runs(name, options.results, changes_of(options)), name)
    except UserError:
        return None
    if not joint.alone:
        return None
    [sweep] = joint.sweeps
    gain, noise, anchor = sweep.gain_over_moe.value, sweep.means.sigma, sweep.anchor_noise.value
    if not gain or gain <= 0 or not noise or not anchor:
        return None
    if not options.json:
        print(
            f"as {name}'s finished runs have it: gain {gain:.3g}, run noise {noise:.3g} "
            f"nats/token, {anchor:.3g} times that at rho = 1"
        )
    return gain, noise, anchor


def _next(one: NextRun | None) -> str:
    """Return what one more run is worth, in words."""
    if one is None:
        return ""
    return (
        f"; one more run is worth most at rho = {one.rho:g}, it takes {one.share:.0%} off the "
        "gain's variance"
    )
