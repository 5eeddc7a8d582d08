"""SLURM's command-line clients, called so that they answer for this sweep or not at all.

Variables change what they do (`SQUEUE_PARTITION`, `SBATCH_EXPORT`, ...), administrators wrap them
in scripts that print banners, and without their controller they hang.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

from engram_sweep.config.slurm import SET_BY_US
from engram_sweep.errors import printable
from engram_sweep.launch.executors.protocol import Refused

CLIENT_SECONDS = 25
"""A client that says nothing for so long is stopped: one without its server may hang for ever."""
RETRY_SECONDS = 1
"""Pause before a client that failed is called again."""
SUBMIT_SECONDS = 120
"""Time limit of sbatch, which on a busy controller is the slowest of them."""
TIMEOUT_SECONDS = 3600
"""How long SLURM may be unreachable in mid-sweep: longer than its controller takes to restart."""
MAX_ARRAY_SIZE = 1001
"""SLURM's default MaxArraySize, for dry runs if SLURM is not installed."""
CLIENTS = ("sbatch", "squeue", "scancel", "scontrol")

_SUBMITTED = re.compile(r"^Submitted batch job (\d+)\b", re.MULTILINE)
_FOR_QUESTIONS = re.compile(r"(SQUEUE|SCANCEL|SCONTROL)_\w+|SLURM_CLUSTERS|SLURM_TIME_FORMAT")
_FOR_SUBMITTING = re.compile(
    "SLURM_CLUSTERS|SLURM_EXIT_.*|SBATCH_("
    + "|".join([*(key.upper().replace("-", "_") for key in SET_BY_US), "ARRAY_INX", "TIMELIMIT"])
    + ")"
)


def client(*words: str, seconds: float | None = None) -> str | None:
    """Return what a client of SLURM prints; None if it fails, hangs or is not there.

    Args:
        words: its command line.
        seconds: its time limit; `CLIENT_SECONDS` if left out.
    """
    done = _run(words, _FOR_QUESTIONS, CLIENT_SECONDS if seconds is None else seconds)
    return done.stdout if done is not None and done.returncode == 0 else None


def sbatch(script: Path) -> str | None:
    """Submit a script and return the id of its job or array.

    Returns:
        None if sbatch was stopped, or did not say: whether SLURM took the job is then not known.

    Raises:
        Refused: sbatch failed; it may have been taken all the same.
    """
    done = _run(("sbatch", str(script)), _FOR_SUBMITTING, SUBMIT_SECONDS)
    if done is None:
        return None
    if done.returncode:
        said = [line.removeprefix("sbatch: error: ") for line in done.stderr.strip().splitlines()]
        reason = printable("; ".join(said)) or "it did not say why"
        raise Refused(f"SLURM refused the jobs: {reason}")
    # The last line that says so: wrappers print before it.
    found = _SUBMITTED.findall(done.stdout)
    return found[-1] if found else None


def max_array_size(seconds: float | None = None) -> int:
    """Return how many jobs an array may have.

    Args:
        seconds: how long to wait for an answer; `CLIENT_SECONDS` if left out.

    Raises:
        Refused: SLURM does not answer.
    """
    patience = CLIENT_SECONDS if seconds is None else seconds
    deadline, question = time.monotonic() + patience, ("scontrol", "show", "config")
    # A controller that restarts is back within seconds; one that hangs must not take longer.
    while (config := client(*question, seconds=deadline - time.monotonic())) is None:
        if time.monotonic() > deadline - RETRY_SECONDS:
            raise Refused(
                "SLURM does not answer (scontrol show config): expected its controller to run; "
                "nothing was submitted"
            )
        time.sleep(RETRY_SECONDS)
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", config, re.MULTILINE)
    # 0 is a cluster without arrays: jobs one by one.
    return max(1, int(found[1])) if found else MAX_ARRAY_SIZE


def _run(
    words: tuple[str, ...], without: re.Pattern[str], seconds: float
) -> subprocess.CompletedProcess[str] | None:
    """Run a client without the variables that would change its answer; None if it did not end."""
    environment = {key: value for key, value in os.environ.items() if not without.fullmatch(key)}
    try:
        return subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=environment,
            timeout=seconds,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
