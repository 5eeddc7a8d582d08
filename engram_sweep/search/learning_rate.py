"""Check whether the curve is an artefact of one learning rate.

Optuna proposes learning rates, the driver trains them at two rho.

A sweep trains every rho at one learning rate. If pure MoE and the hybrid want different ones, part
of the gain is tuning. This check finds the best rate of each; the scale's own should be near both.
Trials are ordinary runs in `results/<scale>.tune/`, and the search has no other state: every check
first reads what lies there, whoever trained it, and gives finished rates to Optuna (`add_trial`).
So a check that was interrupted, or is asked for more rates, trains nothing twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engram_sweep.config.scale import Scale
from engram_sweep.config.sweep import Arms
from engram_sweep.errors import UserError
from engram_sweep.launch.status import RunStatus, sweep_status
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.runs.records import runs_folder
from engram_sweep.runs.work_order import read_work_order

SPAN = 4.0
"""Rates are searched between the scale's own over and times this."""
STARTUP = 4
"""Rates that are chosen at random before the sampler learns from losses."""
MAX_ASKS = 20
"""Times that the sampler is asked for each rate: rates are rounded, so it may repeat itself."""
DIVERGED = 1e9
"""What a rate that diverges at a probe is told to cost, nats/token."""


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
    """Return the plan of one trial: both probes, the first seed and iso mode, nothing beside."""
    section = scale.sweep.model_copy(
        update={
            "rho": probes(scale),
            "seeds": scale.sweep.seeds[:1],
            "iso": scale.sweep.iso[:1],
            "anchor_seeds": (),
            "arms": Arms(),
            "variants": {},
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
    """Train learning rates at both probes until `trials` are finished, the scale's own first.

    Args:
        scale: whose learning rate is in question.
        results: results folder.
        trials: how many rates there are to be in all, those on disk included.
        watch: called with the state of the current trial's runs at every poll.
        executor: local, slurm or inline, instead of the scale's own choice.
        corpus: the folder of token shards if the corpus is the user's own.

    Returns:
        All finished trials, sorted by learning rate.

    Raises:
        UserError: a run failed (not: diverged), or the scale has no rho below 1.
    """
    import optuna  # takes a second, and only this command needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    own = scale.training.learning_rate
    space = optuna.distributions.FloatDistribution(own / SPAN, own * SPAN, log=True)
    sampler = optuna.samplers.TPESampler(seed=0, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler)
    done, begun = rates_on_disk(scale, results)
    for trial in done:
        study.add_trial(
            optuna.trial.create_trial(
                params={"learning_rate": trial.learning_rate},
                distributions={"learning_rate": space},
                value=_cost(trial),
            )
        )
    known = {trial.learning_rate: trial for trial in done}
    # The scale's own rate comes first, then those that an interrupted check left half trained.
    for rate in (own, *begun):
        if rate not in known:
            study.enqueue_trial({"learning_rate": rate})
    for _ in range(trials * MAX_ASKS):
        if len(known) >= trials and own in known:
            break
        asked = study.ask({"learning_rate": space})
        rate = asked.params["learning_rate"]
        if rate not in (own, *begun):
            # Two digits: a rate that a person can write down, and fewer near-repeats.
            rate = float(f"{rate:.2g}")
        if rate not in known:
            known[rate] = _train(scale, rate, results, watch, executor, corpus)
        study.tell(asked, _cost(known[rate]))
    return sorted(known.values(), key=lambda trial: trial.learning_rate)


def rates_on_disk(scale: Scale, results: Path) -> tuple[list[Trial], list[float]]:
    """Return what a results folder holds of the check of a scale as it is now.

    Args:
        scale: whose learning rate is in question.
        results: results folder.

    Returns:
        Finished rates by rate, and rates of which only some runs are finished or none.
    """
    rates = set()
    for folder in runs_folder(results, f"{scale.name}.tune").glob("*"):
        try:
            rates.add(read_work_order(folder).spec.training.learning_rate)
        except ValueError:
            continue  # of another version: the next launch writes it anew
    done, begun = [], []
    own = scale.training.learning_rate
    for rate in sorted(rate for rate in rates if own / SPAN <= rate <= own * SPAN):
        plan = trial_plan(scale, rate)
        # A run id holds everything but the place: other ids are trials of another scale.
        if not any((runs_folder(results, plan.scale.name) / r.run_id).exists() for r in plan.runs):
            continue
        statuses = sweep_status(plan, results)
        if all(status.finished for status in statuses):
            done.append(_trial(rate, statuses))
        else:
            begun.append(rate)
    return done, begun


def _train(
    scale: Scale,
    rate: float,
    results: Path,
    watch: Callable[[list[RunStatus]], None],
    executor: str | None,
    corpus: Path | None,
) -> Trial:
    """Train one rate at both probes.

    Raises:
        UserError: a run failed (not: diverged).
    """
    statuses = sweep(trial_plan(scale, rate), results, watch, executor, corpus)
    if failed := [status for status in statuses if not status.finished]:
        raise UserError(
            f"learning rate {rate:g}: run {failed[0].run.run_id} failed: {failed[0].failure}"
        )
    return _trial(rate, statuses)


def _trial(rate: float, statuses: list[RunStatus]) -> Trial:
    losses = {
        s.run.spec.rho: s.validation_loss if s.validation_loss is not None else math.nan
        for s in statuses
    }
    return Trial(rate, losses)


def _cost(trial: Trial) -> float:
    """Return what the search minimises: the mean loss of both probes, nats/token."""
    mean = sum(trial.losses.values()) / len(trial.losses)
    return mean if math.isfinite(mean) else DIVERGED


def best(trials: list[Trial], rho: float) -> Trial | None:
    """Return the trial with the lowest loss at one rho; None if all of them diverged there."""
    finite = [trial for trial in trials if math.isfinite(trial.losses[rho])]
    return min(finite, key=lambda trial: trial.losses[rho], default=None)
