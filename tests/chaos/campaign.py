"""Rounds of faults: local ones, and, where a SLURM can be started, every third on SLURM."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from engram_sweep.runs.records import FILE_NAME
from tests.chaos import local_faults, slurm_faults
from tests.chaos.sweep import UnderFire, restarts, small_disk, table, write_scale
from tests.slurm.cluster import Cluster, new_folder, what_is_missing

FAULTS_A_ROUND = 20
RECORDS_A_ROUND = 3
"""Of these, cut records once the sweep has ended: before, there is seldom a record to cut."""
SLURM_EVERY = 3
"""Every third round is on SLURM."""
Faults = dict[str, Callable[[], bool]]


@dataclass(frozen=True)
class Outcome:
    """What a campaign did."""

    faults: dict[str, int]
    """How often each kind struck."""
    rounds: int
    runs: int
    restarts: int
    """Attempts of runs beyond the first, as the records tell."""
    differ: int
    """Rounds whose table was not that of the undisturbed sweep."""


def campaign(faults: int, seed: int, folder: Path, slurm: bool | None = None) -> Outcome:
    """Rounds of up to `FAULTS_A_ROUND` faults until `faults` have struck.

    Args:
        faults: how many.
        seed: of all randomness.
        folder: an empty folder.
        slurm: every round on SLURM, or none; None takes every third if there is one.
    """
    dice = random.Random(seed)
    sweeps = write_scale(folder / "sweeps")
    calm = UnderFire(sweeps, folder / "calm", dice)
    calm.finish()
    truth, struck, differ, rounds, again = table(calm.results), Counter[str](), 0, 0, 0
    with _cluster(slurm) as cluster:
        while (left := faults - struck.total()) > 0:
            on_slurm = cluster is not None and (slurm or rounds % SLURM_EVERY == 1)
            with small_disk(folder / f"round-{rounds}") as results:
                sweep = UnderFire(sweeps, results, dice)
                kinds = local_faults.faults(sweep)
                if on_slurm:
                    assert cluster is not None
                    kinds = _on_slurm(sweep, cluster, folder, rounds)
                struck += strike(sweep, kinds, min(left, FAULTS_A_ROUND))
                differ += table(results) != truth
                again += restarts(results)
            rounds += 1
            where = "on SLURM" if on_slurm else "locally"
            print(
                f"round {rounds} {where}: {struck.total()} faults, {again} restarts, {differ} "
                "tables differ",
                flush=True,
            )
    return Outcome(dict(struck), rounds, len(truth), again, differ)


def _on_slurm(sweep: UnderFire, cluster: Cluster, folder: Path, number: int) -> Faults:
    """Let a sweep run on SLURM, through clients that lie; return what may strike it."""
    sweep.sweeps = write_scale(folder / f"sweeps-{number}", executor="slurm")
    mode = slurm_faults.wrap_clients(folder / f"clients-{number}", sweep)
    return slurm_faults.faults(sweep, cluster, mode)


def strike(sweep: UnderFire, faults: Faults, count: int) -> Counter[str]:
    """Let `count` faults strike, one after the other, then let the sweep end in peace.

    Returns:
        How often each fault struck; one that found nothing to strike does not count.
    """
    done, late = Counter[str](), min(RECORDS_A_ROUND, count - 1)
    while done.total() < count - late:
        if sweep.driver() is None:
            sweep.start_driver()
        time.sleep(sweep.dice.uniform(0, 8))
        # Those that struck least come first, so that every kind gets its share.
        for name in sorted(faults, key=lambda name: (done[name], sweep.dice.random())):
            if faults[name]():
                done[name] += 1
                break
        else:
            # The sweep has ended before anything could strike: give it a run to train again.
            done["truncated record"] += local_faults.truncate(sweep, f"*/{FILE_NAME}")
    sweep.finish()
    for _ in range(late):
        done["truncated record"] += local_faults.truncate(sweep, f"*/{FILE_NAME}")
    sweep.finish()
    return done


@contextlib.contextmanager
def _cluster(wanted: bool | None) -> Iterator[Cluster | None]:
    """A SLURM for the time of the campaign; None without one."""
    if wanted is False or (wanted is None and what_is_missing() is not None):
        yield None
        return
    cluster = Cluster(new_folder())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
