"""Nothing that this project writes or reads can run code of someone else.

By the syntax tree, and by folder modes.
"""

from __future__ import annotations

import ast
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram_sweep.planning.plan import make_plan
from engram_sweep.runs.folder import RunFolder
from tests.examples import ROOT, scale, work_order

FILES = sorted(
    path
    for folder in ("engram_sweep", "analysis", "benchmarks", "notebooks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
PICKLING = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}


MAY_PICKLE = {
    # Reads torch's `.metadata` by an unpickler that knows the names of descriptions only.
    "engram_sweep/training/sharded_checkpoints.py": ["pickle"],
    # Plants such a file.
    "tests/training/test_sharded_checkpoints.py": ["pickle"],
    # Between a test and the processes that it started.
    "tests/training/ranks.py": ["pickle"],
}
"""What files may have, and why."""


def unsafe(source: str) -> Iterator[str]:
    """What in a source could unpickle a file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in PICKLING)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLING:
            yield str(node.module)
        elif (
            isinstance(node, ast.ImportFrom)
            and node.module == "torch"
            and any(a.name == "load" for a in node.names)
        ):
            yield "torch.load by another name"
        elif isinstance(node, ast.Attribute) and node.attr in (
            "read_pickle",
            "load_from_checkpoint",
            "unsafe_load",
        ):
            yield node.attr
        elif isinstance(node, ast.Call):
            yield from _unsafe_call(node)


def _unsafe_call(node: ast.Call) -> Iterator[str]:
    name, given = (
        ast.unparse(node.func),
        {word.arg: ast.unparse(word.value) for word in node.keywords},
    )
    if name == "torch.load" and given.get("weights_only") != "True":
        yield f"{ast.unparse(node)} without weights_only=True"
    if given.get("allow_pickle", "False") != "False":
        yield ast.unparse(node)
    # A submitit job reads its result from a pickle in its folder.
    if "submitit" in name and name.endswith((".result", ".results", ".submission")):
        yield ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_unpickles(path: Path) -> None:
    assert list(unsafe(path.read_text())) == MAY_PICKLE.get(str(path.relative_to(ROOT)), [])


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib.memory",
        "from cloudpickle import loads",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "pd.read_pickle(path)",
        "Module.load_from_checkpoint(path)",
    ],
)
def test_the_search_finds_what_it_is_for(source: str) -> None:
    assert list(unsafe(source))


def test_what_is_allowed_is_not_found() -> None:
    assert not list(
        unsafe(
            "import json\ntorch.load(path, weights_only=True)\nnp.load(path, allow_pickle=False)"
        )
    )


def test_run_folders_are_private(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "0")
    folder.write_work_order(work_order(make_plan(scale()).runs[0], tmp_path))
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
