from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.errors import UserError
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import PlannedRun, make_plan
from engram_sweep.rehearsal import mesh
from engram_sweep.rehearsal.mesh import Held, rehearse_mesh, runs_to_trace
from tests.examples import load, scale


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        (Held("exact", 100, 100, 0), True),
        (Held("exact", 101, 100, 0), False),
        (Held("near", 104, 100, 0.05), True),
        (Held("near", 94, 100, 0.05), False),
        (Held("near", 106, 100, 0.05), False),
        (Held("bound", 900, 100, float("inf")), True),
        (Held("bound", 90, 100, float("inf")), False),
        (Held("nothing", 0, 0, 0), True),
        (Held("something", 1, 0, 0.05), False),
    ],
)
def test_a_line_holds_within_what_it_allows(line: Held, holds: bool) -> None:
    assert line.holds is holds


def test_the_run_that_needs_most_and_the_one_with_most_rows_are_traced() -> None:
    plan = make_plan(load("10B"))
    most, rows = runs_to_trace(plan, Placement(4, 8, 15, True, 2048))
    assert most.spec.rho == pytest.approx(0.9, abs=0.01)
    assert rows.spec.rho == pytest.approx(0.2, abs=0.01)
    single = make_plan(load("engram-27B"))
    assert runs_to_trace(single, Placement(8, 8)) == list(single.runs)


def traced(run: PlannedRun, placement: Placement, folder: Path) -> dict[str, Held]:
    found = rehearse_mesh(run, placement, Shape(placement.replicas, placement.shards), folder)
    assert found.run == run
    assert sum(found.calls.values()) > 0
    return {line.what: line for line in found.held}


def test_a_trace_finds_the_bytes_of_the_bill(tmp_path: Path) -> None:
    """Exactly what is counted exactly; a model this small has parts that no bill lists."""
    run = make_plan(scale(model__streams=4, training__optimizer="muon")).runs[3]
    lines = traced(run, Placement(2, 2, 1, True, 48), tmp_path)
    exact = ("weights", "gradients", "optimizer states", "rows of tables")
    assert [lines[what].off for what in exact] == [0, 0, 0, 0]
    moment = lines["fullest moment of a micro-batch"]
    assert 0.5 < moment.bill / moment.traced < 2
    assert lines["gathered and cut, received in a micro-batch"].off == pytest.approx(0, abs=0.2)
    assert lines["gradients over copies, received in a step"].holds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rho", "placement", "shape"),
    [
        ("10B", 1.0, Placement(4, 8, 1, True, 2048), Shape(4, 8, 8)),
        ("10B", 0.2, Placement(4, 8, 5, True, 2048), Shape(4, 8, 8)),
        ("5.7B", 0.9, Placement(1, 8, 2, False, 2048), Shape(1, 8, 8)),
        ("engram-40B", 0.74, Placement(4, 16, 2, True, 2048), Shape(8, 8, 8)),
    ],
)
def test_the_paper_s_models_hold_their_bill(
    name: str, rho: float, placement: Placement, shape: Shape, tmp_path: Path
) -> None:
    run = min(make_plan(load(name)).runs, key=lambda run: abs(run.spec.rho - rho))
    found = rehearse_mesh(run, placement, shape, tmp_path)
    assert found.holds, found.held


def test_a_trace_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh.sys, "executable", "/bin/false")
    run = make_plan(scale()).runs[0]
    with pytest.raises(
        UserError, match=r"^example: the trace of rho 1\.000 ended early: no output$"
    ):
        rehearse_mesh(run, Placement(), Shape(), tmp_path)
