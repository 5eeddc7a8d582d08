"""How a SLURM job puts itself back into the queue when it is preempted or out of time."""

from __future__ import annotations

import os
import subprocess
import sys


def requeue() -> bool:
    """Put the SLURM job of this process back into the queue, to run again from its checkpoint.

    Only a job that our executor submitted and that still counts as running: one that the user
    cancelled gets the same signals and must not come back.

    Returns:
        Whether SLURM took it; False outside a job of ours and where the cluster does not allow it.
    """
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return False
    job = os.environ["SLURM_JOB_ID"]
    try:
        asked = subprocess.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%T"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if asked.stdout.split() != ["RUNNING"]:
            return False
        subprocess.run(
            ["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        print(
            f"could not requeue job {job}: {getattr(error, 'stderr', None) or error}",
            file=sys.stderr,
            flush=True,
        )
        return False
    return True
