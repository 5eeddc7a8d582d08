"""Check whether the curve is an artefact of one learning rate.

A sweep trains every rho at one learning rate. If pure MoE and a hybrid want different ones, part of
the gain is tuning. This search trains further rates at rho = 1, the middle and the lowest rho (or
others that are asked for), each with a study of its own; `engram-sweep rates` (package analysis)
says what they show.

Its runs are ordinary runs in `results/<scale>.tune/`, and it has no other state: each search first
reads what lies there, whoever trained it. So one that was interrupted, or is asked for more rates,
trains nothing twice. The sweep's own finished runs at these rho count too: their records are
copied, so that the folder holds everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from engram_sweep.atomic_files import write_atomically
from engram_sweep.config.scale import Scale
from engram_sweep.config.sweep import Arms
from engram_sweep.errors import UserError
from engram_sweep.launch.status import RunStatus, sweep_status
from engram_sweep.launch.sweep import check_path, sweep
from engram_sweep.own_folders import GROUP_SHOWN, PRIVATE, SHOWN, own_folder
from engram_sweep.planning.axes import AxisValues
from engram_sweep.planning.plan import Plan, PlannedRun, make_plan
from engram_sweep.runs.records import FILE_NAME, is_done, runs_folder
from engram_sweep.runs.work_order import read_work_order
from engram_sweep.search.rate_study import SPAN, RateStudy

AXES_OF_CONDITIONS = ("iso", "total_over_active", "tokens_per_active", "budgets")
"""Keys of a sweep with several conditions; the search takes the first value of each."""


@dataclass(frozen=True)
class Trial:
    """What one learning rate got at one rho."""

    rho: float
    """Share that was asked for."""
    learning_rate: float
    losses: dict[int, float]
    """Validation loss by seed, nats/token; NaN if the run diverged."""
    given_up: bool = False
    """Whether it was surely worse, or diverged, before all of its seeds were trained."""

    @property
    def mean(self) -> float:
        """Mean loss over seeds, nats/token; NaN if one diverged."""
        return sum(self.losses.values()) / len(self.losses)


def probes(scale: Scale, asked: Sequence[float] = ()) -> tuple[float, ...]:
    """Return the shares whose rates are searched: rho = 1, the middle and the lowest by default.

    Args:
        scale: whose learning rate is in question.
        asked: shares of its grid to search in place of those, e.g. (1.0, 0.5).

    Raises:
        UserError: the scale has no rho below 1, varies table sizes in place of rho, or an asked
            share is not of its grid.
    """
    grid, source = scale.sweep.rho, f"sweeps/{scale.name}.yaml"
    if scale.sweep.rows_per_head:
        raise UserError(
            f"{source}: sweep.rows_per_head: tune compares rho = 1 with a rho below 1 at one "
            "P_tot, expected no table sizes"
        )
    if outside := [rho for rho in asked if rho not in grid]:
        known = ", ".join(f"{rho:g}" for rho in grid)
        raise UserError(f"--rho: expected shares of {source} ({known}), got {outside[0]:g}")
    inside = sorted(rho for rho in grid if rho < 1)
    if not inside:
        raise UserError(
            f"{source}: sweep.rho: tune compares rho = 1 with a rho below 1, expected one"
        )
    return tuple(dict.fromkeys(asked)) or tuple(
        dict.fromkeys((1.0, inside[len(inside) // 2], inside[0]))
    )


def trial_plan(
    scale: Scale, learning_rate: float, shares: Sequence[float], seeds: Sequence[int]
) -> Plan:
    """Return the plan of one learning rate at some shares: the first condition, no arms."""
    section = scale.sweep.model_copy(
        update={
            "rho": tuple(shares),
            "seeds": tuple(seeds),
            "anchor_seeds": (),
            "arms": Arms(),
            "variants": {},
            "variant_rho": (),
            "design": "grid",
            "full": None,
            **{key: getattr(scale.sweep, key)[:1] for key in AXES_OF_CONDITIONS},
        }
    )
    training = scale.training.model_copy(update={"learning_rate": learning_rate})
    name = f"{scale.name}.tune"
    return make_plan(
        scale.model_copy(update={"name": name, "sweep": section, "training": training})
    )


def tune(
    scale: Scale,
    results: Path,
    rates: int,
    watch: Callable[[list[RunStatus]], None],
    executor: str | None = None,
    corpus: Path | None = None,
    rho: Sequence[float] = (),
) -> list[Trial]:
    """Train learning rates at some shares until each has `rates` of them, the scale's own first.

    All shares go on at once, a rate of each at a time.

    Args:
        scale: whose learning rate is in question; its seeds are those of every rate.
        results: results folder.
        rates: how many rates there are to be at each share, those on disk included.
        watch: called with the state of all runs at every poll.
        executor: local, slurm or inline, instead of the scale's own choice.
        corpus: the folder of token shards if the corpus is the user's own.
        rho: shares of the scale's grid (default: `probes`).

    Returns:
        All trials, by share and rate.

    Raises:
        UserError: a run failed (not: diverged), as `probes`, or the results folder cannot be
            written.
    """
    own, seeds, shares = scale.training.learning_rate, scale.sweep.seeds, probes(scale, rho)
    # Planning a large scale takes a while, and every round asks for the same runs again.
    runs_at = cache(lambda share, rate, some: trial_plan(scale, rate, (share,), some).runs)
    check_path(results)
    _adopt(scale, results, [run for share in shares for run in runs_at(share, own, _seeds(scale))])

    losses = {share: losses_on_disk(scale, results, share) for share in shares}
    studies = {share: RateStudy(own, seeds, rates, losses[share]) for share in shares}
    while True:
        asked = {share: one for share, study in studies.items() if (one := study.ask())}
        # Whatever is known is part of the plan, so that the table of these runs holds it.
        cells = [
            (share, rate, tuple(found))
            for share, study in studies.items()
            for rate, found in study.losses.items()
        ]
        cells += [(share, rate, some) for share, (rate, some) in asked.items()]
        plan = _as_one(
            trial_plan(scale, own, shares, seeds), (run for cell in cells for run in runs_at(*cell))
        )
        new = {run.run_id for share, one in asked.items() for run in runs_at(share, *one)}
        statuses = sweep(plan, results, partial(_show, watch, new), executor, corpus)
        if failed := [status for status in statuses if not status.finished]:
            run = failed[0].run
            rate = run.spec.training.learning_rate
            raise UserError(f"learning rate {rate:g}: run {run.run_id} failed: {failed[0].failure}")
        if not asked:
            return [
                Trial(
                    share, rate, {s: found[s] for s in seeds if s in found}, rate in study.given_up
                )
                for share, study in studies.items()
                for rate, found in sorted(study.losses.items())
            ]
        loss_of = {status.run.run_id: _loss(status) for status in statuses}
        for share, (rate, some) in asked.items():
            runs = runs_at(share, rate, some)
            studies[share].learn(rate, {run.spec.seed: loss_of[run.run_id] for run in runs})


def losses_on_disk(scale: Scale, results: Path, share: float) -> dict[float, dict[int, float]]:
    """Return the losses of all finished runs at one share of a scale as it is now.

    Args:
        scale: whose learning rate is in question.
        results: results folder.
        share: rho, as asked for.

    Returns:
        Losses (nats/token, NaN if diverged) by rate and seed.
    """
    own = scale.training.learning_rate
    rates = {own}
    for folder in runs_folder(results, f"{scale.name}.tune").glob("*"):
        try:
            rates.add(read_work_order(folder).spec.training.learning_rate)
        except ValueError:
            continue  # a copied record without a work order, or one of another version
    found = {}
    for rate in sorted(rate for rate in rates if own / SPAN <= rate <= own * SPAN):
        # A run id holds everything but the place: runs of another scale have other ids.
        seeds = _seeds(scale) if rate == own else scale.sweep.seeds
        plan = trial_plan(scale, rate, (share,), seeds)
        done = [status for status in sweep_status(plan, results) if status.finished]
        if done:
            found[rate] = {status.run.spec.seed: _loss(status) for status in done}
    return found


def _seeds(scale: Scale) -> tuple[int, ...]:
    """Return every seed that the sweep, or its full version, trains at its own rate."""
    full = scale.in_full().sweep
    some = (*scale.sweep.seeds, *scale.sweep.anchor_seeds, *full.seeds, *full.anchor_seeds)
    return tuple(dict.fromkeys(some))


def _adopt(scale: Scale, results: Path, runs: Iterable[PlannedRun]) -> None:
    """Copy the records of the sweep's own finished runs into the folder of its trials.

    Raises:
        UserError: the results folder cannot be written, or belongs to someone else.
    """
    ours, theirs = (runs_folder(results, name) for name in (f"{scale.name}.tune", scale.name))
    mode = GROUP_SHOWN if scale.results.group_readable else PRIVATE
    for run in runs:
        source, target = theirs / run.run_id, ours / run.run_id
        if is_done(target, run.run_id) or not is_done(source, run.run_id):
            continue
        whole = (source / FILE_NAME).read_bytes()
        try:
            results.mkdir(parents=True, exist_ok=True)
            own_folder(ours.parent, SHOWN)
            own_folder(ours, SHOWN)
            own_folder(target, mode)
            write_atomically(target / FILE_NAME, partial(Path.write_bytes, data=whole))
        except OSError as error:
            raise UserError(
                f"{results}: expected a results folder with room to write: {error}"
            ) from None


def _as_one(plan: Plan, runs: Iterable[PlannedRun]) -> Plan:
    """Return a plan with other runs, trained in the order of their seeds and ids.

    Each has its rate as the name of its curve, so that curves of several rates are kept apart.
    """
    distinct = {run.run_id: run for run in runs}.values()
    ordered = sorted(distinct, key=lambda run: (run.spec.seed, run.run_id))
    placed = []
    for place, run in enumerate(ordered):
        at = AxisValues((("learning_rate", run.spec.training.learning_rate),))
        placed.append(replace(run, place=place, axes=at))
    return replace(plan, runs=tuple(placed))


def _loss(status: RunStatus) -> float:
    return math.nan if status.validation_loss is None else status.validation_loss


def _show(
    watch: Callable[[list[RunStatus]], None], shown: set[str], statuses: list[RunStatus]
) -> None:
    """Show the runs of this round only: a curve over runs of all rates would be none."""
    watch([status for status in statuses if status.run.run_id in shown])


def best(trials: Sequence[Trial], rho: float) -> Trial | None:
    """Return the trial with the lowest mean loss at one rho; None if all of them diverged there."""
    finite = [trial for trial in trials if trial.rho == rho and math.isfinite(trial.mean)]
    return min(finite, key=lambda trial: trial.mean, default=None)
