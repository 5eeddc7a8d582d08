"""Where a run's curves go beside its CSV log: TensorBoard, Weights & Biases, Trackio.

A tracker is a convenience. Whatever it raises, it is one line and the run goes on without it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from engram_sweep.spec import RunSpec, run_id

OLD = ("csv", "tb", "wandb")
"""Folders in a run's logs that a new attempt writes anew."""
PROJECT = "engram-sweep"
"""The project of W&B; a sweep is a group in it."""


@dataclass(frozen=True)
class Tracking:
    """Which trackers a run has."""

    names: tuple[str, ...] = ("tensorboard",)
    """As in `launch.trackers`."""
    home: Path = Path(".")
    """`<results>/<scale>`: its name is the sweep's, and what runs share lies in it."""


def trackers(tracking: Tracking, logs: Path, spec: RunSpec) -> list[Logger]:
    """Return the loggers of a run's trackers.

    Args:
        tracking: which.
        logs: the run's folder of logs.
        spec: the run.
    """
    found: list[Logger] = []
    for name in tracking.names:
        if name == "tensorboard":
            found.append(TensorBoardLogger(logs, name="", version="tb"))
        else:
            found.append(Careful(name, lambda start=STARTS[name]: start(tracking.home, logs, spec)))
    return found


def title_of(spec: RunSpec) -> str:
    """Return what trackers call a run, e.g. `engram rho 0.750 seed 1 (0a1b2c3d)`."""
    return f"{spec.arm} rho {spec.rho:.3f} seed {spec.seed} ({run_id(spec)[:8]})"


@dataclass(frozen=True)
class _Started:
    """A tracker at work."""

    log: Callable[[dict[str, float], int], object]
    finish: Callable[[], object]


class Careful(Logger):
    """A Lightning logger that starts with the first metrics and cannot hurt its run.

    Args:
        tracker: its name.
        start: starts the tracker.
    """

    def __init__(self, tracker: str, start: Callable[[], _Started]) -> None:
        super().__init__()
        self.tracker, self.start = tracker, start
        self.started: _Started | None = None
        self.is_off = False

    @property
    def name(self) -> str:
        """The tracker's name."""
        return self.tracker

    @property
    def version(self) -> str:
        """None of its own."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the spec is given at the start."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log metrics at an optimizer step."""

        def log() -> None:
            self.started = self.started or self.start()
            self.started.log(dict(metrics), step or 0)

        self._try(log)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the tracker's run."""
        if self.started is not None:
            self._try(self.started.finish)
            self.started = None

    def _try(self, act: Callable[[], object]) -> None:
        if self.is_off:
            return
        try:
            act()
        except Exception as error:
            self.is_off = True
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"{self.tracker}: {said}; this run goes on without it", file=sys.stderr)


def _start_wandb(home: Path, logs: Path, spec: RunSpec) -> _Started:
    """Start a run of W&B in the run's logs; without WANDB_MODE it stays on this machine."""
    import wandb  # type: ignore[import-not-found]

    logs.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        group=home.name,
        name=title_of(spec),
        id=run_id(spec),
        config=asdict(spec),
        dir=str(logs),
        resume="allow",
        mode=os.environ.get("WANDB_MODE", "offline"),
        # The worker's output is its job's log.
        settings=wandb.Settings(console="off", silent=True),
    )
    return _Started(lambda metrics, step: run.log(metrics, step=step), run.finish)


def _start_trackio(home: Path, logs: Path, spec: RunSpec) -> _Started:
    """Start a run of Trackio in `<results>/<scale>/trackio`, in place of an earlier attempt's."""
    # Read when it is imported.
    os.environ.setdefault("TRACKIO_DIR", str((home / "trackio").absolute()))
    import trackio  # type: ignore[import-not-found]

    title = title_of(spec)
    try:
        earlier = list(trackio.Api().runs(home.name))
    except ValueError:
        # There is no such project yet.
        earlier = []
    for run in earlier:
        if run.name == title:
            run.delete()
    run = trackio.init(
        project=home.name,
        name=title,
        group=spec.arm,
        config=asdict(spec),
        embed=False,
        auto_log_cpu=False,
        auto_log_gpu=False,
    )
    return _Started(lambda metrics, step: run.log(metrics, step=step), run.finish)


STARTS: dict[str, Callable[[Path, Path, RunSpec], _Started]] = {
    "wandb": _start_wandb,
    "trackio": _start_trackio,
}
"""How the trackers start that need a package of their own, by the package's name."""
