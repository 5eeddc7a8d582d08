import json
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from tests.analysis.tables import sweep

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.mark.filterwarnings("default")  # the kernel's own libraries warn; what the notebook runs is tested elsewhere
def test_the_u_curve_notebook_runs_and_says_the_verdict(tmp_path, monkeypatch):
    folder = tmp_path / "demo" / "runs" / "all"
    folder.mkdir(parents=True)
    sweep().to_parquet(folder / "record.parquet")
    monkeypatch.setenv("SCALE", "demo")
    monkeypatch.setenv("RESULTS", str(tmp_path))
    notebook = jupytext.read(NOTEBOOKS / "01_u_curve.py")
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    outputs = json.dumps([cell.get("outputs") for cell in notebook.cells])
    assert "u_supported" in outputs
    assert outputs.count("image/png") >= 2


@pytest.mark.parametrize("script", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_notebook_and_its_script_hold_the_same_cells(script):
    paired = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    sources = [(cell.cell_type, cell.source) for cell in paired.cells]
    assert sources == [(cell.cell_type, cell.source) for cell in jupytext.read(script).cells]
