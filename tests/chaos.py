"""Faults at random moments of a small sweep.

Afterwards its table must equal that of an undisturbed one, bit for bit.

    python -m tests.chaos --faults 200

Real processes, real signals, a real file system that is small. Needs the right to mount.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import yaml

from engram_sweep.runs.records import FILE_NAME, runs_folder
from tests.conftest import ROOT, SWEEPS, command

SCALE = "chaos"
FAULTS_A_ROUND = 20
RECORDS_A_ROUND = 3
"""Of these, cut records once the sweep has ended: before, there is seldom a record to cut."""
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


def write_scale(folder: Path) -> None:
    """The smoke sweep, one seed, of runs of some seconds that save several times a second."""
    scale = yaml.safe_load((SWEEPS / "smoke.yaml").read_text())
    scale["training"]["tokens"] = 98_304
    scale["sweep"]["seeds"] = [0]
    scale["launch"] |= {"checkpoint_minutes": 0.005, "parallel": 2}
    folder.mkdir(parents=True)
    (folder / f"{SCALE}.yaml").write_text(yaml.safe_dump(scale))


def table(results: Path) -> list[str]:
    """What every run measured, digit by digit; times left out."""
    paths = runs_folder(results, SCALE).glob(f"*/{FILE_NAME}")
    return sorted(repr(pq.read_table(path, columns=MEASURED).to_pylist()) for path in paths)


@dataclass
class Round:
    """One sweep under fire.

    Args:
        sweeps: folder of the scale.
        results: a mounted tmpfs.
        dice: all randomness.
        done: how often each fault struck; one that found nothing to strike does not count.
    """

    sweeps: Path
    results: Path
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    drivers: list[subprocess.Popen] = field(default_factory=list)

    def start_driver(self) -> None:
        words = command("sweep", SCALE, "--sweeps", self.sweeps, "--results", self.results)
        with (self.sweeps / "driver.log").open("ab") as log:
            self.drivers.append(
                subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
            )

    def driver(self) -> subprocess.Popen | None:
        """One that runs, if any does; the dead are forgotten."""
        self.drivers = [process for process in self.drivers if process.poll() is None]
        return self.dice.choice(self.drivers) if self.drivers else None

    def workers(self) -> list[int]:
        """Process ids of the workers, as an operator finds them."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit():
                    line = (entry / "cmdline").read_bytes()
                    if b"engram_sweep.worker" in line and str(self.results).encode() in line:
                        found.append(int(entry.name))
        return found

    def signal_worker(self, number: signal.Signals) -> bool:
        if not (found := self.workers()):
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.dice.choice(found), number)
        return True

    def signal_driver(self, number: signal.Signals) -> bool:
        if (process := self.driver()) is None:
            return False
        process.send_signal(number)
        return True

    def second_driver(self) -> bool:
        if self.driver() is None:
            return False
        self.start_driver()
        return True

    def truncate(self, pattern: str) -> bool:
        """Cut a file of a run somewhere, as a crashed file system would, and kill all workers."""
        if not (found := sorted(runs_folder(self.results, SCALE).glob(pattern))):
            return False
        # Of checkpoints the newest, which is the one that would be gone on from.
        chosen = found[-1] if "checkpoints" in pattern else self.dice.choice(found)
        for worker in self.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            os.truncate(chosen, self.dice.randrange(chosen.stat().st_size))
        return True

    def fill_disk(self) -> bool:
        filler = self.results / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"x" * 65536)
                file.flush()
        time.sleep(self.dice.uniform(0.5, 4))
        filler.unlink()
        return True

    def read_only_folder(self) -> bool:
        """A run's folder mounted read-only over itself for a while.

        Root may write anywhere else.
        """
        if not (found := sorted(runs_folder(self.results, SCALE).glob("*"))):
            return False
        folder = self.dice.choice(found)
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        time.sleep(self.dice.uniform(0.5, 4))
        subprocess.run(["umount", "-l", folder], check=True)
        return True

    def faults(self) -> dict[str, Callable[[], bool]]:
        return {
            "kill -9 of a worker": lambda: self.signal_worker(signal.SIGKILL),
            "SIGTERM to a worker": lambda: self.signal_worker(signal.SIGTERM),
            "SIGUSR2 to a worker": lambda: self.signal_worker(signal.SIGUSR2),
            "kill -9 of a driver": lambda: self.signal_driver(signal.SIGKILL),
            "Ctrl-C at a driver": lambda: self.signal_driver(signal.SIGINT),
            "a second driver": self.second_driver,
            "truncated checkpoint": lambda: self.truncate("*/checkpoints/step-*"),
            "truncated record": lambda: self.truncate(f"*/{FILE_NAME}"),
            "full disk": self.fill_disk,
            "read-only folder": self.read_only_folder,
        }

    def strike(self, count: int) -> None:
        """Let `count` faults strike, one after the other, then let the sweep end in peace."""
        faults, late = self.faults(), min(RECORDS_A_ROUND, count - 1)
        while sum(self.done.values()) < count - late:
            if self.driver() is None:
                self.start_driver()
            time.sleep(self.dice.uniform(0, 8))
            # Those that struck least come first, so that every kind gets its share.
            for name in sorted(faults, key=lambda name: (self.done[name], self.dice.random())):
                if faults[name]():
                    self.done[name] += 1
                    break
        for process in self.drivers:
            process.wait(600)
        self.finish()
        for _ in range(late):
            self.done["truncated record"] += faults["truncated record"]()
        self.finish()

    def finish(self) -> None:
        """A driver in peace.

        Raises:
            AssertionError: it could not end the sweep.
        """
        words = command("sweep", SCALE, "--sweeps", self.sweeps, "--results", self.results)
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert ended.returncode == 0, (
            f"the sweep does not end: {ended.stdout[-2000:]}{ended.stderr[-2000:]}"
        )


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 96 MiB, enough for the sweep and its checkpoints."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@dataclass(frozen=True)
class Outcome:
    """What a campaign did.

    Faults by kind, and rounds whose table was not that of the undisturbed sweep.
    """

    faults: dict[str, int]
    rounds: int
    runs: int
    restarts: int
    """Attempts of runs beyond the first, as the records tell."""
    differ: int


def campaign(faults: int, seed: int, folder: Path) -> Outcome:
    """Rounds of up to `FAULTS_A_ROUND` faults until `faults` have struck."""
    dice = random.Random(seed)
    write_scale(folder / "sweeps")
    calm = folder / "calm"
    subprocess.run(
        command("sweep", SCALE, "--sweeps", folder / "sweeps", "--results", calm),
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    truth, struck, differ, rounds, restarts = table(calm), Counter(), 0, 0, 0
    while (left := faults - sum(struck.values())) > 0:
        with small_disk(folder / f"round-{rounds}") as results:
            here = Round(folder / "sweeps", results, dice)
            here.strike(min(left, FAULTS_A_ROUND))
            differ += table(results) != truth
            paths = runs_folder(results, SCALE).glob(f"*/{FILE_NAME}")
            restarts += sum(pq.read_table(path)["restarts"][0].as_py() for path in paths)
        struck += here.done
        rounds += 1
        print(
            f"round {rounds}: {sum(struck.values())} faults, {restarts} restarts, {differ} "
            "tables differ",
            flush=True,
        )
    return Outcome(dict(struck), rounds, len(truth), restarts, differ)


def main() -> int:
    """Run a campaign; the exit code is 1 if any table differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        found = campaign(options.faults, options.seed, Path(folder))
    print(json.dumps(asdict(found), indent=1))
    return 1 if found.differ else 0


if __name__ == "__main__":
    sys.exit(main())
