import json
import re
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from analysis.simulation.sweeps import Noise
from tests.analysis.report.test_write_inside import write_measured_sweep
from tests.analysis.tables import sweep, trained, write_runs

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def executed(name: str, scale: str, results: Path, monkeypatch, other: str = "") -> str:
    """The outputs of a notebook, run on the sweeps of a results folder, as JSON."""
    monkeypatch.setenv("SCALE", scale)
    monkeypatch.setenv("SCALES", scale)
    monkeypatch.setenv("RESULTS", str(results))
    monkeypatch.setenv("OTHER", other)
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(NOTEBOOKS)}}
    ).execute()
    return json.dumps([cell.get("outputs") for cell in notebook.cells])


# The kernel's own libraries warn; what the notebooks run is tested elsewhere.
@pytest.mark.filterwarnings("default")
def test_the_u_curve_notebook_reads_a_table_with_nothing_but_what_is_needed(tmp_path, monkeypatch):
    table = tmp_path / "my_runs.csv"
    sweep()[["rho", "seed", "validation_loss"]].to_csv(table, index=False)
    outputs = executed("01_u_curve", str(table), tmp_path, monkeypatch)
    assert "A U is supported" in outputs
    assert "names no second sweep" in outputs
    assert outputs.count('"image/png": "') == 3  # the picture, changed, and beside the literature


@pytest.mark.filterwarnings("default")
def test_the_u_curve_notebook_shows_the_training_and_compares(tmp_path, monkeypatch):
    write_runs(tmp_path, "demo", trained(sweep()))
    write_runs(tmp_path, "other", sweep(seed=1))
    outputs = executed("01_u_curve", "demo", tmp_path, monkeypatch, other="other")
    assert "other against demo (" in outputs
    # The picture, changed, three of the training, two sweeps, and beside the literature.
    assert outputs.count('"image/png": "') == 7


@pytest.mark.filterwarnings("default")
def test_the_scaling_notebook_fits_two_sweeps_together(tmp_path, monkeypatch):
    for number, name in enumerate(("short", "long")):
        sizes = {"params_total": 10_000, "params_active": 1_000, "tokens": 20_000 * (1 + number)}
        write_runs(tmp_path, name, sweep(seed=number).assign(scale=name, **sizes))
    outputs = executed("02_scaling_of_the_optimum", "short long", tmp_path, monkeypatch)
    assert "Per doubling of tokens_per_active (20 to 40, 2 values" in outputs
    assert outputs.count('"image/png": "') == 2


@pytest.mark.filterwarnings("default")
def test_the_scaling_notebook_says_what_one_condition_cannot_show(smoke_results, monkeypatch):
    outputs = executed("02_scaling_of_the_optimum", "smoke", smoke_results, monkeypatch)
    assert "One condition cannot show" in outputs
    assert outputs.count('"image/png": "') == 1


@pytest.mark.filterwarnings("default")
def test_the_noise_notebook_says_the_noise_it_was_given(tmp_path, monkeypatch):
    write_runs(tmp_path, "demo", sweep(seeds=8, noise=Noise(run=0.003, windows=16)))
    outputs = executed("03_power_and_noise", "demo", tmp_path, monkeypatch)
    [said] = re.findall(r"Run noise (\d\.\d+) nats", outputs)
    assert float(said) == pytest.approx(0.004, abs=0.001)
    assert outputs.count('"image/png": "') >= 3


@pytest.mark.filterwarnings("default")
def test_the_notebook_inside_the_memory_shows_what_was_measured(tmp_path, monkeypatch):
    write_runs(tmp_path, "demo", sweep())
    outputs = executed("04_inside_the_memory", "demo", tmp_path, monkeypatch)
    assert "Nothing yet; `make strata`" in outputs
    write_measured_sweep(tmp_path / "measured")
    outputs = executed("04_inside_the_memory", "demo", tmp_path / "measured", monkeypatch)
    assert "Of demo: strata." in outputs
    assert "split at rho 0.50" in outputs
    assert outputs.count("image/png") >= 1


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", ["01_u_curve", "03_power_and_noise"])
def test_notebooks_run_on_a_sweep_that_was_trained(name, smoke_results, monkeypatch):
    assert "image/png" in executed(name, "smoke", smoke_results, monkeypatch)


@pytest.mark.parametrize("script", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_and_its_script_hold_the_same_cells(script):
    paired = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    sources = [(cell.cell_type, cell.source) for cell in paired.cells]
    assert sources == [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
