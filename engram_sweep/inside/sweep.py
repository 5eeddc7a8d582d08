"""A measure over all finished runs of a sweep: what is measured already is left as it is."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from engram_sweep.errors import UserError
from engram_sweep.inside.measure import measure_of
from engram_sweep.runs.measures import is_measured, write_measured
from engram_sweep.runs.records import read_runs, runs_folder


@dataclass(frozen=True)
class Outcome:
    """How many runs of a sweep were measured, and how many had been."""

    measured: int
    known: int


def measure_sweep(
    scale: str,
    results: Path,
    name: str,
    changes: Collection[str] = (),
    jobs: int = 0,
    watch: Callable[[int, int], None] = lambda done, total: None,
    anyway: bool = False,
) -> Outcome:
    """Measure every finished run of a sweep that this version has not measured.

    Args:
        scale: its name.
        results: results folder.
        name: of the measure (`measure.SUMMARIES`).
        changes: as in `read_runs`.
        jobs: processes; 0 for one per core, 1 for this one.
        watch: called with the runs that are done and all that are to be, each time one is.
        anyway: measure also if the measure can show nothing in these runs (`Measure.hopeless`).

    Raises:
        UserError: there is no finished run, or one cannot be measured: it has no weights, say.
            What was measured before stays. Or the measure can show nothing: nothing is measured.
    """
    runs = read_runs(scale, results, changes)
    runs = runs.loc[runs["outcome"] == "ok"]
    # Runs of one seed share their text's strata, so they come together.
    seeds_first = runs.sort_values(["seed", "rho"], kind="stable")
    folders = [runs_folder(results, scale) / run for run in seeds_first["run_id"]]
    measure = measure_of(name)
    todo = [folder for folder in folders if not is_measured(folder, name)]
    if todo and not anyway and measure.hopeless and (reason := measure.hopeless(runs)):
        raise UserError(f"{scale}, {name}: {reason}")
    jobs = min(jobs or os.cpu_count() or 1, len(todo))
    if jobs <= 1:
        for done, folder in enumerate(todo, start=1):
            measure_run(folder, name)
            watch(done, len(todo))
    else:
        _side_by_side(todo, name, jobs, watch)
    return Outcome(len(todo), len(folders) - len(todo))


def _side_by_side(
    todo: list[Path], name: str, jobs: int, watch: Callable[[int, int], None]
) -> None:
    """Measure runs in several processes of one thread each; the first refusal ends it."""
    # A fresh process each: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context) as pool:
        tasks = [pool.submit(_alone, folder, name) for folder in todo]
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                if (problem := task.result()) is not None:
                    raise UserError(problem)
                watch(done, len(todo))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _alone(folder: Path, name: str) -> str | None:
    """Measure a run in a process of its own; return why it was refused, which pickles as text."""
    import torch

    torch.set_num_threads(1)
    try:
        measure_run(folder, name)
    except UserError as error:
        return str(error)
    return None


def measure_run(folder: Path, name: str) -> None:
    """Measure one run and write what was found beside its record.

    Args:
        folder: the run folder.
        name: of the measure.

    Raises:
        UserError: the run has no weights, or those of another; what was found is not finite; or the
            folder cannot be written.
    """
    from engram_sweep.inside.trained import open_run

    measure = measure_of(name)
    found = measure.of_run(open_run(folder))
    try:
        write_measured(folder, name, found)
    except OSError as error:
        raise UserError(
            f"{folder}: expected a run folder with room to write: {error.strerror or error}"
        ) from None
