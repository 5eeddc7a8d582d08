from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engram_sweep import __version__
from engram_sweep.cli.main import main
from tests.conftest import ROOT, SWEEPS


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
