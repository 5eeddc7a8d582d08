"""`make notebooks` leaves tracked files alone; `make publish-notebooks` writes all or none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.examples import ROOT

JUPYTEXT = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = --output ] && to=$2; shift; done
echo "cells of $1" > $to
"""
EXECUTE = """#!/bin/sh
echo "$SCALE|$SCALES|$OTHER|$RESULTS" > asked
shift
for one in "$@"; do echo outputs >> $one; done
exit $(cat fails)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The Makefile and the notebooks, with programs that only note what they were asked."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    programs = {
        "jupytext": JUPYTEXT,
        "jupyter-execute": EXECUTE,
        "jupyter-lab": '#!/bin/sh\necho "$@" > opened\n',
        "pip": "#!/bin/sh\n",
        ".ready": "",
    }
    for name, text in programs.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "fails").write_text("0")
    return tmp_path


def make(tree: Path, *words: str) -> int:
    command = ["make", "-o", "bin/.ready", "BIN=bin", *words]
    return subprocess.run(command, cwd=tree, capture_output=True).returncode


def tracked(tree: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tree / "notebooks").iterdir()}


@pytest.mark.parametrize("fails", [0, 1])
def test_executing_touches_no_tracked_file(tree: Path, fails: int) -> None:
    before = tracked(tree)
    (tree / "fails").write_text(str(fails))
    assert (make(tree, "notebooks", "SCALE=my.csv", "SCALES=a b.parquet") != 0) == bool(fails)
    assert tracked(tree) == before
    copies = {path.stem for path in (tree / "results" / "notebooks").glob("*.ipynb")}
    assert copies == {path.stem for path in (ROOT / "notebooks").glob("*.py")}
    asked = f"{tree}/my.csv|a {tree}/b.parquet||{tree}/results"
    assert (tree / "asked").read_text().strip() == asked


def test_copies_in_the_lab_are_the_users(tree: Path) -> None:
    """Made once; neither `make lab` nor `make notebooks` writes over what was changed there."""
    assert make(tree, "lab") == 0
    own = tree / "results" / "lab" / "01_u_curve.ipynb"
    assert (tree / "opened").read_text().strip() == "results/lab"
    own.write_text("mine")
    assert make(tree, "lab") == make(tree, "notebooks") == 0
    assert own.read_text() == "mine"


def test_publishing_writes_all_notebooks_or_none(tree: Path) -> None:
    before = tracked(tree)
    (tree / "fails").write_text("1")
    assert make(tree, "publish-notebooks") != 0
    assert tracked(tree) == before
    (tree / "fails").write_text("0")
    assert make(tree, "publish-notebooks") == 0
    for name, held in tracked(tree).items():
        if name.endswith(".ipynb"):
            assert held.decode().splitlines() == [
                f"cells of notebooks/{Path(name).stem}.py",
                "outputs",
            ]
    assert "../published/tiny.parquet|" in (tree / "asked").read_text()
