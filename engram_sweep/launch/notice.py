"""A command of the user's own, run at the end of a sweep and at its first failure.

Facts reach it as environment variables, so nothing that a run wrote becomes part of a command line.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engram_sweep.launch.forecast import best_so_far, curve_so_far
from engram_sweep.launch.status import RunStatus

TIMEOUT_SECONDS = 30
"""How long the command may take; then it is killed."""

Event = Literal["run_failed", "finished", "failed", "stopped"]
"""What happened.

`run_failed`: the first run failed that does not start again, others go on; at the end `finished` if
all runs have a result, `failed` if not; `stopped`: the sweep broke off."""

VARIABLES = tuple(
    f"ENGRAM_SWEEP_{name}"
    for name in ("EVENT", "SCALE", "RESULTS", "REASON", "RUN_ID", "RUNS", "DONE", "FAILED", "BEST")
)
"""Environment variables that the command gets; empty if they have nothing to say of an event."""


@dataclass
class Notice:
    """Runs `launch.notify`. Whatever becomes of the command, the sweep goes on.

    Args:
        command: a line for `sh`; None runs nothing.
        scale: name of the sweep.
        folder: `<results>/<scale>`.
    """

    command: str | None
    scale: str
    folder: Path
    _has_failed: bool = False

    def failed(self, status: RunStatus) -> None:
        """Report a run that failed and does not start again; the first one only."""
        if not self._has_failed:
            self._has_failed = True
            self._run("run_failed", _reason(status), RUN_ID=status.run.run_id)

    def ended(self, statuses: Sequence[RunStatus]) -> None:
        """Report how the sweep ended."""
        failed = [status for status in statuses if status.state == "failed"]
        complete = all(status.finished for status in statuses)
        best = best_so_far(curve_so_far(statuses)).values()
        self._run(
            "finished" if complete else "failed",
            _reason(failed[0]) if failed else "",
            RUNS=str(len(statuses)),
            DONE=str(sum(status.finished for status in statuses)),
            FAILED=str(len(failed)),
            BEST="; ".join(f"{point.arm} rho {point.rho:.3f} {point.mean:.4f}" for point in best),
        )

    def stopped(self, error: Exception) -> None:
        """Report that the sweep broke off, e.g. because its queue refuses jobs."""
        self._run("stopped", str(error))

    def _run(self, event: Event, reason: str, **facts: str) -> None:
        if self.command is None:
            return
        home = str(self.folder.absolute())
        facts = {"EVENT": event, "SCALE": self.scale, "RESULTS": home, "REASON": reason, **facts}
        # A zero byte would end a variable.
        ours = {f"ENGRAM_SWEEP_{key}": text.replace("\0", " ") for key, text in facts.items()}
        variables = {**os.environ, **dict.fromkeys(VARIABLES, ""), **ours}
        try:
            done = subprocess.run(
                ["sh", "-c", self.command],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            print(f"launch.notify: {error}", file=sys.stderr, flush=True)
            return
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
            print(
                f"launch.notify: exit code {done.returncode}: {last}", file=sys.stderr, flush=True
            )


def _reason(status: RunStatus) -> str:
    return f"{status.failure['kind']}: {status.failure['message']}" if status.failure else ""
