from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engram_sweep.launch.executors.inline import InlineExecutor, InlineScheduler
from engram_sweep.launch.executors.local import LocalScheduler
from engram_sweep.launch.jobs import Job, now
from tests.examples import scale


def test_inline_is_one_process_and_one_run_at_a_time() -> None:
    wide = scale(launch__parallel=7)
    there = InlineScheduler()
    assert there.max_concurrent(wide.launch) == 1
    assert there.resources(wide).shape.devices == 1
    assert there.what_is_missing(wide) is None


def test_a_job_whose_note_is_there_has_ended(tmp_path: Path) -> None:
    job = Job(tmp_path, "inline", "host:1", now())
    assert InlineExecutor.states([job, replace(job, id="host:2")]) == ["ended"] * 2


def test_a_missing_gpu_is_named_before_anything_is_trained() -> None:
    asks = scale(launch__gpu="h100", launch__sustained_gflops=None)
    here = InlineScheduler().what_is_missing(asks)
    assert here == LocalScheduler().what_is_missing(asks)
    assert here is None or "GPU" in here
