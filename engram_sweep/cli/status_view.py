"""What a person reads of a sweep's runs: their status and its outcome."""

from __future__ import annotations

from rich.text import Text

from engram_sweep.cli.curve_view import curve_columns, duration, sentences, shown_points
from engram_sweep.cli.plan_view import console
from engram_sweep.cli.tables import Column, is_ascii, print_table
from engram_sweep.launch.forecast import curve_so_far
from engram_sweep.launch.status import RunStatus, counts

_COLOURS = {
    "planned": "dim",
    "queued": "blue",
    "running": "cyan",
    "preempted": "magenta",
    "done": "green",
    "diverged": "yellow",
    "failed": "red",
}


MAX_LISTED = 200
"""If a sweep has more runs, those that are as they should be are counted, not listed."""
ORDINARY = ("planned", "queued", "done")
MAX_LOGS = 5
"""How many failed runs are shown with the last lines of their log."""


def print_status(scale: str, statuses: list[RunStatus]) -> None:
    """Print one line per run, and the last log lines of those that failed."""
    listed = [s for s in statuses if len(statuses) <= MAX_LISTED or s.state not in ORDINARY]
    losses = [s.validation_loss for s in listed]
    speeds = [s.tokens_per_second for s in listed]
    columns = (
        Column("run", [s.run.run_id[:8] for s in listed], right=False),
        Column("arm", [s.run.spec.arm for s in listed], rank=3, right=False),
        Column("rho", [f"{s.run.spec.rho:.3f}" for s in listed]),
        Column("seed", [str(s.run.spec.seed) for s in listed]),
        Column("state", [Text(s.state, style=_COLOURS[s.state]) for s in listed], right=False),
        Column("step", [f"{s.step}/{s.steps}" if s.step is not None else "" for s in listed], 4),
        Column("tokens/s", [f"{speed:,.0f}" if speed else "" for speed in speeds], rank=5),
        Column("time left", [duration(s.seconds_left) for s in listed], rank=1),
        Column("train loss", [f"{s.train_loss:.3f}" if s.train_loss else "" for s in listed], 2),
        Column("validation loss", [f"{loss:.4f}" if loss is not None else "" for loss in losses]),
        Column("reason", [Text(reason(s)) for s in listed], right=False, folds=True),
    )
    out = console()
    print_table(out, f"{scale}: {_summary(statuses)}", columns)
    if len(listed) < len(statuses):
        out.print(
            f"{len(statuses) - len(listed)} runs that are {', '.join(ORDINARY)} are not listed; "
            "--json has them"
        )
    print_curve(statuses)
    for s in [s for s in statuses if s.state == "failed" and s.failure and s.failure["log"]][
        :MAX_LOGS
    ]:
        out.print(f"{s.run.run_id[:8]} {label(s)}, last lines:", highlight=False)
        for line in s.failure["log"] if s.failure else ():
            out.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def print_curve(statuses: list[RunStatus]) -> None:
    """Print the curve as far as it is known, the best rho so far, and when the sweep ends."""
    out = console()
    if points := shown_points(curve_so_far(statuses)):
        print_table(out, "the curve so far", curve_columns(points, is_ascii(out)))
    for sentence in sentences(statuses):
        out.print(sentence, highlight=False)


def print_outcome(scale: str, statuses: list[RunStatus], trained: bool) -> None:
    """Print the last lines of a sweep."""
    failed = [s for s in statuses if s.failure and not s.finished]
    if not trained and not failed:
        console().print(f"{scale}: nothing to do, {_summary(statuses)}")
        return
    console().print(f"{scale}: {_summary(statuses)}")
    for s in failed:
        print(f"  {s.state}: {s.run.run_id[:8]} {label(s)}: {reason(s)}")


def label(s: RunStatus) -> str:
    """Return what a run is called: arm, rho and seed."""
    return f"{s.run.spec.arm} rho {s.run.spec.rho:.3f} seed {s.run.spec.seed}"


def reason(s: RunStatus) -> str:
    """Return why a run waits, or how its last attempt failed; empty if all is well."""
    if s.waiting:
        return f"waits: {s.waiting}"
    return f"{s.failure['kind']}: {s.failure['message']}" if s.failure else ""


def _summary(statuses: list[RunStatus]) -> str:
    parts = [f"{n} {state}" for state, n in counts(statuses).items() if n]
    return f"{', '.join(parts)} of {len(statuses)} runs"
