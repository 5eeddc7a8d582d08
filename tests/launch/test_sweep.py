"""What a sweep checks and lays out before it trains."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from engram_sweep.corpus.own_tokenizer import train_bpe
from engram_sweep.corpus.writer import write_shards
from engram_sweep.errors import UserError
from engram_sweep.launch.sweep import sweep
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.runs.records import runs_folder
from tests.conftest import call, write_two_runs
from tests.examples import scale


def test_a_refused_sweep_leaves_nothing(one_run: Plan, tmp_path: Path) -> None:
    results = tmp_path / "results"
    (results / "smoke").mkdir(parents=True)
    (results / "smoke").chmod(0o777)
    with pytest.raises(UserError, match="nobody else may write"):
        sweep(one_run, results, lambda statuses: None)
    assert [path.name for path in results.rglob("*")] == ["smoke"]


def test_run_folders_are_the_user_s_alone_unless_the_scale_says_otherwise(tmp_path: Path) -> None:
    """Records of a group's results are read by the group, those that were written before too."""
    sweeps = write_two_runs(tmp_path / "sweeps")
    words = ("sweep", "smoke", "--sweeps", sweeps, "--results", tmp_path / "results")
    assert call(*words).returncode == 0
    records = sorted(runs_folder(tmp_path / "results", "smoke").glob("*/record.parquet"))
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in records} == {0o700}
    with (sweeps / "smoke.yaml").open("a") as file:
        file.write("results:\n  group_readable: true\n")
    records[0].unlink()
    assert call(*words).returncode == 0
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in records} == {0o750}
    assert {stat.S_IMODE(path.stat().st_mode) for path in records} == {0o640}


@pytest.mark.parametrize("key", ["vocab_size", "document_end"])
def test_a_vocabulary_that_was_not_planned_is_refused(tmp_path: Path, key: str) -> None:
    tokenizer = train_bpe(["to be or not to be"], 260)
    manifest = write_shards(
        tmp_path / "own",
        cache=tmp_path / "cache",
        train=np.array([1, 2, 0]),
        validation=np.array([3, 0]),
        tokenizer=tokenizer,
        source="",
        source_version="",
        licence="",
        train_documents=1,
        validation_documents=(),
    )
    vocabulary = {"vocab_size": 260, "document_end": 0}
    corpus = {f"corpus__{name}": number for name, number in (vocabulary | {key: 259}).items()}
    plan = make_plan(
        scale(
            corpus__source="shards",
            corpus__tokenizer="shards",
            corpus__fingerprint=manifest.fingerprint,
            **corpus,
        )
    )
    says = f"own: {key}: expected 259 .corpus.{key} of the scale., the shards have"
    with pytest.raises(UserError, match=says):
        sweep(plan, tmp_path / "results", lambda statuses: None, corpus=tmp_path / "own")
    assert not (tmp_path / "results").exists()


def test_a_tracker_that_is_not_installed_is_one_line(one_run: Plan, tmp_path: Path) -> None:
    launch = one_run.scale.launch.model_copy(update={"trackers": ("tensorboard", "trackio")})
    scale = one_run.scale.model_copy(update={"launch": launch})
    with pytest.raises(UserError, match=r"launch\.trackers: trackio is not installed; "):
        sweep(Plan(scale, one_run.runs), tmp_path, lambda statuses: None, "inline")
    assert not (tmp_path / "smoke").exists()
