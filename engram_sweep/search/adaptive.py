"""An adaptive sweep: train a pilot, look, train what the look chose, until the rules end it.

The loop has no state but the records. Started again after whatever stopped it, it goes through its
looks once more: each sees the runs that were finished when the last run of the looks before it was,
so it decides the same. Runs of the grid that were trained for another reason count from that time
on too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from engram_sweep.errors import UserError
from engram_sweep.launch.jobs import now
from engram_sweep.launch.status import RunStatus, sweep_status
from engram_sweep.launch.sweep import check_path, sweep
from engram_sweep.own_folders import SHOWN, own_folder
from engram_sweep.planning.adaptive import (
    Finished,
    Look,
    Proposer,
    by_cell,
    design_of,
    pilot,
    rules_of,
    with_runs,
)
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.design_note import write_looks, write_rules
from engram_sweep.runs.record_cache import FOLDER, collect
from engram_sweep.runs.records import FILE_NAME, noted_members, runs_folder, write_members

GROUP = "engram_sweep.designs"
"""Entry points of what chooses runs: a `Proposer` each."""
COLUMNS = ("run_id", "outcome", "validation_loss", "finished_at")
"""Columns of a record that a look is made of."""


def proposer(name: str = "adaptive") -> Proposer:
    """Return what chooses the runs of a design, from the package that brings it.

    Raises:
        UserError: no installed package does.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise UserError(
            f"sweep.design: {name}: expected an installed package with the entry point {name} of "
            f"{GROUP} (this project's own is in its package analysis), got none; make installs it"
        )
    return next(iter(found)).load()


def adaptive_sweep(
    plan: Plan,
    results: Path,
    watch: Callable[[list[RunStatus]], None],
    say: Callable[[str], None],
    propose: Proposer,
    executor: str | None = None,
    corpus: Path | None = None,
    since: str | None = None,
) -> list[RunStatus]:
    """Train an adaptive scale until its rules end it.

    Args:
        plan: all candidates (`make_plan` of the scale).
        results: results folder.
        watch: called with the state of the present runs at every poll.
        say: called with a line for every look and every run that it chose.
        propose: looks at the losses and chooses runs.
        executor: local, slurm or inline, instead of the scale's own choice.
        corpus: the folder of token shards if the corpus is the user's own.
        since: when the sweep was asked for, if that was before this call.

    Returns:
        The state of every run that was chosen or counted; unfinished ones if a run failed.

    Raises:
        UserError: as `launch.sweep.sweep`, or the rules are not those noted before the first run.
    """
    scale, design = plan.scale, design_of(plan)
    runs, since = by_cell(plan, design), since or now()
    # The rules are on disk before anything is trained.
    check_path(results)
    try:
        results.mkdir(parents=True, exist_ok=True)
        own_folder(results / scale.name, SHOWN)
        write_rules(scale.name, rules_of(plan), results, scale.changes)
    except OSError as error:
        raise UserError(
            f"{results}: expected a results folder with room to write: {error}"
        ) from None

    chosen = {runs[place].run_id for place in pilot(design)}
    counted: set[str] = set()
    looks: list[dict[str, Any]] = []
    while True:
        present = with_runs(plan, chosen | counted)
        statuses = sweep_status(present, results)
        if not all(status.finished for status in statuses):
            statuses = sweep(present, results, watch, executor, corpus, since=since)
        if not all(status.finished for status in statuses):
            return statuses
        # What was finished by the time that the last chosen run was; later runs wait for their
        # turn, so that a look sees the same whenever it is taken again.
        records = _records(plan, results)
        until = max(records[run_id][1] for run_id in chosen)
        counted = {run_id for run_id, (_, at) in records.items() if at <= until}
        done = [
            Finished(cell, seed, records[run.run_id][0])
            for (cell, seed), run in runs.items()
            if run.run_id in counted
        ]
        look = propose(design, done, len(looks) + 1)
        batch = [runs[one.cell, one.seed].run_id for one in look.batch]
        looks.append(_noted(look, batch))
        for line in _lines(look, len(looks), plan, batch):
            say(line)
        _note(plan, results, chosen | counted | set(batch), looks)
        if look.stop:
            return sweep_status(with_runs(plan, chosen | counted), results)
        chosen |= set(batch)


def begun(plan: Plan, results: Path) -> Plan:
    """Return the plan of an adaptive sweep's runs so far: its pilot, and what was chosen since."""
    design = design_of(plan)
    runs = by_cell(plan, design)
    first = {runs[place].run_id for place in pilot(design)}
    noted = noted_members(plan.scale.name, results, plan.scale.changes) or set()
    return with_runs(plan, first | noted)


def _records(plan: Plan, results: Path) -> dict[str, tuple[float, datetime]]:
    """Return loss (NaN if diverged) and end of every finished candidate, by run id."""
    ours = {run.run_id for run in plan.runs}
    table, _ = collect(runs_folder(results, plan.scale.name), FILE_NAME, COLUMNS)
    found = {}
    for row in table.to_pylist():
        if row["run_id"] == row[FOLDER] and row["run_id"] in ours:
            ok = row["outcome"] == "ok" and row["validation_loss"] is not None
            loss = row["validation_loss"] if ok else math.nan
            found[row["run_id"]] = loss, row["finished_at"]
    return found


def _noted(look: Look, batch: list[str]) -> dict[str, Any]:
    """Return a look as plain data."""
    reasons = [one.reason for one in look.batch]
    return {"width": look.width, "words": look.words, "runs": batch, "reasons": reasons}


def _note(plan: Plan, results: Path, members: set[str], looks: list[dict[str, Any]]) -> None:
    """Note what the sweep consists of so far, and why.

    Raises:
        UserError: the results folder cannot be written.
    """
    scale = plan.scale
    try:
        write_members(scale.name, sorted(members), results, scale.changes)
        write_looks(scale.name, looks, results, scale.changes)
    except OSError as error:
        raise UserError(
            f"{results}: expected a results folder with room to write: {error}"
        ) from None


def _lines(look: Look, number: int, plan: Plan, batch: list[str]) -> list[str]:
    """Return a look in words: what it saw, and every run that it chose with its reason."""
    lines = [f"look {number} of at most {plan.scale.sweep.adaptive.looks}: {look.words}"]
    asked = {run.run_id: run for run in plan.runs}
    for run_id, one in zip(batch, look.batch, strict=True):
        run = asked[run_id]
        length = run.axes.get("tokens_per_active")
        lines.append(
            f"  rho {run.allocation.rho_asked:g}, length {length}, seed {run.spec.seed}: "
            f"{one.reason}"
        )
    return lines
