from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from engram_sweep.rehearsal import mesh, practice
from engram_sweep.rehearsal.mesh import Held, MeshRehearsal
from engram_sweep.rehearsal.practice import Practised
from tests.examples import SWEEPS


@pytest.fixture
def rehearsed(monkeypatch: pytest.MonkeyPatch) -> dict[str, list]:
    """What was traced and trained, without doing either."""
    calls: dict[str, list] = {"traced": [], "trained": []}

    def trace(run, placement, shape, folder):
        calls["traced"].append((run.spec.rho, placement, shape))
        return MeshRehearsal(run, (Held("weights", 5e9, 5e9, 0),), {}, 1.0)

    def train(plan, folder, launcher, runs):
        calls["trained"].append((folder.name, launcher, len(runs)))
        return [Practised(run, launcher, "2 x 2", "ok", 10, 2, True, [3.0]) for run in runs]

    monkeypatch.setattr(mesh, "rehearse_mesh", trace)
    monkeypatch.setattr(practice, "practise", train)
    monkeypatch.setattr(practice, "slurm_is_here", lambda: True)
    return calls


def test_a_sweep_is_traced_its_twin_trained_and_a_page_written(
    rehearsed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["rehearse", "10B", "--sweeps", str(SWEEPS), "--results", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    page = tmp_path / "10B" / "rehearsal" / "rehearsal.md"
    assert "rehearsal of 10B: everything held" in out
    assert str(page) in out
    assert "weights: 5.00 GB reckoned, 5.00 traced (+0.0%): held" in out
    assert "nan" not in out
    assert page.read_text().startswith("# Rehearsal of 10B: everything held")
    assert (tmp_path / "10B" / "rehearsal" / "sweeps" / "10B-twin.yaml").exists()
    assert [round(rho, 1) for rho, _, _ in rehearsed["traced"]] == [0.9, 0.2]
    assert {(p.replicas, p.shards, s.nodes) for _, p, s in rehearsed["traced"]} == {(4, 8, 4)}
    expected = [("local", "local", 2), ("slurm", "slurm", 1), ("alone", "local", 1)]
    assert rehearsed["trained"] == expected


def test_what_does_not_hold_is_exit_code_1(
    rehearsed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def trace(run, placement, shape, folder):
        return MeshRehearsal(run, (Held("weights", 6e9, 5e9, 0),), {}, 1.0)

    monkeypatch.setattr(mesh, "rehearse_mesh", trace)
    words = ["rehearse", "engram-27B", "--sweeps", str(SWEEPS), "--results", str(tmp_path)]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "(+20.0%): NOT HELD" in out
    assert "NOT everything held" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["smoke"], "smoke: expected a scale with launch.gpu, this one runs on CPUs"),
        (["engram-40B", "--set", "launch.gpus=8"], "the smallest mesh that would do"),
        (["10B", "--set", "launch.shard=5"], "expected node, all or a divisor of launch.gpus (32)"),
        (["10B", "--set", "launch.micro_windows=7"], "expected a divisor of the 15 windows"),
    ],
)
def test_what_cannot_be_rehearsed_is_one_line(
    words: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rehearse", *words, "--sweeps", str(SWEEPS), "--results", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.splitlines()) == 1
