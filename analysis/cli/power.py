"""`engram-sweep power`: how many seeds distinguish a gain from none, before anything is trained."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from engram_sweep.cli.options import add_set_option, scale_of
from engram_sweep.errors import UserError


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
        "--gain",
        type=float,
        default=0.004,
        help="true gain over rho = 1, nats/token (default: 0.004)",
    )
    parser.add_argument(
        "--noise", type=float, default=0.002, help="run noise, nats/token (default: 0.002)"
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

    from analysis.simulation.power import WANTED, power
    from analysis.simulation.sweeps import Noise

    for flag, value, least in (("gain", options.gain, 0.0), ("noise", options.noise, 0.0)):
        if not (np.isfinite(value) and value > least):
            raise UserError(f"--{flag}: expected nats/token above 0, got {value:g}")
    if min(options.seeds) < 2:
        raise UserError(
            "--seeds: expected at least 2, one leaves no run noise to measure, got "
            f"{min(options.seeds)}"
        )
    if options.trials < 1:
        raise UserError(f"--trials: expected at least 1, got {options.trials}")
    scale = scale_of(options)
    rho = np.array(sorted(scale.sweep.rho))
    if len(rho) < 3 or rho[-1] != 1:
        raise UserError(
            f"sweeps/{scale.name}.yaml: sweep.rho: expected rho = 1 and at least two below, "
            f"got {[*rho]}"
        )
    noise, found = Noise(run=options.noise), {}
    for seeds in sorted(set(options.seeds)):
        found[seeds] = power(options.gain, rho, seeds, noise, options.trials).gain
        if not options.json:
            print(
                f"{seeds} seeds x {len(rho)} points tell a gain of {options.gain:g} nats/token "
                f"from 0 with {found[seeds]:.0%} power ({options.trials} simulated sweeps, run "
                f"noise {options.noise:g})",
                flush=True,
            )
    if options.json:
        design = {
            "rho": rho.tolist(),
            "gain": options.gain,
            "noise": options.noise,
            "trials": options.trials,
        }
        print(json.dumps(design | {"power": {str(seeds): share for seeds, share in found.items()}}))
        return 0
    enough = next((seeds for seeds, share in found.items() if share >= WANTED), None)
    if enough is None:
        print(f"none of them reaches {WANTED:.0%}; more seeds or more points are needed")
    else:
        print(f"{enough} seeds are enough for {WANTED:.0%}")
    return 0
