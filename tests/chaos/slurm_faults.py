"""Faults of a SLURM: clients that lie, jobs that come and go, drivers that die in between."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos import local_faults
from tests.chaos.sweep import STALE, UnderFire
from tests.slurm.cluster import Cluster

SBATCH = """\
#!/bin/bash
mode=$(cat {mode}); echo honest > {mode}
case $mode in
timeout) {real} "$@" > /dev/null
    echo 'sbatch: error: Socket timed out on send/recv operation' >&2; exit 1 ;;
silent) {real} "$@" > /dev/null; echo 'Welcome' ;;
deadly) {real} "$@" > /dev/null; kill -9 $PPID ;;
refusing) echo 'sbatch: error: Slurm temporarily unable to accept job' >&2; exit 1 ;;
*) exec {real} "$@" ;;
esac
"""
"""sbatch that behaves once as its file says."""
SQUEUE = """\
#!/bin/bash
[ $((RANDOM % 8)) = 0 ] && exit 0
[ $((RANDOM % 8)) = 0 ] && {{ echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1; }}
exec {real} "$@"
"""
"""squeue that now and then gives an empty answer, or none."""


def wrap_clients(folder: Path, sweep: UnderFire) -> Path:
    """Put lying clients in front of the true ones; return the file with sbatch's mood."""
    folder.mkdir()
    mode = folder / "mode"
    mode.write_text("honest\n")
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (folder / name).write_text(text.format(real=shutil.which(name), mode=mode))
        (folder / name).chmod(0o755)
    sweep.environment["PATH"] = f"{folder}:{sweep.environment['PATH']}"
    return mode


def faults(sweep: UnderFire, cluster: Cluster, mode: Path) -> dict[str, Callable[[], bool]]:
    """By name, what strikes the sweep; False if there is nothing to strike now."""

    def mood(word: str) -> bool:
        """Let the next sbatch behave so, and a driver that has to call it."""
        if sweep.driver() is None or not _requeue_or_kill(sweep, cluster, "cancel"):
            return False
        mode.write_text(f"{word}\n")
        sweep.stop_drivers()
        sweep.start_driver()
        return True

    return {
        "sbatch times out after success": lambda: mood("timeout"),
        "sbatch does not say what it did": lambda: mood("silent"),
        "a driver dies right after sbatch": lambda: mood("deadly"),
        "requeue of an array task": lambda: _requeue_or_kill(sweep, cluster, "requeue"),
        "scancel of an array task": lambda: _requeue_or_kill(sweep, cluster, "cancel"),
        "kill -9 of a driver with jobs queued": lambda: sweep.signal_driver(signal.SIGKILL),
        "a driver with a stale environment on SLURM": lambda: local_faults.second_driver(
            sweep, **STALE
        ),
        "foreign checkpoint of a SLURM job": lambda: local_faults.foreign_checkpoint(sweep),
    }


def _requeue_or_kill(sweep: UnderFire, cluster: Cluster, what: str) -> bool:
    """Strike a running job, as soon as there is one; False if the sweep ends without."""
    while not (jobs := [line.split()[0] for line in cluster.jobs() if "RUNNING" in line]):
        if sweep.driver() is None:
            return False
        time.sleep(0.2)
    verb = ["scontrol", "requeue"] if what == "requeue" else ["scancel"]
    cluster.ask(*verb, sweep.dice.choice(jobs))
    return True
