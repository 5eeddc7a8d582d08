from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from engram_sweep.errors import UserError
from engram_sweep.inside import trained
from engram_sweep.inside.trained import open_run
from engram_sweep.runs.records import read_runs, runs_folder


@pytest.fixture
def folder(smoke_results: Path, tmp_path: Path) -> Path:
    """A copy of one finished run."""
    run = read_runs("smoke", smoke_results)["run_id"].iloc[0]
    copied = tmp_path / "smoke" / "runs" / run
    return Path(shutil.copytree(runs_folder(smoke_results, "smoke") / run, copied))


def test_a_finished_run_opens_with_its_own_loss_and_text(folder: Path, smoke_results: Path) -> None:
    run = open_run(folder)
    record = read_runs("smoke", smoke_results).set_index("run_id").loc[folder.name]
    assert run.validation_loss == record["validation_loss"]
    assert run.shards.manifest.fingerprint == record["corpus_fingerprint"]
    assert not run.model.training
    whole = sum(inputs.numel() for inputs, _ in run.held_out())
    assert whole == len(run.shards.validation) - 1


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("record.parquet", "expected the folder of a finished run, there is no record"),
        ("weights.safetensors", "expected the final weights of a run, there are none"),
        ("run.json", "expected a work order, got none"),
    ],
)
def test_a_run_without_a_part_is_refused(folder: Path, file: str, said: str) -> None:
    (folder / file).unlink()
    with pytest.raises(UserError, match=said):
        open_run(folder)


def test_weights_of_another_run_are_refused(folder: Path, smoke_results: Path) -> None:
    other = read_runs("smoke", smoke_results)["run_id"].iloc[1]
    weights = runs_folder(smoke_results, "smoke") / other / "weights.safetensors"
    shutil.copy(weights, folder / "weights.safetensors")
    with pytest.raises(UserError, match=f"expected the weights of run {folder.name}, got those of"):
        open_run(folder)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 0.0])
def test_a_loss_that_is_not_the_records_is_refused(folder: Path, loss: float) -> None:
    run = open_run(folder)
    run.check_loss(run.validation_loss)
    with pytest.raises(UserError, match=r"expected the validation loss of its record, .* give "):
        run.check_loss(loss)


def test_another_corpus_than_the_run_was_trained_on_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    """Whether its times say so or its digest; a copy of the same bytes is the same corpus."""
    order = json.loads((folder / "run.json").read_text())
    copied = Path(shutil.copytree(order["shards"], tmp_path / "shards", copy_function=shutil.copy))
    (folder / "run.json").write_text(json.dumps({**order, "shards": str(copied)}))
    train = copied / "train.bin"
    os.utime(train, (1, 1))
    assert len(open_run(folder).shards.train)
    train.write_bytes(train.read_bytes()[::-1])
    # A sweep's shards are opened once a process; a later command is another one.
    trained._shards.cache_clear()
    with pytest.raises(UserError, match=r"its files have .*: they were changed"):
        open_run(folder)
