"""Benchmarks run and keep what they find; how fast anything is, no test asks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks import results, train_step


def test_the_steps_are_timed_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, file = tmp_path / "page.md", tmp_path / "results.parquet"
    page.write_text(f"# Speed\n\n{results.BEGIN}\nold\n{results.END}\nend\n")
    monkeypatch.setattr(results, "PAGE", page)
    monkeypatch.setattr(results, "FILE", file)
    for _ in range(2):
        train_step.main(["--steps", "1", "--cases", "tiny, rho 0, m", "--no-compile", "--keep"])
    assert "% of the machine" in capsys.readouterr().out
    found = pd.read_parquet(file)
    # The second call replaced the figures of the first.
    assert list(found["unit"]) == ["tokens/s", "% of the machine"]
    assert all(figure > 0 for figure in found["figure"].tolist())
    assert set(found["case"]) == {"tiny, rho 0, muon"}
    text = page.read_text()
    assert text.startswith("# Speed\n")
    assert text.endswith("\nend\n")
    assert "old" not in text
    assert "| tiny, rho 0, muon | eager | " in text


@pytest.mark.parametrize(
    ("figure", "text"), [(51_234.5, "51,234"), (999.4, "999"), (1.4142, "1.41")]
)
def test_figures_have_three_digits(figure: float, text: str) -> None:
    assert results.shown(figure) == text
