"""Kept weights: what was trained comes back, and nothing else is taken for it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engram_sweep.corpus.shards import Shards
from engram_sweep.corpus.windows import validation_windows
from engram_sweep.errors import UserError
from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer, window_losses
from engram_sweep.planning.plan import Plan, make_plan
from engram_sweep.spec import RunSpec, run_id
from engram_sweep.training import weights
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.signals import Interrupted, StopFlag
from engram_sweep.training.train import train
from engram_sweep.training.weights import FILE_NAME, load_trained, save_weights
from tests.model.shapes import CLASSES, scale
from tests.training.conftest import short_spec


@pytest.fixture(params=["engram", "over_encoding"])
def spec(request: pytest.FixtureRequest) -> RunSpec:
    plan = make_plan(scale("smoke", sweep={"rho": (0.5,), "arms": {"over_encoding": (0.5,)}}))
    [first, *_] = [run.spec for run in plan.runs if run.spec.arm == request.param]
    return replace(first, training=replace(first.training, tokens=8192))


@pytest.fixture
def kept(smoke_plan: Plan, tmp_path: Path) -> Path:
    """A run folder with weights that nobody trained."""
    spec = short_spec(smoke_plan, 0.5)
    folder = tmp_path / run_id(spec)
    folder.mkdir()
    model = Transformer(spec.geometry, torch.arange(256))
    initialise(model, 7)
    save_weights(folder / FILE_NAME, model.state_dict(), spec, torch.arange(256))
    return folder


def test_the_loaded_model_has_the_losses_of_the_record(
    spec: RunSpec, shards: Shards, tmp_path: Path
) -> None:
    """Bit for bit, window by window: no row of a table was left behind."""
    folder = tmp_path / run_id(spec)
    folder.mkdir()
    result = train(spec, shards, tmp_path / "logs", keep_weights=folder)
    model, read = load_trained(folder)
    assert read == spec
    assert not model.training
    losses: list[float] = []
    t = spec.training
    with torch.no_grad():
        for batch, _ in validation_windows(shards.validation, 2 * t.batch_windows, t.window, 0, 1):
            ids = torch.from_numpy(batch)
            losses += window_losses(model(ids[:, :-1]), ids[:, 1:]).tolist()
    assert losses == result.window_losses


def test_a_run_stopped_in_validation_keeps_the_same_weights(
    smoke_plan: Plan, shards: Shards, tmp_path: Path
) -> None:
    """It goes on from the checkpoint of its last step, without training."""
    spec = short_spec(smoke_plan, 0.0)
    whole, stopped = tmp_path / "whole" / run_id(spec), tmp_path / "stopped" / run_id(spec)
    whole.mkdir(parents=True)
    stopped.mkdir(parents=True)
    train(spec, shards, tmp_path / "logs", keep_weights=whole)
    checkpoints, stop = Checkpoints(tmp_path / "checkpoints", 1e9), StopFlag()

    def at_the_end(progress) -> None:
        stop.asked = progress.step == spec.training.steps

    with pytest.raises(Interrupted):
        train(spec, shards, tmp_path / "l", at_the_end, checkpoints, stop, keep_weights=stopped)
    assert not any(stopped.iterdir()), "weights are written after validation"
    train(spec, shards, tmp_path / "l", checkpoints=checkpoints, keep_weights=stopped)
    checkpoints.clear()
    assert (stopped / FILE_NAME).read_bytes() == (whole / FILE_NAME).read_bytes()


def test_a_diverged_run_keeps_none(smoke_plan: Plan, shards: Shards, tmp_path: Path) -> None:
    spec = short_spec(smoke_plan, 1.0, learning_rate=1e30)
    assert train(spec, shards, tmp_path, keep_weights=tmp_path).outcome == "diverged"
    assert not (tmp_path / FILE_NAME).exists()


def test_weights_of_another_run_are_refused(kept: Path, tmp_path: Path) -> None:
    other = tmp_path / ("0" * 32)
    shutil.copytree(kept, other)
    with pytest.raises(UserError) as refused:
        load_trained(other)
    assert str(refused.value) == (
        f"{other / FILE_NAME}: expected the weights of run {other.name}, got those of run "
        f"{kept.name}"
    )


def test_no_weights_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected the final weights of a run, there are none"):
        load_trained(tmp_path)


@pytest.mark.parametrize("size", [0, 7, 5_000, -1])
def test_cut_weights_are_one_line(kept: Path, size: int) -> None:
    path = kept / FILE_NAME
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="expected final weights with their spec, got") as refused:
        load_trained(kept)
    assert "\n" not in str(refused.value)


def test_weights_without_a_spec_are_one_line(kept: Path) -> None:
    weights.save_file({"x": torch.zeros(2)}, kept / FILE_NAME)
    with pytest.raises(UserError, match="expected final weights with their spec, got: RunSpec"):
        load_trained(kept)


def test_tensors_that_are_not_the_specs_are_one_line(kept: Path, smoke_plan: Plan) -> None:
    spec = short_spec(smoke_plan, 0.5)
    wider = Transformer(replace(spec.geometry, shared_width=(8, 8)), None)
    initialise(wider, 0)
    save_weights(kept / FILE_NAME, wider.state_dict(), spec, None)
    with pytest.raises(UserError, match=r"expected the tensors of its spec: .*size mismatch") as no:
        load_trained(kept)
    assert "\n" not in str(no.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_one_line(kept: Path, smoke_plan: Plan, bad: float) -> None:
    spec = short_spec(smoke_plan, 0.5)
    model = Transformer(spec.geometry, torch.arange(256))
    initialise(model, 7)
    with torch.no_grad():
        model.norm.weight[3] = bad
    save_weights(kept / FILE_NAME, model.state_dict(), spec, torch.arange(256))
    with pytest.raises(UserError) as refused:
        load_trained(kept)
    assert str(refused.value) == (
        f"{kept / FILE_NAME}: norm.weight: expected finite numbers, got some that are not"
    )


def test_a_full_disk_leaves_nothing_and_keeps_what_was_there(
    kept: Path, smoke_plan: Plan, small_disk: Path
) -> None:
    spec = short_spec(smoke_plan, 0.5)
    model = Transformer(spec.geometry, CLASSES)
    initialise(model, 0)
    with pytest.raises(OSError, match="No space left"):
        save_weights(small_disk / FILE_NAME, model.state_dict(), spec, None)
    assert not list(small_disk.iterdir())


def test_what_reads_back_differently_is_not_kept(
    kept: Path, smoke_plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (kept / FILE_NAME).read_bytes()
    spec = short_spec(smoke_plan, 0.5)
    model = Transformer(spec.geometry, None)
    initialise(model, 0)
    written = weights.save_file

    def flips_a_bit(tensors, path, metadata) -> None:
        written(tensors, path, metadata)
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)

    monkeypatch.setattr(weights, "save_file", flips_a_bit)
    with pytest.raises(OSError, match="read back differs"):
        save_weights(kept / FILE_NAME, model.state_dict(), spec, None)
    assert (kept / FILE_NAME).read_bytes() == before
    assert [path.name for path in kept.iterdir()] == [FILE_NAME]
