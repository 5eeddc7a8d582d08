"""One owner of the signals that ask a worker to stop.

They set a flag; training looks at it between two steps.
"""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)
"""SLURM's preemption and `scancel`; submitit's signal ahead of the time limit; Ctrl-C."""


class Interrupted(Exception):
    """Training stopped because it was asked to; what was done is in the checkpoint."""


class StopFlag:
    """Whether this process was asked to stop.

    Lightning and submitit set handlers of their own for the same signals, one checkpointing between
    any two lines of Python, the other pickling the job: `own` takes the signals back.

    Args:
        signals: that set the flag; none leaves all signals alone.
    """

    def __init__(self, signals: tuple[signal.Signals, ...] = ()) -> None:
        self.asked, self.signals = False, signals

    def own(self) -> None:
        """Handle the signals here, whoever did before. Called in the main thread."""
        for number in self.signals:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
