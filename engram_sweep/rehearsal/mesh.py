"""The bill of a run, line by line, beside what a trace of the real model on the real mesh finds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from engram_sweep.atomic_files import read_json, write_json
from engram_sweep.config.slurm import Shape
from engram_sweep.errors import UserError
from engram_sweep.placement import Placement
from engram_sweep.planning.kept_weights import WEIGHT_BYTES
from engram_sweep.planning.memory import MemoryBytes, largest_part, memory_bytes, micro_windows
from engram_sweep.planning.placement import largest_run
from engram_sweep.planning.plan import Plan, PlannedRun
from engram_sweep.planning.traffic import step_traffic

ASK, TRACE = "ask.json", "trace.json"
"""Files by which a trace is asked for and answers."""
MAX_OFF = 0.05
"""Largest relative difference of bill and trace in what is not counted exactly."""
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Held:
    """One line of a bill, in bytes, beside what was traced."""

    what: str
    bill: float
    traced: float
    allowed: float
    """Largest relative difference; a bill that is to be an upper bound has infinity."""

    @property
    def off(self) -> float:
        """Relative difference of the bill from the trace."""
        return self.bill / self.traced - 1 if self.traced else float(self.bill > 0)

    @property
    def holds(self) -> bool:
        """Whether the difference is allowed."""
        return -min(self.allowed, MAX_OFF) <= self.off <= self.allowed


@dataclass(frozen=True)
class MeshRehearsal:
    """One run of a sweep, traced."""

    run: PlannedRun
    held: tuple[Held, ...]
    calls: dict[str, int]
    """Collectives of one micro-batch, by their name."""
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether every line does."""
        return all(line.holds for line in self.held)


def runs_to_trace(plan: Plan, placement: Placement) -> list[PlannedRun]:
    """Return the run that needs most memory and the one with the largest tables; it may be one."""
    most_rows = max(plan.runs, key=lambda run: run.allocation.ledger.params_table)
    found = {run.run_id: run for run in (largest_run(plan, placement), most_rows)}
    return list(found.values())


def rehearse_mesh(
    run: PlannedRun, placement: Placement, shape: Shape, folder: Path
) -> MeshRehearsal:
    """Trace the first process of a run on its real mesh, and hold it against the bill.

    Args:
        run: of which sweep soever.
        placement: how it lies on its GPUs.
        shape: their nodes.
        folder: for the trace's own files.

    Raises:
        UserError: the trace did not come to its end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TRACE).unlink(missing_ok=True)
    write_json(folder / ASK, {"spec": asdict(run.spec), "placement": asdict(placement)})
    words = [sys.executable, "-m", "engram_sweep.rehearsal.mesh_trace", str(folder)]
    # A trace computes nothing; threads would only wait for one another.
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = read_json(folder / TRACE)
    if done.returncode or not isinstance(found, dict):
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise UserError(f"{run.scale}: the trace of rho {run.spec.rho:.3f} ended early: {last}")
    lines = tuple(_held(run, placement, shape, found))
    return MeshRehearsal(run, lines, found["calls"], found["seconds"])


def _held(run: PlannedRun, placement: Placement, shape: Shape, trace: dict) -> Iterator[Held]:
    bill = memory_bytes(run, placement)
    tables = [e for e in run.allocation.ledger.entries if e.part == "table"]
    rows = WEIGHT_BYTES * sum(largest_part(entry, placement.processes) for entry in tables)
    yield Held("weights", bill.weights, trace["weights"], 0)
    yield Held("gradients", bill.gradients, trace["gradients"], 0)
    yield Held("optimizer states", bill.optimizer, trace["optimizer"], 0)
    yield Held("rows of tables", rows, trace["tables"], 0)
    moment = _moment(bill) + _handed_in(run, placement)
    yield Held("fullest moment of a micro-batch", moment, trace["peak"], MAX_OFF)
    at_step = bill.total - bill.rows - bill.tables
    yield Held("fullest moment of the optimizers' step", at_step, trace["step_peak"], float("inf"))
    if placement.processes > 1:
        yield from _held_traffic(run, placement, shape, trace["moved"])


def _moment(bill: MemoryBytes) -> int:
    """Return the bytes of the fullest moment that a trace has: no states of optimizers, no rows."""
    return bill.total - bill.optimizer - bill.tables - bill.rows


def _handed_in(run: PlannedRun, placement: Placement) -> int:
    """Return the bytes of rows that a trace is given for a micro-batch, and of their gradients."""
    memory = run.spec.geometry.memory
    if memory is None:
        return 0
    tokens = micro_windows(run, placement) * run.spec.training.window
    return 2 * WEIGHT_BYTES * tokens * memory.d_memory * len(memory.rows)


def _held_traffic(
    run: PlannedRun, placement: Placement, shape: Shape, moved: dict[str, int]
) -> Iterator[Held]:
    """Yield what a GPU receives of its node, or of all if its copy lies in several."""
    traffic = step_traffic(run, placement, shape)
    others = (placement.shards - 1) / placement.shards
    cut = moved.get("_allgather_base_", 0) + moved.get("_reduce_scatter_base_", 0)
    if placement.shards > 1:
        name = "gathered and cut, received in a micro-batch"
        yield Held(name, traffic.per_micro_batch.nvlink, others * cut, MAX_OFF)
    if placement.replicas > 1:
        copies = (placement.replicas - 1) / placement.replicas
        received = 2 * copies * moved.get("allreduce_", 0)
        sent = traffic.gradients.network or traffic.gradients.nvlink
        apart = max(1, shape.devices // placement.shards)
        yield Held("gradients over copies, received in a step", sent * apart, received, MAX_OFF)
