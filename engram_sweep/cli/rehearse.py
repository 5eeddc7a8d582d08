"""`engram-sweep rehearse`: try all of a sweep on many GPUs that needs no GPU."""

from __future__ import annotations

import argparse
import math
import os
import time
from typing import TYPE_CHECKING

from engram_sweep.cli.options import add_command, plan_of
from engram_sweep.errors import UserError

if TYPE_CHECKING:
    from engram_sweep.rehearsal.mesh import MeshRehearsal
    from engram_sweep.rehearsal.practice import Practised


def register(commands) -> None:
    """Add `rehearse` to the command line."""
    summary = "try a sweep on many GPUs without one: its bill, its mesh, a small twin of it"
    add_command(commands, "rehearse", summary, _rehearse)


def _rehearse(options: argparse.Namespace) -> int:
    from engram_sweep.atomic_files import write_atomically
    from engram_sweep.launch.executors.registry import choose
    from engram_sweep.planning.bill import bill_of
    from engram_sweep.planning.cost import placement_of
    from engram_sweep.planning.gpus import GPUS
    from engram_sweep.rehearsal.mesh import rehearse_mesh, runs_to_trace
    from engram_sweep.rehearsal.page import as_page
    from engram_sweep.rehearsal.twin import write_twin

    plan, began = plan_of(options), time.monotonic()
    launch = plan.scale.launch
    if launch.gpu is None:
        raise UserError(
            f"{plan.scale.name}: expected a scale with launch.gpu, this one runs on CPUs"
        )
    # Processes of the twin share this machine's cores; set before torch is imported anywhere.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    shape = choose(launch).resources(plan.scale).shape
    placement = placement_of(plan, shape)
    folder = options.results / plan.scale.name / "rehearsal"
    twin = write_twin(plan.scale, placement, folder / "sweeps")

    meshes = []
    for run in runs_to_trace(plan, placement):
        print(f"tracing rho {run.spec.rho:.3f} on its mesh ...", flush=True)
        meshes.append(rehearse_mesh(run, placement, shape, folder / "traces" / run.run_id))
        _say_mesh(meshes[-1])
    practised = _practise(twin, folder)

    gpu = GPUS[launch.gpu]
    text = as_page(plan, bill_of(plan, shape, gpu, launch.mfu), gpu, meshes, practised)
    page = folder / "rehearsal.md"
    write_atomically(page, lambda path: path.write_text(text, "utf8"))
    holds = all(each.holds for each in (*meshes, *practised))
    minutes = (time.monotonic() - began) / 60
    verdict = "everything held" if holds else "NOT everything held"
    print(f"rehearsal of {plan.scale.name}: {verdict}, {minutes:.1f} minutes; {page}")
    return 0 if holds else 1


def _practise(twin, folder) -> list[Practised]:
    """Train the twin through every launcher that is here, and one run of it on one process."""
    from engram_sweep.rehearsal.practice import alone, compare, practise, slurm_is_here

    # The first and the last run: the anchor, and a hybrid with most rows.
    runs = list({run.run_id: run for run in (twin.runs[0], twin.runs[-1])}.values())
    found: list[Practised] = []
    launchers = {"local": runs}
    if slurm_is_here():
        launchers["slurm"] = runs[-1:]
    for launcher, chosen in launchers.items():
        print(f"training {len(chosen)} of the twin's runs ({launcher}) ...", flush=True)
        found += practise(twin, folder / launcher, launcher, chosen)
    print("training one of them on one process ...", flush=True)
    (reference,) = practise(alone(twin), folder / "alone", "local", runs[-1:])
    compare(found, reference)
    for each in found:
        state = "held" if each.holds else f"NOT HELD ({each.outcome})"
        # One run is trained on one process too; the others have nothing to be compared with.
        off = "" if math.isnan(each.off) else f", {each.off:.1e} off one process"
        print(
            f"  {each.launcher} {each.mesh}, rho {each.run.spec.rho:.3f}: {each.steps} steps, "
            f"attempts {each.attempts}{off}: {state}"
        )
    return found


def _say_mesh(mesh: MeshRehearsal) -> None:
    for line in mesh.held:
        bound = " as an upper bound" if math.isinf(line.allowed) else ""
        print(
            f"  {line.what}: {line.bill / 1e9:.2f} GB reckoned, {line.traced / 1e9:.2f} traced "
            f"({line.off:+.1%}): {'held' if line.holds else 'NOT HELD'}{bound}"
        )
