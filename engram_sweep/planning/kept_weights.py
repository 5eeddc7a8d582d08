"""Whether the runs of a sweep keep their final weights, and what that takes on disk."""

from __future__ import annotations

from engram_sweep.planning.plan import Plan, PlannedRun

WEIGHT_BYTES = 4
"""Weights are float32; autocast computes in bf16."""
MAX_KEPT_BYTES = 100_000_000
"""A sweep whose largest model takes more keeps no weights unless `launch.keep_weights` says so."""


def weight_bytes(run: PlannedRun) -> int:
    """Return the bytes of one run's weights, embedding and LM head included."""
    return WEIGHT_BYTES * sum(entry.count for entry in run.allocation.ledger.entries)


def keeps_weights(plan: Plan) -> bool:
    """Return whether the runs of a plan keep their final weights.

    `launch.keep_weights` says so; if it is left out, they do if the largest model is small. One
    answer for the whole sweep: a curve of which half can be looked into would help nobody.
    """
    if plan.scale.launch.keep_weights is not None:
        return plan.scale.launch.keep_weights == "final"
    return max(weight_bytes(run) for run in plan.runs) <= MAX_KEPT_BYTES


def kept_bytes(plan: Plan) -> int:
    """Return the bytes of the final weights that a sweep leaves on disk."""
    return sum(weight_bytes(run) for run in plan.runs) if keeps_weights(plan) else 0
