"""Checkpoints of several processes: whole or not there, read by any number, never unpickled."""

from __future__ import annotations

import errno
import pickle
import shutil
from contextlib import redirect_stderr
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from engram_sweep.corpus.shards import load, prepare
from engram_sweep.placement import Placement
from engram_sweep.planning.plan import Plan
from engram_sweep.spec import RunSpec, run_id
from engram_sweep.training import sharded_checkpoints
from engram_sweep.training.checkpoints import Checkpoints
from engram_sweep.training.layout import Place
from engram_sweep.training.sharded_checkpoints import shapes_in
from engram_sweep.training.signals import Interrupted, StopFlag
from engram_sweep.training.train import train
from tests.training.conftest import spec_of
from tests.training.ranks import on_ranks

pytestmark = pytest.mark.xdist_group("ranks")

STOPS_AT, STEPS = 5, 8
TRAINING: dict[str, Any] = {"tokens": STEPS * 1024, "optimizer": "muon"}


def run(
    place: Place, spec: RunSpec, shards: Path, folder: Path, stop_at: int = 0, replicas: int = 1
) -> Any:
    """What a run measures, from the checkpoints of a folder on; or why it was stopped."""
    stop = StopFlag()

    def report(progress) -> None:
        stop.asked = progress.step == stop_at

    placement = Placement(replicas, place.ranks // replicas)
    try:
        result = train(
            spec,
            load(shards),
            folder / "logs",
            report,
            Checkpoints(folder / "checkpoints", 0 if stop_at else 1e9),
            stop,
            place,
            placement=placement,
        )
    except Interrupted as interrupted:
        return str(interrupted)
    return {name: value for name, value in asdict(result).items() if name != "tokens_per_second"}


@pytest.fixture(scope="module")
def spec(smoke_plan: Plan) -> RunSpec:
    return spec_of(smoke_plan, 0.5, **TRAINING)


@pytest.fixture(scope="module")
def folder(spec: RunSpec, smoke_plan: Plan, tmp_path_factory) -> Path:
    """A corpus, and the run stopped on two processes (`two`) and on one (`one`)."""
    folder = tmp_path_factory.mktemp("sharded")
    corpus = prepare(smoke_plan.runs[0].spec.corpus, folder / "corpora")
    (folder / "corpus").symlink_to(corpus)
    said = on_ranks(2, run, spec, folder / "corpus", folder / "two", STOPS_AT)
    said.append(run(Place(), spec, folder / "corpus", folder / "one", STOPS_AT))
    assert said == [f"asked to stop after step {STOPS_AT} of {STEPS}"] * 3
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path, spec: RunSpec) -> list[Any]:
    return on_ranks(2, run, spec, folder / "corpus", folder / "whole")


def copy(folder: Path, name: str, to: Path) -> Path:
    shutil.copytree(folder / name, to)
    return to


def test_the_same_mesh_goes_on_bit_by_bit(folder, spec, whole, tmp_path) -> None:
    there = copy(folder, "two", tmp_path / "run")
    kept = sorted(path.name[:13] for path in (there / "checkpoints").iterdir())
    assert len(kept) == 2, "the two newest, and nothing half written"
    assert kept[0] < kept[1] == "step-00000005"
    resumed = on_ranks(2, run, spec, folder / "corpus", there)
    assert repr(resumed) == repr(whole)
    assert resumed[0] == resumed[1], "every process has the result"


@pytest.mark.parametrize(("name", "ranks", "replicas"), [("two", 1, 1), ("one", 2, 2)])
def test_another_number_of_processes_goes_on(
    folder, spec, whole, tmp_path, name: str, ranks: int, replicas: int
) -> None:
    there = copy(folder, name, tmp_path / "run")
    arguments = (spec, folder / "corpus", there, 0, replicas)
    got = on_ranks(ranks, run, *arguments)[0] if ranks > 1 else run(Place(), *arguments)
    assert got["curve_losses"][:STOPS_AT] == pytest.approx(whole[0]["curve_losses"][:STOPS_AT])
    assert got["curve_losses"] == pytest.approx(whole[0]["curve_losses"], abs=2e-6)
    assert got["window_losses"] == pytest.approx(whole[0]["window_losses"], abs=1e-4)
    assert got["window_tokens"] == whole[0]["window_tokens"]


def test_a_damaged_part_falls_back_to_the_one_before(folder, spec, whole, tmp_path) -> None:
    there = copy(folder, "two", tmp_path / "run")
    newest = max((there / "checkpoints").iterdir())
    part = max(newest.glob("__1_*.distcp"))
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    resumed = on_ranks(2, run, spec, folder / "corpus", there)
    assert repr(resumed) == repr(whole)


@pytest.mark.slow
def test_stopped_after_the_last_step_only_validates(folder, spec, whole, tmp_path) -> None:
    arguments = (spec, folder / "corpus", tmp_path)
    said = on_ranks(2, run, *arguments, STEPS)
    assert said == [f"asked to stop after step {STEPS} of {STEPS}"] * 2
    assert repr(on_ranks(2, run, *arguments)) == repr(whole)


def run_on_a_full_disk(place: Place, *arguments: Any) -> Any:
    """`run`, with the disk of the second process full."""

    def write_data(*words: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if place.rank == 1:
        setattr(sharded_checkpoints.FileSystemWriter, "write_data", write_data)  # noqa: B010
    said = StringIO()
    with redirect_stderr(said):
        got = run(place, *arguments)
    return got, said.getvalue()


def test_a_full_disk_costs_the_checkpoint_not_the_run(folder, spec, whole, tmp_path) -> None:
    arguments = (spec, folder / "corpus", tmp_path)
    for (got, said), wanted in zip(on_ranks(2, run_on_a_full_disk, *arguments), whole, strict=True):
        assert repr(got) == repr(wanted)
        assert f"no checkpoint at step {STEPS}: " in said
        assert "No space left on device" in said
    assert not list((tmp_path / "checkpoints").iterdir()), "nothing half written"


@pytest.mark.parametrize("what", ["digests.json", "rest.pt", ".metadata", "__0_0.distcp"])
def test_every_file_of_a_checkpoint_counts(folder, tmp_path, what, spec, capsys) -> None:
    there = copy(folder, "two", tmp_path / "run")
    older, newest = sorted((there / "checkpoints").iterdir())
    (newest / what).unlink()
    saved = Checkpoints(there / "checkpoints", 1).newest(run_id(spec))
    assert saved is not None
    assert saved.path == older
    assert f"{newest.name}: damaged" in capsys.readouterr().err
    assert not newest.exists()


def test_a_checkpoint_of_another_run_is_set_aside(folder, tmp_path, spec, capsys) -> None:
    there = copy(folder, "two", tmp_path / "run")
    names = sorted(path.name for path in (there / "checkpoints").iterdir())
    other = run_id(replace(spec, seed=spec.seed + 1))
    assert Checkpoints(there / "checkpoints", 1).newest(other) is None
    assert sorted(path.name for path in (there / "checkpoints").iterdir()) == [
        f"other-{name}" for name in names
    ]
    said = capsys.readouterr().err
    assert all(f"{name}: of another run ({run_id(spec)})" in said for name in names)


def run_apart(place: Place, spec: RunSpec, shards: Path, folder: Path) -> str:
    """Why `run` ends if each process has a folder of its own."""
    try:
        return run(place, spec, shards, folder / str(place.rank))
    except OSError as error:
        return str(error)


def test_processes_that_see_different_checkpoints_end(folder, spec, tmp_path) -> None:
    """As on nodes whose disk is not shared: half of them would start anew."""
    newest = max((copy(folder, "two", tmp_path / "0") / "checkpoints").iterdir()).name
    said = on_ranks(2, run_apart, spec, folder / "corpus", tmp_path)
    assert said == [
        f"the processes of this run see different checkpoints (here: {name})"
        for name in (newest, "none")
    ]


def test_no_code_in_a_description_of_tensors_is_run(folder, tmp_path) -> None:
    there = max((copy(folder, "two", tmp_path / "run") / "checkpoints").iterdir())
    assert all(name.startswith(("model/", "state/")) for name in shapes_in(there))

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "evil",))

    (there / ".metadata").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(pickle.UnpicklingError, match="expected a description of tensors"):
        shapes_in(there)
    assert not (tmp_path / "evil").exists()
