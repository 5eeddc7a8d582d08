"""The command; the search itself is tested in tests/search."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_sweep.cli.main import main
from tests.conftest import SWEEPS


@pytest.mark.parametrize("trials", ["0", "-3"])
def test_no_trials_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trials: str
) -> None:
    results = tmp_path / "results"
    words = ["tune", "smoke", "--sweeps", str(SWEEPS), "--results", str(results)]
    assert main([*words, "--trials", trials]) == 2
    assert capsys.readouterr().err == (
        f"engram-sweep: --trials: expected at least 1, got {trials}\n"
    )
    assert not results.exists()
