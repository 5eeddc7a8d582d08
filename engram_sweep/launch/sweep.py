"""A whole sweep: check and lay out what is to be trained, then drive it to its end."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from engram_sweep.config.launch import Launch
from engram_sweep.corpus.shards import load, prepare, stamp
from engram_sweep.errors import UserError
from engram_sweep.launch.driver import Driver
from engram_sweep.launch.executors.protocol import Resources
from engram_sweep.launch.executors.registry import choose
from engram_sweep.launch.jobs import now
from engram_sweep.launch.notice import Notice
from engram_sweep.launch.status import RunStatus, Survey, folder_of
from engram_sweep.own_folders import (
    SHOWN,
    check_own,
    folders_below,
    own_folder,
    private_files,
    show_to_group,
)
from engram_sweep.placement import Placement
from engram_sweep.planning.cost import placement_of
from engram_sweep.planning.kept_weights import keeps_weights
from engram_sweep.planning.notes import too_short
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.record_cache import collect
from engram_sweep.runs.records import FILE_NAME, runs_folder, write_members
from engram_sweep.runs.work_order import WorkOrder


def sweep(
    plan: Plan,
    results: Path,
    watch: Callable[[list[RunStatus]], None],
    executor: str | None = None,
    corpus: Path | None = None,
    only: Collection[str] | None = None,
    since: str | None = None,
) -> list[RunStatus]:
    """Train a plan.

    Args:
        plan: the plan.
        results: results folder; everything of this sweep goes to `<results>/<scale>/`.
        watch: called with the state of all runs at every poll.
        executor: local, slurm or inline, instead of the scale's own choice.
        corpus: the folder of token shards if the corpus is the user's own; None takes
            `launch.corpus_path`.
        only: train these runs (ids), no others.
        since: when the sweep was asked for (ISO 8601, UTC), if that was before this call: `cancel`
            stops it from then on.

    Returns:
        The state of every run, at the end.

    Raises:
        UserError: the corpus is missing or another one, this machine is not what the scale asks
            for, a run does not fit into its GPUs, or the results folder cannot be written.
        KeyboardInterrupt: stopped; workers of this driver were asked to stop.
        BrokenPipeError: nobody reads what `watch` prints; workers end their runs.
    """
    check_path(results)
    private_files(plan.scale.results.group_readable)
    since = since or now()
    survey = Survey(plan, results)
    statuses = survey.poll(settle=True)
    others = {run.run_id for run in plan.runs if only is not None and run.run_id not in only}
    todo = [s for s in statuses if not s.finished and s.run.run_id not in others]
    launch = plan.scale.launch
    chosen = choose(launch, executor)
    if todo and (missing := chosen.what_is_missing(plan.scale)) is not None:
        raise UserError(missing)
    if todo:
        _check_trackers(launch)
    if corpus is None and launch.corpus_path is not None:
        corpus = Path(launch.corpus_path)
    # Many small workers side by side beat few with many threads each; set before torch is imported
    # anywhere.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        resources = chosen.resources(plan.scale) if todo else None
        placement = placement_of(plan, resources.shape) if resources else Placement()
        _refuse_foreign(plan, results, todo)
        orders: dict[str, WorkOrder] = {}
        if resources is not None:
            shards = prepare(plan.runs[0].spec.corpus, results / "corpora", corpus)
            _check_vocabulary(plan, shards)
            _check_window(plan, shards)
            orders = _work_orders(plan, todo, resources, placement, shards)
        _claim(plan, results)
        for status in todo:
            if not status.live:
                _lay_out(results, orders[status.run.run_id])
        members = [run.run_id for run in plan.runs]
        write_members(plan.scale.name, members, results, plan.scale.changes)
        if resources is not None:
            start = chosen.start(plan.scale, resources, results / plan.scale.name)
            parallel = chosen.max_concurrent(launch)
            notice = Notice(launch.notify, plan.scale.name, results / plan.scale.name)
            driver = Driver(
                survey,
                start,
                parallel,
                launch.retries,
                launch.timeout_minutes,
                watch,
                lay_out=lambda run: _lay_out(results, orders[run.run_id]),
                gave_up=notice.failed,
                given_up=others,
                since=since,
            )
            try:
                statuses = driver.run()
            except (OSError, UserError) as error:
                notice.stopped(error)
                raise
            notice.ended([s for s in statuses if s.run.run_id not in others])
            # Another driver may have started with another version of the YAML meanwhile; the
            # report that follows this sweep is of this one.
            write_members(plan.scale.name, members, results, plan.scale.changes)
        # Whoever reads the records next finds them as one table, if they are many.
        collect(runs_folder(results, plan.scale.name), FILE_NAME)
        return statuses
    except BrokenPipeError:
        # The terminal's (`| head -1`), not the folder's.
        raise
    except OSError as error:
        raise UserError(
            f"{results}: expected a results folder with room to write: {error}"
        ) from None


def _check_trackers(launch: Launch) -> None:
    """Refuse trackers whose package is not installed.

    Raises:
        UserError: one is not.
    """
    for name in launch.trackers:
        if importlib.util.find_spec(name) is None:
            raise UserError(
                f"launch.trackers: {name} is not installed; "
                f"{sys.executable} -m pip install {name} installs it"
            )


def check_path(results: Path) -> None:
    """Refuse a results folder that a scheduler would write elsewhere.

    SLURM and submitit put job ids in place of %j and the like in the paths of outputs, sbatch
    reads backslashes and line breaks in its own way.

    Raises:
        UserError: the path holds one of them.
    """
    path = str(results.resolve())
    for character in "%\\\n\r":
        if character in path:
            raise UserError(
                f"{path}: expected a results folder whose path has no {character!r}, which "
                "schedulers read in their own way; name another by --results"
            )


def _check_vocabulary(plan: Plan, folder: Path) -> None:
    """Refuse shards whose vocabulary is not the one that was planned.

    Raises:
        UserError: its size or the id that ends documents differs.
    """
    shards, planned = load(folder), plan.scale.corpus.vocabulary
    for key, wanted, found in (
        ("vocab_size", planned.size, len(shards.compression)),
        ("document_end", planned.document_end, shards.manifest.document_end),
    ):
        if wanted != found:
            raise UserError(
                f"{folder}: {key}: expected {wanted} (corpus.{key} of the scale), the shards have "
                f"{found}"
            )


def _check_window(plan: Plan, folder: Path) -> None:
    """Refuse a text that is shorter than one window: every run of it would fail.

    Raises:
        UserError: it is.
    """
    problem = too_short(plan.scale, load(folder).manifest.train_tokens)
    if problem is not None:
        raise UserError(f"{plan.scale.name}: {problem}")


def _lay_out(results: Path, order: WorkOrder) -> None:
    """Write what a worker is to do into its run folder, unless it lies there."""
    RunFolder(runs_folder(results, order.scale) / order.run_id).write_work_order(order)


def _refuse_foreign(plan: Plan, results: Path, todo: list[RunStatus]) -> None:
    """Check that the folders of a sweep that are there already are this user's own.

    Of finished runs nothing is read but the record: their folders may be what they are.

    Raises:
        UserError: a folder belongs to someone else, or others may write to it.
    """
    home = results / plan.scale.name
    there = (home / name for name in ("", "runs", "code", "jobs"))
    check_own(path for path in there if path.exists())
    for status in todo:
        check_own(folders_below(folder_of(status.run, results).path))


def _claim(plan: Plan, results: Path) -> None:
    """Make the folders of a sweep; the results folder around them may be a group's."""
    results.mkdir(parents=True, exist_ok=True)
    own_folder(results / plan.scale.name, SHOWN)
    runs = own_folder(runs_folder(results, plan.scale.name), SHOWN)
    if plan.scale.results.group_readable:
        for run in plan.runs:
            show_to_group(runs / run.run_id)


def _work_orders(
    plan: Plan,
    todo: list[RunStatus],
    resources: Resources,
    placement: Placement,
    shards: Path,
) -> dict[str, WorkOrder]:
    """Return what to train, by run id."""
    launch, shape, keep_weights = plan.scale.launch, resources.shape, keeps_weights(plan)
    fingerprint, stamped = load(shards).manifest.fingerprint, stamp(shards)
    return {
        run.run_id: WorkOrder(
            run_id=run.run_id,
            scale=run.scale,
            rho_asked=run.allocation.rho_asked,
            rows_per_head_asked=run.axes.rows_per_head,
            ledger=run.allocation.ledger.sums(),
            shards=str(shards.resolve()),
            corpus_fingerprint=fingerprint,
            corpus_stamp=stamped,
            threads=1,
            nodes=shape.nodes,
            devices=shape.devices,
            gpus_per_node=shape.gpus_per_node,
            signal_seconds=resources.signal_seconds,
            timeout_minutes=launch.timeout_minutes,
            checkpoint_minutes=launch.checkpoint_minutes,
            keep_weights=keep_weights,
            retries=launch.retries.model_dump(),
            group_readable=plan.scale.results.group_readable,
            placement=placement,
            trackers=launch.trackers,
            spec=run.spec,
        )
        for run in (status.run for status in todo)
    }
