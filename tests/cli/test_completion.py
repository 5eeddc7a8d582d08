"""The script, as a shell runs it when somebody presses the tab key."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from tests.examples import ROOT


@pytest.fixture
def script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["completion", "bash"]) == 0
    path = tmp_path / "completion.bash"
    path.write_text(capsys.readouterr().out)
    return path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pl", ["plan"]),
        ("re", ["register", "rehearse", "report", "rerun-failed", "retrieval"]),
        ("plan tiny-a", ["tiny-ablate", "tiny-axes"]),
        ("plan tiny --le", ["--ledger"]),
        ("fit --rec", ["--records"]),
        ("plan tiny --set training.tok", ["training.tokens="]),
        ("sweep tiny --max-g", ["--max-gpu-hours"]),
        ("plan nothing-like-it", []),
    ],
)
def test_the_tab_key_offers_what_there_is(script: Path, words: str, offered: list[str]) -> None:
    typed = ["engram-sweep", *words.split(" ")]
    quoted = " ".join(f"'{word}'" for word in typed)
    line = f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(typed) - 1}; _engram_sweep; "
    done = subprocess.run(
        ["bash", "-c", line + 'printf "%s\\n" "${COMPREPLY[@]}"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(done.stdout.split()) == offered


def test_zsh_takes_the_same_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    out = capsys.readouterr().out
    assert "bashcompinit" in out
    assert "complete -o default -F _engram_sweep engram-sweep" in out
    assert main(["completion", "tcsh"]) == 2
