"""`engram-sweep power`: how often a design of seeds and points tells a gain from none, before anything is trained.

Simulated sweeps whose truth is the paper's curve, scaled to the gain in question, go through the
tests that the report uses; the power is the share of them that find a rho better than the largest
one. The report claims a gain only then (with few points its interval may reach zero even so). No
curve is fitted: a design can be tried in a second.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.curve.bootstrap import draw_errors
from analysis.curve.means import rho_means
from analysis.simulation.sweeps import TRUTHS, Noise, Truth, simulate
from analysis.sweep.sweep_analysis import LEVEL
from analysis.sweep.u_shape_test import u_shape_test
from analysis.threads import one_thread
from engram_sweep.config.scale import load_scale
from engram_sweep.errors import UserError

DRAWS = 500
"""Draws of the error behind one simulated p-value: enough for a yes or no."""
WANTED = 0.9
"""The power that the printed sentence asks for."""


def scaled(truth: Truth, gain: float) -> Truth:
    """The truth stretched so that its loss at rho = 1 is `gain` (nats/token) above its lowest; flat at 0."""
    lowest = float(np.min(truth.loss(np.linspace(0, 1, 4001))))
    full = float(truth.loss(np.array([1.0]))[0]) - lowest
    return replace(
        truth,
        name=f"{truth.name} x {gain / full:.3f}",
        loss=lambda rho: lowest + (truth.loss(rho) - lowest) * gain / full,
        has_u=truth.has_u and gain > 0,
    )


@dataclass(frozen=True)
class Power:
    """How often simulated sweeps claim what is true.

    Attributes:
        gain: share that find a gain over the largest rho; at a true gain of 0 the rate of false
            findings.
        u: share in which a U is supported.
    """

    gain: float
    u: float


@one_thread
def power(
    gain: float, rho: np.ndarray, seeds: int, noise: Noise, trials: int, level: float = LEVEL
) -> Power:
    """Simulates sweeps of one design and counts what they claim.

    Args:
        gain: the true gain, nats/token.
        rho: shares to train at, shape (R,), R at least 3.
        seeds: seeds per rho, at least 2.
        noise: what blurs a sweep.
        trials: simulated sweeps.
        level: coverage of the report's intervals; a test's level is what they leave out on one
            side.
    """
    truth, alpha = scaled(TRUTHS["paper"], gain), (1 - level) / 2
    claims = np.zeros(2)
    for trial in range(trials):
        rng = np.random.default_rng([trial, seeds, len(rho)])
        means = rho_means(simulate(truth, rho, seeds, noise, rng))
        test = u_shape_test(means, draw_errors(means, DRAWS, rng), alpha)
        claims += (test.p_gain < alpha, test.p_u < alpha)
    return Power(*(claims / trials).tolist())


def register_power(subparsers) -> None:
    """Adds `power`: which numbers of seeds tell a gain from none at a scale's rho grid."""
    parser = subparsers.add_parser(
        "power", help="how many seeds tell a gain from none, before training"
    )
    parser.add_argument("scale", help="name of a file in sweeps/: its rho grid is the design")
    parser.add_argument(
        "--sweeps", type=Path, default=Path("sweeps"), help="folder of scales (default: sweeps)"
    )
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
    parser.set_defaults(func=run_power)


def run_power(options: argparse.Namespace) -> int:
    """Prints a line for every number of seeds and what the least sufficient one is.

    Raises:
        UserError: the options or the scale's grid make no sense.
    """
    for flag, value, least in (("gain", options.gain, 0.0), ("noise", options.noise, 0.0)):
        if not (np.isfinite(value) and value > least):
            raise UserError(f"--{flag}: expected nats/token above 0, got {value:g}")
    if min(options.seeds) < 2:
        raise UserError(
            f"--seeds: expected at least 2, one leaves no run noise to measure, got {min(options.seeds)}"
        )
    if options.trials < 1:
        raise UserError(f"--trials: expected at least 1, got {options.trials}")
    rho = np.array(sorted(load_scale(options.scale, options.sweeps).sweep.rho))
    if len(rho) < 3 or rho[-1] != 1:
        raise UserError(
            f"sweeps/{options.scale}.yaml: sweep.rho: expected rho = 1 and at least two below, got {[*rho]}"
        )
    noise, found = Noise(run=options.noise), {}
    for seeds in sorted(set(options.seeds)):
        found[seeds] = power(options.gain, rho, seeds, noise, options.trials).gain
        if not options.json:
            print(
                f"{seeds} seeds x {len(rho)} points tell a gain of {options.gain:g} nats/token from 0 with "
                f"{found[seeds]:.0%} power ({options.trials} simulated sweeps, run noise {options.noise:g})",
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
