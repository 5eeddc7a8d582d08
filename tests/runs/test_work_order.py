"""The work order: what is written is what is read, and anything else is one clear error."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

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


def test_a_run_json_of_before_the_types_is_still_read(tmp_path: Path) -> None:
    """The keys of the untyped file, as they were: a job that waits for days may have written it."""
    order = work_order(RUN, tmp_path)
    names = ("params_total", "params_active", "params_table", "flops_per_token")
    old = {
        "run_id": RUN.run_id,
        "scale": RUN.scale,
        "rho_asked": RUN.allocation.rho_asked,
        "ledger": {name: getattr(RUN.allocation.ledger, name) for name in names},
        "shards": str(tmp_path),
        "threads": 1,
        "nodes": 1,
        "devices": 1,
        "signal_seconds": 30,
        "timeout_minutes": 60,
        "checkpoint_minutes": 10.0,
        "retries": {"preempted": 3},
        "spec": asdict(RUN.spec),
    }
    (tmp_path / FILE_NAME).write_text(json.dumps(old))
    assert read_work_order(tmp_path) == order
    assert json.loads(json.dumps(asdict(order))) == json.loads(json.dumps(old))


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
