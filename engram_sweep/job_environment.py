"""What a worker process knows of the job that it is part of: its rank, its peers, its queue.

It reads environment variables that submitit and SLURM set, and nothing of `engram_sweep.launch`:
a worker does not know who launched it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from engram_sweep.runs.work_order import WorkOrder

if TYPE_CHECKING:
    from engram_sweep.training.layout import Place

TIMEOUT_SECONDS = 60
"""A SLURM client that has not answered for so long is given up."""
PEERS_SECONDS = 5.0
"""How long the other processes of a run that failed have to end by themselves."""
FIRST_PORT, PORTS = 20_000, 20_000
"""Range of the ports at which the processes of a run on one machine meet."""


def rank_of(order: WorkOrder) -> int:
    """Return the rank of this process among those of its run; 0 if it is alone."""
    if order.processes == 1:
        return 0
    import submitit

    return submitit.JobEnvironment().global_rank


def place_of(order: WorkOrder) -> Place:
    """Return where this process stands among those of its run, as training needs it.

    On one machine without SLURM this also sets LOCAL_RANK, MASTER_ADDR and MASTER_PORT.
    """
    from engram_sweep.training.layout import Place

    if order.processes == 1:
        return Place()
    import submitit

    there = submitit.JobEnvironment()
    if not in_slurm():
        # Lightning takes a process that has a LOCAL_RANK for one that was started for it.
        os.environ |= {
            "LOCAL_RANK": str(there.local_rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(FIRST_PORT + int(there.job_id) % PORTS),
        }
    return Place(order.nodes, order.devices, there.global_rank, in_slurm())


def in_slurm() -> bool:
    """Return whether this process belongs to a SLURM job that our executor submitted."""
    return os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


def end_peers() -> None:
    """Kill the other processes of this run, on one machine, that do not end by themselves.

    As srun does in a SLURM job. submitit waits for all of them, and one that hangs would hold the
    run until its time limit. It does nothing in a process that submitit did not start.
    """
    parent = os.getppid()
    if in_slurm() or os.environ.get("SUBMITIT_LOCAL_JOB_ID") != str(parent):
        return
    deadline = time.monotonic() + PEERS_SECONDS
    while (peers := _peers(parent)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in peers:
        # Not SIGTERM: a process that is stopped would get it when it goes on.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _peers(parent: int) -> list[int]:
    """Return the other children of a process that have not ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # Behind the name, which may hold anything: state, parent.
            state, of = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
            if int(of) == parent and state != "Z" and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def requeue() -> bool:
    """Put the SLURM job of this process back into the queue, to run again from its checkpoint.

    Only a job that our executor submitted and that still counts as running: one that the user
    cancelled gets the same signals and must not come back.

    Returns:
        Whether SLURM took it; False outside a job of ours and if the cluster does not allow it.
    """
    if not in_slurm():
        return False
    job = _job_id()
    try:
        if _client("squeue", "--noheader", "--jobs", job, "--format", "%T").split()[-1:] != [
            "RUNNING"
        ]:
            return False
        _client("scontrol", "requeue", job, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        print(f"could not requeue job {job}: {reason}", file=sys.stderr, flush=True)
        return False
    return True


def _job_id() -> str:
    """Return the id of this process's job, as no other has it.

    The last task of an array has the array's own id as SLURM_JOB_ID, which means all tasks.
    """
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    return f"{array}_{task}" if array and task else os.environ["SLURM_JOB_ID"]


def _client(*words: str, check: bool = False) -> str:
    # Variables such as SQUEUE_STATES would change the answer.
    changing = ("SQUEUE_", "SCONTROL_", "SLURM_CLUSTERS")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(changing)}
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_SECONDS,
        check=check,
        env=environment,
    )
    return done.stdout
