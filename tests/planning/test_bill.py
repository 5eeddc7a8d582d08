from __future__ import annotations

import re

import pytest

from engram_sweep.config.slurm import Shape
from engram_sweep.errors import UserError
from engram_sweep.planning.bill import bill_of, too_large
from engram_sweep.planning.cost import cost, price_of
from engram_sweep.planning.gpus import GPUS
from engram_sweep.planning.memory import memory_bytes
from engram_sweep.planning.plan import Plan, make_plan
from tests.examples import ROOT, load

H100 = GPUS["h100"]
IN_DOCS = re.findall(
    r"^\| `([\w.-]+)` \| (\d+ x \d+ \|.*) \|$", (ROOT / "docs/scales.md").read_text(), re.M
)
"""Rows of the table of placements in docs/scales.md, by scale."""


@pytest.fixture(scope="module")
def large() -> Plan:
    return make_plan(load("10B"))


def test_a_bill_is_of_the_run_that_needs_most_and_the_step_that_is_longest(large: Plan) -> None:
    bill = bill_of(large, Shape(4, 8, 8), H100, 0.22)
    assert bill.fits
    assert bill.smallest is None
    needed = [memory_bytes(run, bill.placement).total for run in large.runs[:17]]
    assert bill.memory.total == max(needed)
    assert bill.micro_batches * bill.placement.micro_windows == 15
    row = bill.row()
    assert row["mesh"] == {"nodes": 4, "gpus_per_node": 8, "replicas": 4, "shards": 8}
    assert row["memory"]["total"] == sum(v for k, v in row["memory"].items() if k != "total")
    assert row["step"]["bound"] == "compute"
    assert row["traffic_bytes"]["nvlink"] > row["traffic_bytes"]["network"] > 0


def test_what_does_not_fit_is_billed_at_its_least_and_says_what_would() -> None:
    plan = make_plan(load("engram-40B"))
    found = cost(plan, price_of(plan.scale.launch), Shape(1, 8, 8))
    assert not found["fits"]
    assert found["placement"]["micro_windows"] == 1
    assert found["placement"]["recompute"]
    assert found["smallest_mesh"] == {"gpus": 16, "shards": 16}
    assert "the smallest mesh that would do is launch.gpus: 16" in too_large(found)
    assert "no mesh of these GPUs would do" in too_large(found | {"smallest_mesh": None})


def test_a_mesh_that_cannot_be_has_no_bill(large: Plan) -> None:
    launch = large.scale.launch.model_copy(update={"shard": 4})
    scale = large.scale.model_copy(update={"launch": launch})
    with pytest.raises(UserError, match="divisor of the 30 processes"):
        bill_of(Plan(scale, large.runs), Shape(3, 10, 10), H100, 0.22)


@pytest.mark.parametrize(("name", "row"), IN_DOCS, ids=[name for name, _ in IN_DOCS])
def test_the_table_in_the_docs_is_what_is_planned(name: str, row: str) -> None:
    plan = make_plan(load(name))
    found = cost(plan, price_of(plan.scale.launch))
    mesh, placement = found["mesh"], found["placement"]
    recomputed = {True: "yes", False: "no"}[placement["recompute"]]
    assert row.split(" | ")[:4] == [
        f"{mesh['replicas']} x {mesh['shards']}",
        f"{found['micro_batches']} x {placement['micro_windows']}",
        recomputed,
        f"{found['memory']['total'] / 1e9:.0f} of 80 GB",
    ]
