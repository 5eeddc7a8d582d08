"""A trace takes a process of its own: it replaces what needs values for good."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engram_sweep.placement import Placement
from engram_sweep.planning.plan import make_plan
from engram_sweep.rehearsal.mesh import ASK, TRACE
from tests.examples import ROOT, scale


def trace(folder: Path, placement: Placement, **changes: Any) -> dict[str, Any]:
    run = make_plan(scale(**changes)).runs[3]
    ask = {"spec": asdict(run.spec), "placement": asdict(placement)}
    (folder / ASK).write_text(json.dumps(ask))
    words = [sys.executable, "-m", "engram_sweep.rehearsal.mesh_trace", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True)
    return json.loads((folder / TRACE).read_text())


def test_shards_divide_states_and_a_smaller_part_of_the_step_takes_less(tmp_path: Path) -> None:
    batch = {"training__batch_windows": 32}
    whole = trace(tmp_path, Placement(1, 2, 4), **batch)
    less = trace(tmp_path, Placement(1, 4, 1, True, 16), **batch)
    for key in ("weights", "gradients", "optimizer", "tables"):
        assert 0.5 * whole[key] <= less[key] <= 0.55 * whole[key]
    assert less["peak"] < whole["peak"]
    # Recomputed blocks are gathered as often: before the forward, and before the backward pass.
    assert less["calls"]["_reduce_scatter_base_"] == whole["calls"]["_reduce_scatter_base_"]
    assert "allreduce_" not in less["calls"], "one copy has nobody to add gradients to"
