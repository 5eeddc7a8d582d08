"""A running sweep on the terminal: bars of its runs, the curve so far; plain lines when piped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from engram_sweep.cli.curve_view import curve_columns, duration, sentences, shown_points
from engram_sweep.cli.status_view import label, reason
from engram_sweep.cli.tables import fitting, is_ascii, table_of
from engram_sweep.launch.forecast import curve_so_far
from engram_sweep.launch.status import RunStatus
from engram_sweep.planning.plan import Plan

MAX_BARS = 12
"""Running runs that have a bar; more would push the curve off the screen."""


class Watch:
    """A live view of a sweep.

    Bars for the sweep and for each running run, why others wait, and the curve so far.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.updates = 0
        self.screen = Console(stderr=True)
        name, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
        self.bars = Progress(name, BarColumn(20), note, TimeElapsedColumn(), console=self.screen)
        self.live = Live(console=self.screen, refresh_per_second=4) if self._is_live() else None
        self.tasks: dict[str, TaskID] = {}
        self.said: dict[str, set[str]] = {}
        """By run, what was printed of it."""
        self.states: dict[str, str] = {}
        self.started = time.monotonic()

    def _is_live(self) -> bool:
        return self.screen.is_terminal

    def __enter__(self) -> Watch:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.live:
            self.live.stop()

    def update(self, statuses: list[RunStatus]) -> None:
        """Show how the runs stand."""
        self.updates += 1
        if self.live:
            self._set_bars(statuses)
            self.live.update(Group(self.bars, *self._below(statuses)))
        else:
            self._print_changes(statuses)

    def say(self, line: str) -> None:
        """Print a line beside the bars."""
        if self.live:
            self.screen.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)

    # ---- When piped

    def _print_changes(self, statuses: list[RunStatus]) -> None:
        """Print a line for each run whose state changed, or that waits for another reason."""
        finished = sum(s.finished for s in statuses)
        for s in statuses:
            run_id, waits = s.run.run_id, s.waiting or ""
            # SLURM goes to and fro between its reasons: each is said once a run.
            heard = self.said.setdefault(run_id, {""})
            if self.states.get(run_id, "planned") == s.state and waits in heard:
                continue
            heard.add(waits)
            self.states[run_id] = s.state
            words = f" validation loss {s.validation_loss:.4f}" if s.finished else ""
            words += f" ({reason(s)})" if reason(s) else ""
            elapsed = time.monotonic() - self.started
            print(f"[{elapsed:6.1f} s] {label(s)} {s.state}{words}", flush=True)
            if s.finished and self.updates > 1:
                said = [f"{finished}/{len(statuses)} runs", *sentences(statuses)]
                print(f"[{elapsed:6.1f} s] {'; '.join(said)}", flush=True)

    # ---- On a terminal

    def _set_bars(self, statuses: list[RunStatus]) -> None:
        done = sum(s.finished for s in statuses)
        note = f"{done}/{len(statuses)} runs"
        if "" not in self.tasks:
            self.tasks[""] = self.bars.add_task(
                f"sweep {self.plan.scale.name}", total=len(statuses), note=note
            )
        # An adaptive sweep has more runs after a look than before it.
        self.bars.update(self.tasks[""], completed=done, total=len(statuses), note=note)
        running = {s.run.run_id: s for s in statuses if s.state == "running"}
        for key in [key for key in self.tasks if key and key not in running]:
            self.bars.remove_task(self.tasks.pop(key))
        for place, (key, s) in enumerate(running.items()):
            if key not in self.tasks:
                self.tasks[key] = self.bars.add_task(f"  {label(s)}", total=s.steps, note="")
            is_shown = place < MAX_BARS
            self.bars.update(
                self.tasks[key], completed=s.step or 0, note=_note(s), visible=is_shown
            )

    def _below(self, statuses: Sequence[RunStatus]) -> list[RenderableType]:
        """Return what stands below the bars: why runs wait, the curve, the best, the end."""
        shown: list[RenderableType] = []
        more = sum(s.state == "running" for s in statuses) - MAX_BARS
        if more > 0:
            shown.append(Text(f"  and {more} more that run"))
        waits = Counter(s.waiting for s in statuses if s.waiting)
        shown += [Text(f"{count} wait: {why}") for why, count in waits.most_common()]
        if points := shown_points(curve_so_far(statuses)):
            columns = curve_columns(points, is_ascii(self.screen))
            shown.append(table_of("", fitting(columns, self.screen.width)))
        return [*shown, *map(Text, sentences(statuses))]


def _note(s: RunStatus) -> str:
    """Return what is known of a running run: its loss, speed and time left."""
    if not s.tokens_per_second:
        return "starting"
    parts = [f"loss {s.train_loss:.3f}"] if s.train_loss is not None else []
    parts.append(f"{s.tokens_per_second:,.0f} tokens/s")
    if s.seconds_left is not None:
        parts.append(f"{duration(s.seconds_left)} left")
    return ", ".join(parts)
