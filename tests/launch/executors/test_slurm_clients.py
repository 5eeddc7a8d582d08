"""How SLURM's clients are called; scripts stand in for them. The real ones are in tests/slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.launch.executors import slurm_clients
from engram_sweep.launch.executors.protocol import Refused
from engram_sweep.launch.executors.slurm_clients import client, max_array_size, sbatch


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a script on PATH under a client's name."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(name: str, lines: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tmp_path / name).chmod(0o755)

    return put


def test_a_client_that_hangs_fails_or_is_not_there_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slurm_clients, "CLIENT_SECONDS", 0.1)
    assert client("sleep", "5") is None
    assert client("false") is None
    assert client("no-such-client") is None
    assert client("echo", "17 RUNNING") == "17 RUNNING\n"


def test_s6_bytes_that_are_no_text_are_read(pretend) -> None:
    pretend("squeue", r"printf '\377\n17 RUNNING\n'")
    assert client("squeue") == "\ufffd\n17 RUNNING\n"


def test_s2_variables_that_change_answers_do_not_reach_the_clients(
    pretend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SQUEUE_PARTITION", "SQUEUE_FORMAT", "SCANCEL_USER", "SLURM_CLUSTERS"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF", "kept")
    pretend("squeue", "env")
    said = client("squeue") or ""
    assert "SLURM_CONF=kept" in said
    assert "=x\n" not in said


def test_s9_variables_that_change_jobs_do_not_reach_sbatch(
    pretend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("EXPORT", "ARRAY_INX", "WAIT", "TIMELIMIT", "SIGNAL", "CLUSTERS", "NO_REQUEUE"):
        monkeypatch.setenv(f"SBATCH_{name}", "x")
    monkeypatch.setenv("SBATCH_ACCOUNT", "lab")
    pretend("sbatch", f"env > {tmp_path}/said; echo Submitted batch job 17")
    assert sbatch(tmp_path) == "17"
    said = (tmp_path / "said").read_text()
    assert "SBATCH_ACCOUNT=lab" in said
    assert "=x\n" not in said


@pytest.mark.parametrize(
    ("says", "number"),
    [
        ("Submitted batch job 17", "17"),
        ("see job 4711 of yesterday\nSubmitted batch job 17 on cluster x\nthanks", "17"),
        ("Submitted batch job 16\nSubmitted batch job 17", "17"),
        ("your job 4711 is dear to us", None),
        ("", None),
    ],
)
def test_s9_which_job_sbatch_speaks_of(pretend, tmp_path: Path, says: str, number: str) -> None:
    pretend("sbatch", f"echo '{says}'")
    assert sbatch(tmp_path) == number


def test_what_sbatch_refuses_is_one_line(pretend, tmp_path: Path) -> None:
    pretend("sbatch", "printf 'sbatch: error: no\\033[1m\nsbatch: error: never\n' >&2; exit 1")
    with pytest.raises(Refused, match=r"^SLURM refused the jobs: no\\x1b\[1m; never$"):
        sbatch(tmp_path)


def test_s7_an_sbatch_that_hangs_is_stopped(
    pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_clients, "SUBMIT_SECONDS", 0.1)
    pretend("sbatch", "exec sleep 60")
    assert sbatch(tmp_path) is None


def test_how_many_jobs_an_array_may_have(pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend("scontrol", "echo 'MaxArraySize            = 4'")
    assert max_array_size() == 4
    pretend("scontrol", "echo 'MaxArraySize = 0'")
    assert max_array_size() == 1
    monkeypatch.setattr(slurm_clients, "CLIENT_SECONDS", 0.1)
    pretend("scontrol", "exit 1")
    with pytest.raises(Refused, match="SLURM does not answer"):
        max_array_size()
