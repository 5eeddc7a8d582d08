"""What a person reads on the terminal: the status, a running sweep. Plain lines when piped."""

from __future__ import annotations

import time
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from engram_sweep.cli.plan_view import console
from engram_sweep.cli.tables import Column, print_table
from engram_sweep.config.scale import Scale
from engram_sweep.launch.status import RunStatus, counts
from engram_sweep.planning.plan import Plan
from engram_sweep.search.learning_rate import Trial, best

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
        Column("time left", [_duration(s.seconds_left) for s in listed], rank=1),
        Column("validation loss", [f"{loss:.4f}" if loss is not None else "" for loss in losses]),
        Column("reason", [Text(_reason(s)) for s in listed], right=False, folds=True),
    )
    out = console()
    print_table(out, f"{scale}: {_summary(statuses)}", columns)
    if len(listed) < len(statuses):
        out.print(
            f"{len(statuses) - len(listed)} runs that are {', '.join(ORDINARY)} are not listed; "
            "--json has them"
        )
    for s in [s for s in statuses if s.state == "failed" and s.failure and s.failure["log"]][
        :MAX_LOGS
    ]:
        out.print(f"{s.run.run_id[:8]} {_label(s)}, last lines:", highlight=False)
        for line in s.failure["log"] if s.failure else ():
            out.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else str(timedelta(seconds=round(seconds)))


def print_outcome(scale: str, statuses: list[RunStatus], trained: bool) -> None:
    """Print the last lines of a sweep."""
    failed = [s for s in statuses if s.failure and not s.finished]
    if not trained and not failed:
        console().print(f"{scale}: nothing to do, {_summary(statuses)}")
        return
    console().print(f"{scale}: {_summary(statuses)}")
    for s in failed:
        print(f"  {s.state}: {s.run.run_id[:8]} {_label(s)}: {_reason(s)}")


def print_trials(scale: Scale, trials: list[Trial]) -> None:
    """Print the learning-rate check: one line per rate, and the best rate for each rho."""
    realised = sorted(trials[0].losses, reverse=True)
    winners = {rho: best(trials, rho) for rho in realised}
    columns = [Column("learning rate", [f"{trial.learning_rate:g}" for trial in trials])]
    for rho in realised:
        cells = [
            f"{trial.losses[rho]:.4f}" + (" *" if winners[rho] is trial else "") for trial in trials
        ]
        columns.append(Column(f"rho {rho:g}", cells))
    out = console()
    title = (
        f"{scale.name}: validation loss by learning rate (the scale's: "
        f"{scale.training.learning_rate:g})"
    )
    print_table(out, title, columns)
    for rho, winner in winners.items():
        own = next(trial for trial in trials if trial.learning_rate == scale.training.learning_rate)
        if winner:
            gap = own.losses[rho] - winner.losses[rho]
            out.print(
                f"rho {rho:g}: best at {winner.learning_rate:g}, {gap:.4f} nats/token below the "
                "scale's own rate"
            )


def _label(s: RunStatus) -> str:
    return f"{s.run.spec.arm} rho {s.run.spec.rho:.3f} seed {s.run.spec.seed}"


def _reason(s: RunStatus) -> str:
    """Return why a run waits, or how its last attempt failed; empty if all is well."""
    if s.waiting:
        return f"waits: {s.waiting}"
    return f"{s.failure['kind']}: {s.failure['message']}" if s.failure else ""


def _summary(statuses: list[RunStatus]) -> str:
    parts = [f"{n} {state}" for state, n in counts(statuses).items() if n]
    return f"{', '.join(parts)} of {len(statuses)} runs"


class Watch:
    """A live view of a running sweep; plain lines when piped.

    A bar for the sweep, and one for each running run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.updates = 0
        screen = Console(stderr=True)
        self.live = screen.is_terminal
        name, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
        self.bars = Progress(
            name, BarColumn(), note, TimeElapsedColumn(), console=screen, disable=not self.live
        )
        self.tasks: dict[str, TaskID] = {}
        self.states: dict[str, str] = {}
        self.started = time.monotonic()

    def __enter__(self) -> Watch:
        self.bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.bars.stop()

    def update(self, statuses: list[RunStatus]) -> None:
        """Show how the runs stand."""
        self.updates += 1
        if self.live:
            self._draw(statuses)
            return
        for s in statuses:
            shown = f"{s.state} {s.waiting or ''}"
            if self.states.get(s.run.run_id, "planned ") != shown:
                loss = f" validation loss {s.validation_loss:.4f}" if s.finished else ""
                reason = f" ({_reason(s)})" if _reason(s) else ""
                elapsed = time.monotonic() - self.started
                print(f"[{elapsed:6.1f} s] {_label(s)} {s.state}{loss}{reason}", flush=True)
            self.states[s.run.run_id] = shown

    def say(self, line: str) -> None:
        """Print a line beside the bars."""
        if self.live:
            self.bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)

    def _draw(self, statuses: list[RunStatus]) -> None:
        done = sum(s.finished for s in statuses)
        note = f"{done}/{len(statuses)} runs"
        if "" not in self.tasks:
            self.tasks[""] = self.bars.add_task(
                f"sweep {self.plan.scale.name}", total=len(statuses), note=note
            )
        # An adaptive sweep has more runs after a look than before it.
        self.bars.update(self.tasks[""], completed=done, total=len(statuses), note=note)
        for s in statuses:
            key = s.run.run_id
            if s.state == "running":
                if key not in self.tasks:
                    self.tasks[key] = self.bars.add_task(f"  {_label(s)}", total=s.steps, note="")
                speed = (
                    f"{s.tokens_per_second:,.0f} tokens/s" if s.tokens_per_second else "starting"
                )
                speed += f", {_duration(s.seconds_left)} left" if s.seconds_left is not None else ""
                self.bars.update(self.tasks[key], completed=s.step or 0, note=speed)
            elif key in self.tasks:
                self.bars.remove_task(self.tasks.pop(key))
