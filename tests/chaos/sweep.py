"""The sweep under fire: its scale, its drivers and workers, and what it must come out as."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from engram_sweep.launch.worker_command import run_folder_of
from engram_sweep.runs.records import FILE_NAME, runs_folder
from tests.conftest import ROOT, SWEEPS, command

SCALE = "chaos"
MEASURED = [
    "run_id",
    "validation_loss",
    "window_losses",
    "train_loss",
    "curve_losses",
    "expert_load",
    "gate_mean",
    "steps",
]
MAX_LAST_SWEEPS = 3
"""Calls of `sweep` in which a campaign's sweep must end, once nothing strikes any more."""
STALE = {"USER": "daemon", "LOGNAME": "daemon", "SQUEUE_PARTITION": "high", "SBATCH_EXPORT": "NONE"}
"""What `su`, a container or a centre's profile leave in the environment."""


def write_scale(folder: Path, **launch: Any) -> Path:
    """The smoke sweep, one seed, of runs of some seconds that save several times a second."""
    scale = yaml.safe_load((SWEEPS / "smoke.yaml").read_text())
    scale["training"]["tokens"] = 98_304
    scale["sweep"]["seeds"] = [0]
    scale["launch"] |= {"checkpoint_minutes": 0.005, "parallel": 2, **launch}
    folder.mkdir(parents=True)
    (folder / f"{SCALE}.yaml").write_text(yaml.safe_dump(scale))
    return folder


def table(results: Path) -> list[str]:
    """What every run measured, digit by digit; times left out."""
    paths = runs_folder(results, SCALE).glob(f"*/{FILE_NAME}")
    return sorted(repr(pq.read_table(path, columns=MEASURED).to_pylist()) for path in paths)


def restarts(results: Path) -> int:
    """Attempts of runs beyond the first, as the records tell."""
    paths = runs_folder(results, SCALE).glob(f"*/{FILE_NAME}")
    return sum(pq.read_table(path)["restarts"][0].as_py() for path in paths)


@dataclass
class UnderFire:
    """One sweep, whose drivers are started, killed and started again.

    Args:
        sweeps: folder of the scale.
        results: a mounted tmpfs.
        dice: all randomness.
        environment: variables of the drivers.
    """

    sweeps: Path
    results: Path
    dice: random.Random
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    drivers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.results / SCALE

    def words(self) -> list[str]:
        return command("sweep", SCALE, "--sweeps", self.sweeps, "--results", self.results)

    def start_driver(self, **variables: str) -> None:
        with (self.sweeps / "driver.log").open("ab") as log:
            self.drivers.append(
                subprocess.Popen(
                    self.words(),
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    env=self.environment | variables,
                    start_new_session=True,
                )
            )

    def driver(self) -> subprocess.Popen | None:
        """One that runs, if any does; the dead are forgotten."""
        self.drivers = [process for process in self.drivers if process.poll() is None]
        return self.dice.choice(self.drivers) if self.drivers else None

    def signal_driver(self, number: signal.Signals) -> bool:
        if (process := self.driver()) is None:
            return False
        process.send_signal(number)
        return True

    def workers(self) -> list[int]:
        """Process ids of the workers, as an operator finds them."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit():
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    folder = run_folder_of([os.fsdecode(word) for word in words])
                    if folder is not None and self.home in folder.parents:
                        found.append(int(entry.name))
        return found

    def signal_worker(self, number: signal.Signals) -> bool:
        if not (found := self.workers()):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.dice.choice(found), number)
        return True

    def kill_workers(self) -> None:
        """All at once, as a machine that goes down."""
        for worker in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    def stop_drivers(self) -> None:
        """Kill them all and wait until they are gone."""
        for process in self.drivers:
            process.kill()
            process.wait()
        self.drivers = []

    def finish(self) -> None:
        """A driver in peace.

        Raises:
            AssertionError: it could not end the sweep.
        """
        for process in self.drivers:
            process.wait(600)
        said = ""
        # A run that was cancelled in its queue is left to the next sweep, so there may be several.
        for _ in range(MAX_LAST_SWEEPS):
            ended = subprocess.run(
                self.words(),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=600,
                env=self.environment,
            )
            if ended.returncode == 0:
                return
            said = ended.stdout[-2000:] + ended.stderr[-2000:]
        raise AssertionError(f"the sweep does not end: {said}")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 96 MiB, enough for the sweep and its checkpoints."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        shutil.rmtree(folder)
