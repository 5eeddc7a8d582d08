from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engram_sweep import __version__
from engram_sweep.cli.main import main
from tests.conftest import ROOT, SWEEPS, call, command, write_two_runs


@pytest.mark.parametrize("words", [["plan", "huge"], ["sweep", "huge"], ["status", "huge"]])
def test_an_unknown_scale_lists_those_there_are(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--sweeps", str(SWEEPS)]) == 2
    message = capsys.readouterr().err
    assert "no scale named 'huge'" in message
    assert "smoke" in message
    assert "tiny" in message
    assert len(message.splitlines()) == 1


def test_nothing_is_written_for_an_impossible_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scale = yaml.safe_load((SWEEPS / "smoke.yaml").read_text())
    scale["model"]["shared_width"] = 1
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(scale))
    results = tmp_path / "results"
    assert main(["sweep", "bad", "--sweeps", str(tmp_path), "--results", str(results)]) == 2
    message = capsys.readouterr().err
    assert "bad.yaml: no integer solution at rho = 0.5 (engram): P_act" in message
    assert "raise model.shared_width by" in message
    assert len(message.splitlines()) == 1
    assert not results.exists()


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("plan", "sweep", "status", "fit", "report"))


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"engram-sweep {__version__}\n"


def test_help_needs_no_torch_and_no_pandas() -> None:
    """Commands import what they need when they run."""
    code = (
        "import sys; from engram_sweep.cli.main import parser_of; parser_of(['--help']); "
        "sys.exit(bool({'torch', 'pandas', 'numpy.random', 'pydantic'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("words", [("plan", "tiny"), ("status", "smoke")])
def test_an_output_that_nobody_reads_ends_a_command_without_a_word(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    assert unread(*words, "--results", tmp_path) == (141, "")


def test_a_closed_output_harms_no_command(tmp_path: Path) -> None:
    words = " ".join(command("plan", "tiny", "--results", tmp_path))
    assert (
        subprocess.run(f"{words} >&-", shell=True, cwd=ROOT, stderr=subprocess.PIPE).stderr == b""
    )


def test_a_sweep_whose_output_nobody_reads_blames_no_folder(tmp_path: Path) -> None:
    words = ("--sweeps", write_two_runs(tmp_path / "sweeps"), "--results", tmp_path / "results")
    assert unread("sweep", "smoke", *words) == (141, "")
    call("cancel", "smoke", *words)


def unread(*words: str | Path) -> tuple[int, str]:
    """Exit code and errors of a command whose output's reader is gone, as after `| head -1`."""
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        done = subprocess.run(
            command(*words), cwd=ROOT, stdout=theirs, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(theirs)
    return done.returncode, done.stderr
