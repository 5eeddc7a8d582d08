from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engram_sweep.launch.jobs import NOTE, Job, noted_job, now


def test_a_note_is_read_as_it_was_written(tmp_path: Path) -> None:
    job = Job(tmp_path, "slurm", "17_3", now())
    job.note()
    assert noted_job(tmp_path) == job


@pytest.mark.parametrize("text", ["", "null", "[]", "[1]", '{"executor": "slurm"}', "{", "\0"])
def test_a_note_of_wrong_shape_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NOTE).write_text(text)
    assert noted_job(tmp_path) is None


def test_times_are_in_order_as_text() -> None:
    times = [now() for _ in range(20)]
    assert times == sorted(times)
    assert datetime.fromisoformat(times[0]).tzinfo == UTC
