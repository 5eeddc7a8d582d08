"""The rooms of docs/architecture.md: who may import whom, read from the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples import ROOT

Rooms = dict[str, set[str]]


def drawn(heading: str) -> Rooms:
    """The table of rooms under a heading of docs/architecture.md: what each may import of others.

    Imports for type checkers only are not arrows.
    """
    text = (ROOT / "docs" / "architecture.md").read_text().partition(f"## {heading}\n")[2]
    rows = [line.strip("|").split("|") for line in text.partition("\n## ")[0].splitlines()[1:]]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == 3][2:]
    names = [re.findall(r"`(\w+)(?:/|\.py)`", first) for first, _, _ in cells]
    found: Rooms = {}
    for row, (_, _, words) in zip(names, cells, strict=True):
        without_notes = re.sub(r"\(.*?\)", "", words)
        for room in row:
            found[room] = set(re.findall(r"[a-z]\w+", without_notes)) - {"nothing"}
    found.pop("__init__", None)
    return found


ENGRAM_SWEEP = drawn("The rooms of engram_sweep")
ANALYSIS = drawn("The rooms of analysis")

BOTH_READ = {
    "atomic_files",
    "cli.options",
    "cli.own_size",
    "errors",
    "planning.adaptive",
    "planning.arms",
    "planning.axes",
    "planning.own_machine",
    "planning.own_size",
    "runs.design_note",
    "runs.measures",
    "runs.records",
    "runs.table_files",
}
"""Modules of engram_sweep that analysis imports: no model, no training, no launching.

`cli.options` is what commands share: `--set`, and for `power` the scale that is named;
`own_size` is for `init`, which asks power for seeds."""


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports when it runs, at its top or inside a function."""
    tree = ast.parse(path.read_text())
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(package: str, rooms: Rooms) -> Rooms:
    """The rooms that each room of a package imports, itself left out."""
    found: Rooms = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        room = path.relative_to(ROOT / package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        assert room in rooms, f"{path.relative_to(ROOT)} lies in no room of docs/architecture.md"
        names = [name.split(".") for name in imports(path)]
        targets = {
            words[1] for words in names if words[0] == package and words[1:2] and words[1] in rooms
        }
        found.setdefault(room, set()).update(targets - {room})
    return found


@pytest.mark.parametrize(
    ("package", "rooms"), [("engram_sweep", ENGRAM_SWEEP), ("analysis", ANALYSIS)]
)
def test_a_room_imports_what_the_drawing_shows_and_nothing_else(package: str, rooms: Rooms) -> None:
    assert arrows(package, rooms) == rooms


@pytest.mark.parametrize("rooms", [ENGRAM_SWEEP, ANALYSIS], ids=["engram_sweep", "analysis"])
def test_no_arrow_points_upward(rooms: Rooms) -> None:
    """The tables list a room after all that it imports, so there is no circle."""
    seen: set[str] = set()
    for room, below in rooms.items():
        assert below <= seen, f"{room} imports {below - seen}, which stand above it"
        seen.add(room)


def test_engram_sweep_never_imports_analysis_and_analysis_reads_records_only() -> None:
    for path in sorted((ROOT / "engram_sweep").rglob("*.py")):
        assert not [name for name in imports(path) if name.startswith("analysis")], path
    for path in sorted((ROOT / "analysis").rglob("*.py")):
        for name in imports(path):
            if name.startswith("engram_sweep."):
                module = name.removeprefix("engram_sweep.").rpartition(".")[0]
                assert module in BOTH_READ, f"{path.relative_to(ROOT)} imports {name}"


def test_the_model_knows_nothing_of_lightning_slurm_or_files() -> None:
    for path in sorted((ROOT / "engram_sweep" / "model").rglob("*.py")):
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & {"lightning", "submitit", "pathlib", "os", "io"}, path


@pytest.mark.parametrize(
    "module",
    [
        "engram_sweep.planning.plan",
        "engram_sweep.planning.cost",
        "engram_sweep.runs.records",
        "engram_sweep.launch.driver",
        "engram_sweep.worker",
        "analysis.cli.report",
    ],
)
def test_planning_records_and_launching_load_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_modules_that_both_packages_read_are_light() -> None:
    """A report starts within a second or so.

    No pydantic, no scales, for the names of arms and axes.
    """
    code = (
        "import sys, engram_sweep.planning.arms, engram_sweep.planning.axes; "
        "sys.exit(bool({'pydantic', 'numpy', 'engram_sweep.config.scale'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


WITHOUT_BEHAVIOUR = {
    "analysis/levels.py",
    "engram_sweep/errors.py",
    "engram_sweep/launch/executors/protocol.py",
    "engram_sweep/planning/gpus.py",
}
"""Declarations only: there is nothing in them to test."""


def test_every_module_has_a_test_file_of_its_name() -> None:
    missing = {
        str(path.relative_to(ROOT))
        for package, tests in (("engram_sweep", "tests"), ("analysis", "tests/analysis"))
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
        and not (
            ROOT
            / tests
            / path.relative_to(ROOT / package).parent
            / f"test_{path.relative_to(ROOT / package).name}"
        ).exists()
    }
    assert missing == WITHOUT_BEHAVIOUR
