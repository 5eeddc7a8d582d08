"""What a sweep would submit to SLURM, written down.

Nothing is launched, and neither SLURM nor a corpus is needed.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engram_sweep.atomic_files import write_atomically, write_json
from engram_sweep.launch import snapshot
from engram_sweep.launch.executors.protocol import Refused
from engram_sweep.launch.executors.slurm import SlurmScheduler, chunks
from engram_sweep.launch.executors.slurm_clients import MAX_ARRAY_SIZE, max_array_size
from engram_sweep.launch.executors.slurm_script import request_of
from engram_sweep.launch.status import folder_of, sweep_status
from engram_sweep.own_folders import SHOWN, own_folder
from engram_sweep.planning.placement import place
from engram_sweep.planning.plan import Plan
from engram_sweep.runs.provenance import code_state

SCONTROL_SECONDS = 5
"""How long to wait for the cluster's limit: a dry run does without it."""


def write(plan: Plan, results: Path, estimate: dict[str, Any]) -> Path:
    """Write the scripts and the plan into `<results>/<scale>/dry-run/`, over those of the last one.

    `array-<n>.sh` is the script of each array, as sbatch would be given it; `plan.json` says which
    runs are in which.

    Args:
        plan: what is to be trained.
        results: results folder; runs that are done or at work there are left out.
        estimate: `engram_sweep.planning.cost.cost` of the plan.

    Returns:
        The folder.

    Raises:
        UserError: the user's cluster file is wrong, or the GPUs do not fit the nodes.
        OSError: it cannot be written.
    """
    scale = plan.scale
    resources = SlurmScheduler().resources(scale)
    placement = place(plan, resources.shape)
    home = results.resolve() / scale.name
    state = code_state()
    request = request_of(scale, resources, home / "code" / snapshot.digest(snapshot.PACKAGE, state))
    runs = [
        status.run for status in sweep_status(plan, results) if not (status.finished or status.live)
    ]
    runs.sort(key=lambda run: run.place)
    size = _array_size()

    # Scripts of an earlier dry run must not stand beside these as if they were part of them.
    results.mkdir(parents=True, exist_ok=True)
    folder = own_folder(home, SHOWN) / "dry-run"
    shutil.rmtree(folder, ignore_errors=True)
    own_folder(folder, SHOWN)
    arrays = []
    for number, chunk in enumerate(chunks([folder_of(run, results).path for run in runs], size)):
        name = f"array-{number}.sh"
        text = request.script(home / "jobs" / f"array-{number}", [path.name for path in chunk])
        write_atomically(folder / name, lambda path, text=text: path.write_text(text))
        after = arrays[-1]["script"] if arrays else None
        arrays.append({"script": name, "after": after, "runs": [path.name for path in chunk]})
    write_json(
        folder / "plan.json",
        {
            "scale": scale.name,
            "shape": asdict(resources.shape),
            "placement": asdict(placement) if placement else None,
            "time_limit_minutes": request.minutes,
            "code": state,
            "arrays": arrays,
            "runs": [run.row() for run in runs],
            "cost": estimate,
        },
    )
    return folder


def _array_size() -> int:
    """Return the cluster's limit, or SLURM's default if there is no SLURM here that answers."""
    if not shutil.which("scontrol"):
        return MAX_ARRAY_SIZE
    try:
        return max_array_size(SCONTROL_SECONDS)
    except Refused:
        return MAX_ARRAY_SIZE
