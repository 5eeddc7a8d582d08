"""Faults of one machine: killed processes, cut and foreign files, full disks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable

from engram_sweep.runs.records import FILE_NAME, runs_folder
from tests.chaos.sweep import SCALE, STALE, UnderFire
from tests.conftest import ROOT


def faults(sweep: UnderFire) -> dict[str, Callable[[], bool]]:
    """By name, what strikes the sweep; False if there is nothing to strike now."""
    return {
        "kill -9 of a worker": lambda: sweep.signal_worker(signal.SIGKILL),
        "SIGTERM to a worker": lambda: sweep.signal_worker(signal.SIGTERM),
        "SIGUSR2 to a worker": lambda: sweep.signal_worker(signal.SIGUSR2),
        "kill -9 of a driver": lambda: sweep.signal_driver(signal.SIGKILL),
        "Ctrl-C at a driver": lambda: sweep.signal_driver(signal.SIGINT),
        "a second driver": lambda: second_driver(sweep),
        "a driver with a stale environment": lambda: second_driver(sweep, **STALE),
        "truncated checkpoint": lambda: truncate(sweep, "*/checkpoints/step-*"),
        "foreign checkpoint": lambda: foreign_checkpoint(sweep),
        "truncated record": lambda: truncate(sweep, f"*/{FILE_NAME}"),
        "changed corpus": lambda: changed_corpus(sweep),
        "planted file": lambda: planted_file(sweep),
        "deleted run folder": lambda: deleted_folder(sweep),
        "full disk": lambda: fill_disk(sweep),
        "read-only folder": lambda: read_only_folder(sweep),
    }


def second_driver(sweep: UnderFire, **variables: str) -> bool:
    """One more beside it."""
    if sweep.driver() is None:
        return False
    sweep.start_driver(**variables)
    return True


def truncate(sweep: UnderFire, pattern: str) -> bool:
    """Cut a file of a run somewhere, as a crashed file system would, and kill all workers."""
    if not (found := sorted(runs_folder(sweep.results, SCALE).glob(pattern))):
        return False
    # Of checkpoints the newest, which is the one that would be gone on from.
    chosen = found[-1] if "checkpoints" in pattern else sweep.dice.choice(found)
    sweep.kill_workers()
    with contextlib.suppress(FileNotFoundError):
        os.truncate(chosen, sweep.dice.randrange(chosen.stat().st_size))
    return True


def foreign_checkpoint(sweep: UnderFire) -> bool:
    """Copy one run's checkpoint into another's folder as its newest, and kill all workers."""
    there = sorted(runs_folder(sweep.results, SCALE).glob("*/checkpoints"))
    sources = [path for folder in there for path in folder.glob("step-*.pt")]
    targets = [folder for folder in there if not (folder.parent / FILE_NAME).exists()]
    if len(there) < 2 or not sources or not targets:
        return False
    sweep.kill_workers()
    source = sweep.dice.choice(sources)
    others = [folder for folder in targets if folder != source.parent]
    if not others:
        return False
    with contextlib.suppress(FileNotFoundError):
        # The name holds the step and a digest that is right.
        shutil.copy(source, sweep.dice.choice(others) / f"step-9{source.name[6:]}")
    return True


def changed_corpus(sweep: UnderFire) -> bool:
    """Flip a byte of the cached tokens while nobody works: the next sweep must refuse.

    It must do so in one line, and leave the tokens to the user; then they are put right.
    """
    tokens = next((sweep.results / "corpora").glob("*/train.bin"), None)
    if tokens is None:
        return False
    sweep.stop_drivers()
    sweep.kill_workers()
    at = sweep.dice.randrange(tokens.stat().st_size)
    with tokens.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    _refuses(sweep, "they were changed")
    with tokens.open("r+b") as file:
        file.seek(at)
        file.write(bytes([byte]))
    return True


def planted_file(sweep: UnderFire) -> bool:
    """Put code beside the snapshot that jobs import: the next sweep must refuse."""
    snapshot = next((sweep.home / "code").glob("[0-9a-f]*"), None)
    if snapshot is None:
        return False
    sweep.stop_drivers()
    sweep.kill_workers()
    planted = snapshot / "sitecustomize.py"
    planted.write_text(f"open({str(sweep.results / 'planted')!r}, 'w')\n")
    if not _all_done(sweep):
        _refuses(sweep, "found sitecustomize.py beside it")
    planted.unlink()
    assert not (sweep.results / "planted").exists(), "planted code ran"
    return True


def deleted_folder(sweep: UnderFire) -> bool:
    """Delete a run's folder, perhaps under a living worker."""
    if not (found := sorted(runs_folder(sweep.results, SCALE).glob("*"))):
        return False
    shutil.rmtree(sweep.dice.choice(found), ignore_errors=True)
    return True


def fill_disk(sweep: UnderFire) -> bool:
    """Leave no room for some seconds."""
    filler = sweep.results / "filler"
    with contextlib.suppress(OSError), filler.open("wb") as file:
        while True:
            file.write(b"x" * 65536)
            file.flush()
    time.sleep(sweep.dice.uniform(0.5, 4))
    filler.unlink()
    return True


def read_only_folder(sweep: UnderFire) -> bool:
    """Mount a run's folder read-only over itself for a while.

    Root may write anywhere else.
    """
    if not (found := sorted(runs_folder(sweep.results, SCALE).glob("*"))):
        return False
    folder = sweep.dice.choice(found)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    time.sleep(sweep.dice.uniform(0.5, 4))
    subprocess.run(["umount", "-l", folder], check=True)
    return True


def _all_done(sweep: UnderFire) -> bool:
    folders = [path for path in runs_folder(sweep.results, SCALE).iterdir() if path.is_dir()]
    return all((folder / FILE_NAME).exists() for folder in folders)


def _refuses(sweep: UnderFire, reason: str) -> None:
    done = subprocess.run(
        sweep.words(), cwd=ROOT, capture_output=True, text=True, env=sweep.environment, timeout=300
    )
    # A sweep that has ended reads neither code nor tokens.
    if done.returncode == 0 and _all_done(sweep):
        return
    said: list[str] = done.stderr.splitlines()
    assert (done.returncode, len(said)) == (2, 1), done.stdout + done.stderr
    assert reason in said[0], said[0]
