"""What is to be known of a plan before a launch: what is refused, cannot work, or was rounded."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from engram_sweep.config.scale import Scale
from engram_sweep.config.slurm import Shape
from engram_sweep.errors import UserError
from engram_sweep.planning.bill import too_large
from engram_sweep.planning.cost import over_gpu_hours
from engram_sweep.planning.placement import check_micro_windows, mesh_of, shape_of
from engram_sweep.planning.plan import Plan

MIN_ROUNDING = 0.01
"""Relative difference of asked and planned tokens from which it is worth a note."""

MIN_RHOS = 3
"""Values of rho that `fit` needs for a curve."""


def plan_notes(
    plan: Plan, cost: dict[str, Any], text_tokens: int | None, occupied: Shape | None = None
) -> list[str]:
    """Return the notes of a plan, one line each, what stops a launch first.

    Args:
        plan: the plan.
        cost: `engram_sweep.planning.cost.cost` of it.
        text_tokens: training tokens of the text, None if that is not known.
        occupied: nodes and processes of one run; None takes what the scale says.
    """
    notes = []
    if text_tokens is not None and (problem := too_short(plan.scale, text_tokens)) is not None:
        notes.append(f"CANNOT TRAIN: {problem}")
    if refusal := _misplaced(plan, occupied) or launch_refusal(plan, cost):
        notes.append(f"REFUSED AT LAUNCH: {refusal}")
    notes += _few_rhos(plan.scale)
    notes += _merged(plan)
    notes += _rounded(plan)
    if text_tokens is not None:
        notes += _epochs(plan, text_tokens)
    return notes


def launch_refusal(plan: Plan, cost: dict[str, Any]) -> str | None:
    """Return why a launch of the whole plan would be refused on its GPUs, None if it would not."""
    if "gpu_hours" not in cost:
        return None
    if not cost["fits"]:
        return too_large(cost)
    return over_gpu_hours(plan, cost["gpu_hours"])


def too_short(scale: Scale, text_tokens: int) -> str | None:
    """Return that a text is shorter than one window, in words; None if it is not.

    Args:
        scale: the sweep.
        text_tokens: training tokens of its text.
    """
    window = scale.training.window
    if text_tokens > window:
        return None
    return (
        f"training.window: expected less than the {text_tokens:,} tokens of the training text, "
        f"got {window:,}"
    )


def _misplaced(plan: Plan, occupied: Shape | None) -> str | None:
    """Return why runs cannot be cut over their processes as asked, None if they can."""
    try:
        check_micro_windows(plan, mesh_of(plan.scale.launch, occupied or shape_of(plan.scale)))
    except UserError as error:
        return str(error)
    return None


def _few_rhos(scale: Scale) -> list[str]:
    """Return a note if a curve is begun that nothing can be fitted to; one rho is no curve."""
    sweep = scale.sweep
    if len(sweep.rho) != MIN_RHOS - 1 or sweep.variants:
        return []
    return [
        f"sweep.rho: a fit takes at least {MIN_RHOS} values, {list(sweep.rho)} are {len(sweep.rho)}"
    ]


def _merged(plan: Plan) -> list[str]:
    """Return a note for each run that several values of rho ask for."""
    asked: dict[str, list[float]] = defaultdict(list)
    for identity, rho in plan.asked:
        asked[identity].append(rho)
    places = {
        (run.spec.arm, run.spec.rho, tuple(sorted(set(asked[run.run_id]))))
        for run in plan.runs
        if len(set(asked[run.run_id])) > 1
    }
    return [
        f"rho {' and '.join(f'{rho:g}' for rho in values)} ({arm}) are one run, with the same "
        f"whole number of experts: rho {realised:.4f}"
        for arm, realised, values in sorted(places)
    ]


def _rounded(plan: Plan) -> list[str]:
    """Return a note if whole steps are far from the tokens that were asked for."""
    training = plan.scale.training
    step = training.window * training.batch_windows
    asked = training.tokens
    planned = max((run.tokens for run in plan.runs), default=0)
    if asked is None or abs(planned / asked - 1) < MIN_ROUNDING:
        return []
    return [
        f"training.tokens: {asked:,} are trained as {planned:,}, in whole steps of "
        f"training.window x batch_windows = {step:,} tokens"
    ]


def _epochs(plan: Plan, text_tokens: int) -> list[str]:
    """Return a note if a run sees its text several times, or one step sees some of it twice."""
    training = plan.scale.training
    windows = max(1, (text_tokens - 1) // training.window)
    notes = []
    if training.batch_windows > windows:
        notes.append(
            f"training.batch_windows: a step has {training.batch_windows:,} windows, the text "
            f"{windows:,}: every step reads all of it, and some of it again"
        )
    epochs = max((run.tokens for run in plan.runs), default=0) / text_tokens
    if epochs > 1:
        notes.append(f"the longest run reads its {text_tokens:,} tokens of text {epochs:.1f} times")
    return notes
