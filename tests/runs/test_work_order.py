"""The work order: what is written is what is read, and anything else is one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram_sweep.placement import Placement
from engram_sweep.planning.plan import make_plan
from engram_sweep.runs.folder import RunFolder
from engram_sweep.runs.records import SCHEMA
from engram_sweep.runs.work_order import FILE_NAME, read_work_order
from engram_sweep.spec import from_json, run_id
from tests.examples import scale, work_order

RUN = make_plan(scale()).runs[-1]


def test_a_work_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    order = work_order(RUN, tmp_path, devices=2)
    folder = RunFolder(tmp_path / RUN.run_id)
    folder.write_work_order(order)
    assert folder.read_work_order() == order
    assert (order.processes, run_id(order.spec)) == (2, RUN.run_id)


def test_w4_another_run_s_order_is_refused(tmp_path: Path) -> None:
    """A changed seed, or the file of another run: the record would bear this folder's id."""
    folder = RunFolder(tmp_path / RUN.run_id)
    folder.write_work_order(work_order(RUN, tmp_path))
    order = json.loads((folder.path / FILE_NAME).read_text())
    order["spec"]["seed"] = 77
    (folder.path / FILE_NAME).write_text(json.dumps(order))
    with pytest.raises(ValueError, match=f"expected the spec of run {RUN.run_id}, found that of"):
        folder.read_work_order()
    other = make_plan(scale()).runs[0]
    work_order(other, tmp_path).write(folder.path)
    with pytest.raises(ValueError, match=f"found that of {other.run_id}"):
        folder.read_work_order()


def test_an_order_of_before_there_was_a_placement_cuts_over_all_processes(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / RUN.run_id)
    folder.write_work_order(
        work_order(RUN, tmp_path, devices=3, nodes=2, placement=Placement(2, 3))
    )
    order = json.loads((folder.path / FILE_NAME).read_text())
    assert order["placement"]["tables"] == "device"
    del order["placement"]
    (folder.path / FILE_NAME).write_text(json.dumps(order))
    assert folder.read_work_order().placement == Placement(shards=6)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("shards", 4, "expected 2 processes .nodes x devices., got 1 replicas x 4 shards"),
        ("shards", 0, "placement: shards: expected 1 or more, got 0"),
        ("tables", "disk", r"Placement: tables: expected one of .*, found 'disk'"),
        ("recompute", 1, "recompute: expected bool, found 1"),
    ],
)
def test_a_placement_that_cannot_be_is_refused(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    folder = RunFolder(tmp_path / RUN.run_id)
    folder.write_work_order(work_order(RUN, tmp_path, devices=2))
    order = json.loads((folder.path / FILE_NAME).read_text())
    order["placement"][key] = value
    (folder.path / FILE_NAME).write_text(json.dumps(order))
    with pytest.raises(ValueError, match=said):
        folder.read_work_order()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"spec": {}}', '["run_id"]'])
def test_anything_else_is_a_value_error(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ValueError, match="expected"):
        read_work_order(tmp_path)


def test_the_columns_known_before_a_run_are_columns_of_the_record(tmp_path: Path) -> None:
    columns = work_order(RUN, tmp_path).record_columns()
    assert set(columns) < set(SCHEMA.names)
    assert run_id(json.loads(columns["spec"])) == RUN.run_id
    assert from_json(type(RUN.spec), json.loads(columns["spec"])) == RUN.spec
