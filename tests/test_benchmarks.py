"""Benchmarks run and keep what they find; how fast anything is, no test asks."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import along_rho, results, step_parts, sweep_overhead, tables, train_step
from benchmarks.steps import over, tiny_along_rho
from engram_sweep.model.ngrams import NgramRows


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


def test_the_demo_s_way_looks_up_the_same_rows() -> None:
    """Or it would be another table that is slower."""
    memory = tiny_along_rho()[0.0].geometry.memory
    assert memory is not None
    rows = NgramRows(memory, 0, torch.arange(512) // 2, 512)
    tokens = torch.randint(512, (3, 40), generator=torch.Generator().manual_seed(0))
    assert (tables.numpy_rows(tokens.numpy(), rows) == rows(tokens).numpy()).all()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bmm", "matrix products"),
        ("_scaled_dot_product_flash_attention_for_cpu_backward", "attention"),
        ("index_select", "moves"),
        ("add_", "numbers"),
    ],
)
def test_an_operation_has_a_kind(name: str, kind: str) -> None:
    assert step_parts.kind_of(name) == kind


def test_one_figure_is_put_over_another() -> None:
    rows = over({"a": 0.003, "b": 0.002}, "a", "b")
    assert [row["unit"] for row in rows] == ["ms of CPU", "ms of CPU", "x"]
    assert rows[-1] == {"variant": "a over b", "figure": pytest.approx(1.5), "unit": "x"}


def test_cpu_seconds_are_those_of_children_too() -> None:
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}], check=True)"
    assert 0.3 < sweep_overhead.cpu_seconds([sys.executable, "-c", script]) < 3


def test_steps_on_a_gpu_need_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as stopped:
        train_step.main(["--gpu"])
    assert stopped.value.code == 2
    assert "--gpu: expected a CUDA device, found none" in capsys.readouterr().err


@pytest.mark.slow
def test_every_benchmark_that_is_kept_runs(capsys: pytest.CaptureFixture[str]) -> None:
    tables.main(["--steps", "1", "--times", "2"])
    along_rho.main(["--steps", "1"])
    step_parts.main(["--steps", "1", "--rho", "0"])
    sweep_overhead.main(["--runs", "1", "--steps", "1", "--timed", "1"])
    said = capsys.readouterr().out
    for wanted in (
        "adam, 2 x the rows over adam",
        "the demo's way over ours",
        "rho 0.75 over rho 1",
        "autograd, dispatcher, Python",
        "forked, all over steps",
    ):
        assert wanted in said
