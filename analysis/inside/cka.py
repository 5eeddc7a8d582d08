"""Which layer of pure MoE each layer of a hybrid is like, with another pure MoE as the null.

Runs of one seed share their first values and their data, which alone makes them alike, so every
pair is of two seeds: hybrid and pure MoE, and for the null pure MoE and pure MoE. Intervals are
jackknives over seeds and over documents, added up: drawing a position twice would make it its own
neighbour, which the unbiased estimate is to be rid of.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.alignment import centred_kernel, soft_alignment
from analysis.inside.crossed import jackknife_interval
from analysis.inside.equal_loss import EqualLoss, equal_loss
from analysis.inside.rows import at_rho, count, of_curve
from analysis.inside.words import with_interval, with_limits
from analysis.levels import LEVEL
from engram_sweep.errors import UserError

TRAINED, START = "trained", "start"
PLACE = ("kind", "layer", "position", "document")
"""Columns that say where a state was taken; they are those of every run of a sweep."""
MIN_LAYERS = 4
"""Fewer cannot be told apart in depth: the index is an average over half of them at most."""
Kernels = dict[tuple[str, float, int], np.ndarray]
"""By kind, rho and seed: (layers, n * n)."""


@dataclass(frozen=True)
class Aligned:
    """One layer of the models at one rho."""

    rho: float
    layer: int
    """Counted from 1."""
    index: Interval
    """Layer of pure MoE that it is like, a_j."""
    null: float
    """The same of pure MoE of another seed."""
    above_null: Interval
    """index minus null; all None at rho = 1, which is the null."""
    start: float
    """The same before training."""
    likeness: np.ndarray
    """(layers,): mean CKA with each layer of pure MoE."""


@dataclass(frozen=True)
class CkaAnalysis:
    """Every layer along rho."""

    layers: tuple[Aligned, ...]
    positions: int
    documents: int
    seeds: int
    level: float
    """Nominal coverage of every interval."""
    equal_loss: EqualLoss | None


def analyse_cka(table: pd.DataFrame, source: str, level: float = LEVEL) -> CkaAnalysis:
    """Compare the states of a sweep's runs.

    Args:
        table: rows of the measure `cka`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval.

    Raises:
        UserError: pure MoE has fewer than two seeds, or runs have states at different places.
    """
    rows = of_curve(table)
    by_run = (run[[*PLACE]].itertuples(index=False) for _, run in rows.groupby("run_id"))
    if len({tuple(sorted(places)) for places in by_run}) > 1:
        raise UserError(f"{source}: expected every run's states at the same {', '.join(PLACE)}")
    seeds = sorted(at_rho(rows, 1.0)["seed"].unique())
    if len(seeds) < 2:
        raise UserError(f"{source}: expected two seeds at rho = 1 or more, got {len(seeds)}")
    rhos = sorted(rows["rho"].unique())
    documents = sorted(rows["document"].unique())
    whole = _kernels(rows)
    # Without each document in turn, and without each seed in turn.
    fewer = [_kernels(rows.loc[rows["document"] != each]) for each in documents]
    layers = []
    for rho in rhos:
        index, null, likeness = _read(whole, TRAINED, rho, seeds)
        start, _, _ = _read(whole, START, rho, seeds)
        jackknives = [
            [_read(some, TRAINED, rho, seeds)[:2] for some in fewer] if len(documents) > 1 else [],
            [
                _read(whole, TRAINED, rho, [one for one in seeds if one != left])[:2]
                for left in seeds
            ]
            if len(seeds) > 2
            else [],
        ]
        for at in range(len(index)):
            own = [np.array([i[at] for i, _ in some]) for some in jackknives]
            beyond = [np.array([i[at] - n[at] for i, n in some]) for some in jackknives]
            gap = Interval(None, None, None)
            if rho < 1:
                gap = jackknife_interval(float(index[at] - null[at]), beyond, level)
            layers.append(
                Aligned(
                    float(rho),
                    at + 1,
                    jackknife_interval(float(index[at]), own, level),
                    float(null[at]),
                    gap,
                    float(start[at]),
                    likeness[at],
                )
            )
    positions = count(rows, "position")
    return CkaAnalysis(
        tuple(layers), positions, len(documents), len(seeds), level, equal_loss(rows)
    )


def _kernels(rows: pd.DataFrame) -> Kernels:
    """Return the centred kernels of every run, layer by layer."""
    found: dict[tuple[str, float, int], list[np.ndarray]] = {}
    for place, at in rows.groupby(["kind", "rho", "seed", "layer"]):
        kind, rho, seed, _ = place  # type: ignore[misc]
        states = np.stack(at.sort_values("position")["state"].to_list())
        kernel = centred_kernel(states).astype(np.float32)
        found.setdefault((str(kind), float(rho), int(seed)), []).append(kernel)
    return {key: np.stack(layers) for key, layers in found.items()}


def _read(
    kernels: Kernels, kind: str, rho: float, seeds: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a_j at a rho, the null's, (layers,) each, and the mean CKA (layers, layers)."""
    own, null = (_likeness(kernels, kind, one, seeds) for one in (rho, 1.0))
    mean = own.mean(0)
    return (
        np.mean([soft_alignment(one) for one in own], axis=0),
        np.mean([soft_alignment(one) for one in null], axis=0),
        mean,
    )


def _likeness(kernels: Kernels, kind: str, rho: float, seeds: list[int]) -> np.ndarray:
    """Return the CKA of all pairs of two seeds, (pairs, layers, layers of pure MoE)."""
    return np.stack(
        [
            kernels[kind, rho, own] @ kernels[kind, 1.0, other].T
            for own in seeds
            for other in seeds
            if own != other and (kind, rho, own) in kernels
        ]
    )


def state_cka(result: CkaAnalysis) -> list[str]:
    """Put the alignment into sentences: every rho below 1 that was measured."""
    said = [
        f"CKA at {result.positions} held-out positions of {result.documents} documents, pairs of "
        f"different seeds out of {result.seeds}: the layer of pure MoE that each layer is like, "
        "minus that for pure MoE itself."
    ]
    if len({one.layer for one in result.layers}) < MIN_LAYERS:
        return [*said, f"Models of fewer than {MIN_LAYERS} layers have no depths to tell apart."]
    for rho in sorted({one.rho for one in result.layers if one.rho < 1}):
        words = [
            f"layer {one.layer} {with_interval(one.above_null, 2)}"
            for one in result.layers
            if one.rho == rho
        ]
        said.append(f"At rho {rho:.2f}: {'; '.join(words)}.")
    return said + ([result.equal_loss.words()] if result.equal_loss else [])


def cka_table(result: CkaAnalysis) -> pd.DataFrame:
    """Return one row per rho and layer."""
    return pd.DataFrame(
        {
            "rho": one.rho,
            "layer": one.layer,
            **with_limits("index", one.index),
            "null": one.null,
            **with_limits("above null", one.above_null),
            "before training": one.start,
        }
        for one in result.layers
    )
