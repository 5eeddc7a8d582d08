"""Check whether the curve is an artefact of one learning rate.

Optuna proposes learning rates, the driver trains them at two rho.

A sweep trains every rho at one learning rate. If pure MoE and the hybrid want different ones, part
of the gain is tuning. This check finds the best rate of each; the scale's own should be near both.
Trials are ordinary runs in `results/<scale>.tune/`: an interrupted check goes on where it stopped,
because a seeded sampler that gets the same losses asks for the same rates again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engram_sweep.config.scale import Scale
from engram_sweep.config.sweep import Arms
from engram_sweep.errors import UserError
from engram_sweep.launch.status import RunStatus
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan, make_plan

SPAN = 4.0
"""Rates are searched between the scale's own over and times this."""


@dataclass(frozen=True)
class Trial:
    """Validation losses (nats/token) of one learning rate, by realised rho; NaN if diverged."""

    learning_rate: float
    losses: dict[float, float]


def probes(scale: Scale) -> tuple[float, float]:
    """Return the two rho that are compared: pure MoE and the middle of the grid.

    Raises:
        UserError: the scale has no rho below 1, or varies table sizes in place of rho.
    """
    if scale.sweep.rows_per_head:
        raise UserError(
            f"sweeps/{scale.name}.yaml: sweep.rows_per_head: tune compares rho = 1 with a rho "
            "below 1 at one P_tot, expected no table sizes"
        )
    inside = sorted(rho for rho in scale.sweep.rho if rho < 1)
    if not inside:
        raise UserError(
            f"sweeps/{scale.name}.yaml: sweep.rho: tune compares rho = 1 with a rho below 1, "
            "expected one"
        )
    return 1.0, inside[len(inside) // 2]


def trial_plan(scale: Scale, learning_rate: float) -> Plan:
    """Return the plan of one trial: both probes, the first seed and iso mode, no arms."""
    section = scale.sweep.model_copy(
        update={
            "rho": probes(scale),
            "seeds": scale.sweep.seeds[:1],
            "iso": scale.sweep.iso[:1],
            "anchor_seeds": (),
            "arms": Arms(),
        }
    )
    training = scale.training.model_copy(update={"learning_rate": learning_rate})
    return make_plan(
        scale.model_copy(
            update={"name": f"{scale.name}.tune", "sweep": section, "training": training}
        )
    )


def tune(
    scale: Scale,
    results: Path,
    trials: int,
    watch: Callable[[list[RunStatus]], None],
    executor: str | None = None,
    corpus: Path | None = None,
) -> list[Trial]:
    """Train `trials` learning rates at both probes, the scale's own first.

    Args:
        scale: whose learning rate is in question.
        results: results folder.
        trials: how many rates.
        watch: called with the state of the current trial's runs at every poll.
        executor: local, slurm or inline, instead of the scale's own choice.
        corpus: the folder of token shards if the corpus is the user's own.

    Returns:
        The trials, sorted by learning rate.

    Raises:
        UserError: a run failed (not: diverged), or the scale has no rho below 1.
    """
    import optuna  # takes a second, and only this command needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own = scale.training.learning_rate
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=4))
    study.enqueue_trial({"learning_rate": own})
    done: list[Trial] = []
    for _ in range(trials):
        asked = study.ask()
        # Two digits: a rate that a person can write down, and fewer near-repeats.
        rate = float(
            f"{asked.suggest_float('learning_rate', own / SPAN, own * SPAN, log=True):.2g}"
        )
        statuses = sweep(trial_plan(scale, rate), results, watch, executor, corpus)
        if failed := [status for status in statuses if not status.finished]:
            raise UserError(
                f"learning rate {rate:g}: run {failed[0].run.run_id} failed: {failed[0].failure}"
            )
        losses = {
            s.run.spec.rho: s.validation_loss if s.validation_loss is not None else math.nan
            for s in statuses
        }
        mean = sum(losses.values()) / len(losses)
        study.tell(asked, mean if math.isfinite(mean) else 1e9)
        done.append(Trial(rate, losses))
    return sorted(done, key=lambda trial: trial.learning_rate)


def best(trials: list[Trial], rho: float) -> Trial | None:
    """Return the trial with the lowest loss at one rho; None if all of them diverged there."""
    finite = [trial for trial in trials if math.isfinite(trial.losses[rho])]
    return min(finite, key=lambda trial: trial.losses[rho], default=None)
