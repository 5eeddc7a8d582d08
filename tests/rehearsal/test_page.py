from __future__ import annotations

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.planning.bill import bill_of
from engram_sweep.planning.gpus import GPUS
from engram_sweep.planning.plan import make_plan
from engram_sweep.rehearsal.mesh import Held, MeshRehearsal
from engram_sweep.rehearsal.page import as_page
from engram_sweep.rehearsal.practice import Practised
from tests.examples import load

H100 = GPUS["h100"]


def page(bill_bytes: float = 5e9, attempts: int = 2, launcher: str = "local") -> str:
    plan = make_plan(load("10B"))
    run = plan.runs[0]
    lines = (Held("weights", bill_bytes, 5e9, 0), Held("a bound", 9e9, 5e9, float("inf")))
    mesh = MeshRehearsal(run, lines, {"_allgather_base_": 55, "barrier": 1}, 30.0)
    each = Practised(run, launcher, "2 x 2", "ok", 10, attempts, True, [3.0], 1e-5)
    return as_page(plan, bill_of(plan, Shape(4, 8, 8), H100, 0.22), H100, [mesh], [each])


def test_a_page_says_what_was_rehearsed_and_what_only_a_gpu_shows() -> None:
    text = page()
    assert text.startswith("# Rehearsal of 10B: everything held\n")
    assert "51 runs of 32 H100 SXM: 4 copies x 8 GPUs, 1 x 15 windows a GPU and step" in text
    assert "| weights | 5.00 GB | 5.00 GB | +0.0% | 0% | held |" in text
    assert "| a bound | 9.00 GB | 5.00 GB | +80.0% | upper bound | held |" in text
    assert "55 all-gathers, 1 barrier" in text
    assert "| local | 2 x 2 | moe | 1.000 | 10 | 2 | yes | 1.0e-05 | held |" in text
    assert "No SLURM here answers" in text
    assert "## What only a GPU can show" in text
    assert "NCCL" in text
    assert "No SLURM" not in page(launcher="slurm")


@pytest.mark.parametrize("changes", [{"bill_bytes": 6e9}, {"attempts": 1}])
def test_a_page_says_first_if_something_did_not_hold(changes) -> None:
    text = page(**changes)
    assert text.startswith("# Rehearsal of 10B: NOT everything held\n")
    assert text.count("| NOT HELD |") == 1
