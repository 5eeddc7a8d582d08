"""The next run of a batch: floors first, one in three at the largest gap, else what tells most."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.adaptive.beliefs import TARGETS, Beliefs
from analysis.adaptive.estimate import Estimate
from engram_sweep.planning.adaptive import Chosen, Design

GAP_EVERY = 3
"""One run in so many goes to the largest gap, whatever the laws say: they may all be wrong."""
KNOWN = 2.0
"""The floor around the optimum is laid once its interval is at most so many times as wide as it
is to be."""

Places = set[tuple[int, int]]
"""Runs as cells and seeds."""


@dataclass(frozen=True)
class Knowledge:
    """What finished runs say."""

    optimum: Estimate | None
    """Where rho* of the longest length is, as far as that is known."""
    beliefs: Beliefs | None
    """What further runs would tell; None if no law holds: then gaps are closed."""


def next_run(
    design: Design, known: Knowledge, taken: Places, pending: Places, final: bool = False
) -> Chosen | None:
    """Choose one run.

    Args:
        design: the candidates.
        known: what finished runs say.
        taken: finished and failed runs.
        pending: runs of this batch that were chosen before.
        final: whether no batch follows this one.

    Returns:
        The run; None if none is left.
    """
    taken = taken | pending
    counts = Counter(cell for cell, _ in taken)
    beliefs = known.beliefs
    lacks = _floor(design, known.optimum, counts, final)
    if lacks is not None and _free(design, lacks[0], taken):
        return _with_seed(design, beliefs, lacks[0], taken, lacks[1])
    if beliefs is None or len(pending) % GAP_EVERY == GAP_EVERY - 1:
        # If no law holds, shorter lengths say nothing of the longest.
        lengths = design.lengths if beliefs is not None else design.lengths[-1:]
        return _largest_gap(design, beliefs, taken, counts, lengths)
    return _worthiest(design, beliefs.after(sorted(pending)), taken)


def floor_is_met(design: Design, optimum: Estimate, taken: Places) -> bool:
    """Return whether there are enough runs of the longest length at rho = 1 and the optimum."""
    return _floor(design, optimum, Counter(cell for cell, _ in taken), True) is None


def _floor(
    design: Design, optimum: Estimate | None, counts: Counter[int], around_optimum: bool
) -> tuple[int, str] | None:
    """Return the cell of the longest length that lacks runs, and what it lacks; None if none.

    Args:
        design: the candidates.
        optimum: where it is, if that is known.
        counts: runs of every cell.
        around_optimum: lay the floor around the optimum, however well that is known.
    """
    full, least = design.at(design.lengths[-1]), design.rules.floor
    anchor = full[-1]
    if counts[anchor] < least:
        at = f"{counts[anchor] + 1} of {least}"
        return anchor, f"floor: run {at} at rho = 1 and the longest length"
    # Before it is known where the optimum is, its floor would be laid elsewhere.
    if optimum is None or not (around_optimum or optimum.width <= KNOWN * design.rules.width):
        return None
    rhos = np.array([design.cells[cell].rho for cell in full])
    right = int(np.clip(np.searchsorted(rhos, optimum.rho_star), 1, len(full) - 1))
    around = [full[right - 1], full[right]]
    there = sum(counts[cell] for cell in around if cell != anchor)
    if there >= least:
        return None
    # Of both neighbours the one with fewer runs; rho = 1 has a floor of its own.
    free = [cell for cell in around if cell != anchor]
    cell = min(free, key=lambda one: counts[one])
    at = f"{there + 1} of {least}"
    return cell, f"floor: run {at} around rho* = {optimum.rho_star:.2f} at the longest length"


def _largest_gap(
    design: Design,
    beliefs: Beliefs | None,
    taken: Places,
    counts: Counter[int],
    lengths: Sequence[float],
) -> Chosen | None:
    """Return a run in the middle of the widest gap between trained rho, longest lengths first."""
    for length in reversed(lengths):
        cells = design.at(length)
        trained = [cell for cell in cells if counts[cell]]
        rhos = np.array([design.cells[cell].rho for cell in trained])
        gaps = []
        for cell in cells:
            rho = design.cells[cell].rho
            below, above = rhos[rhos < rho], rhos[rhos > rho]
            if counts[cell] or not _free(design, cell, taken):
                continue
            # An end that was never trained is a gap on one side only.
            low = float(below.max()) if len(below) else rho
            high = float(above.min()) if len(above) else rho
            gaps.append((high - low, -abs(rho - (low + high) / 2), cell, low, high))
        if gaps:
            _, _, cell, low, high = max(gaps)
            reason = f"largest gap, rho {low:.2f} to {high:.2f} at length {length:g}"
            return _with_seed(design, beliefs, cell, taken, reason)
    # Every rho is trained at every length: the thinnest cell, the longest first.
    cells = [cell for length in lengths for cell in design.at(length)]
    free = [cell for cell in cells if _free(design, cell, taken)]
    if not free:
        return None
    cell = min(free, key=lambda one: (counts[one], -design.cells[one].length, one))
    reason = f"no gap is left: the cell with the fewest runs ({counts[cell]})"
    return _with_seed(design, beliefs, cell, taken, reason)


def _worthiest(design: Design, beliefs: Beliefs, taken: Places) -> Chosen | None:
    """Return the run that takes most off the targets' variances per FLOP."""
    full = max(cell.flops for cell in design.cells)
    best: tuple[float, int, int, np.ndarray] | None = None
    for cell, place in enumerate(design.cells):
        seed = beliefs.seed_for(cell, taken)
        if seed is None:
            continue
        shares = beliefs.shares(cell, seed)
        worth = float(shares.mean()) / place.flops
        if best is None or worth > best[0]:
            best = (worth, cell, seed, shares)
    if best is None:
        return None
    _, cell, seed, shares = best
    takes = ", ".join(
        f"{share:.0%} of {target}" for share, target in zip(shares, TARGETS, strict=True)
    )
    price = design.cells[cell].flops / full
    reason = f"takes off variance: {takes}, for {price:.2f} of a longest run's FLOPs"
    return Chosen(cell, seed, reason)


def _free(design: Design, cell: int, taken: Places) -> list[int]:
    return [seed for seed in design.seeds if (cell, seed) not in taken]


def _with_seed(
    design: Design, beliefs: Beliefs | None, cell: int, taken: Places, reason: str
) -> Chosen:
    seed = beliefs.seed_for(cell, taken) if beliefs is not None else None
    return Chosen(cell, _free(design, cell, taken)[0] if seed is None else seed, reason)
