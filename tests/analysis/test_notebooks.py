import json
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from analysis.simulate import Noise
from tests.analysis.tables import sweep

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def executed(name: str, monkeypatch: pytest.MonkeyPatch, scale: str, results: Path) -> str:
    """The outputs of a notebook, run in a kernel of its own on one sweep."""
    monkeypatch.setenv("SCALE", scale)
    monkeypatch.setenv("RESULTS", str(results))
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    return json.dumps([cell.get("outputs") for cell in notebook.cells])


def simulated(tmp_path: Path, **options) -> Path:
    folder = tmp_path / "demo" / "runs" / "all"
    folder.mkdir(parents=True)
    sweep(**options).to_parquet(folder / "record.parquet")
    return tmp_path


# The kernel's own libraries warn; what the notebooks run is tested elsewhere.
@pytest.mark.filterwarnings("default")
def test_the_u_curve_notebook_runs_and_says_the_verdict(tmp_path, monkeypatch):
    outputs = executed("01_u_curve", monkeypatch, "demo", simulated(tmp_path))
    assert "u_supported" in outputs
    assert outputs.count("image/png") >= 2


@pytest.mark.filterwarnings("default")
def test_the_noise_notebook_says_the_noise_it_was_given(tmp_path, monkeypatch):
    table = simulated(tmp_path, seeds=8, noise=Noise(run=0.003, windows=16))
    outputs = executed("04_power_and_noise", monkeypatch, "demo", table)
    [said] = re.findall(r"Run noise (\d\.\d+) nats", outputs)
    assert float(said) == pytest.approx(0.004, abs=0.001)
    assert outputs.count("image/png") >= 3


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["01_u_curve", "04_power_and_noise"])
def test_notebooks_run_on_a_sweep_that_was_trained(name, smoke_results, monkeypatch):
    assert "image/png" in executed(name, monkeypatch, "smoke", smoke_results)


@pytest.mark.parametrize("script", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_and_its_script_hold_the_same_cells(script):
    paired = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    sources = [(cell.cell_type, cell.source) for cell in paired.cells]
    assert sources == [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
