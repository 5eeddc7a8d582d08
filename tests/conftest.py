"""What several test files share.

Plans of the smoke scale, its shards, and one smoke sweep trained for real.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from engram_sweep.config.scale import load_scale
from engram_sweep.config.strict_yaml import read_mapping
from engram_sweep.corpus.shards import Shards, load, prepare
from engram_sweep.planning.plan import Plan, make_plan

ROOT = Path(__file__).resolve().parent.parent
SWEEPS = ROOT / "sweeps"


def pytest_configure() -> None:
    """Let torch, imported later, take one thread of each pytest worker, and Ctrl-C be heard."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Ignored if the shell put the tests into its background, and sweeps would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need the trained smoke sweep go to one process, so that it is trained once."""
    for item in items:
        if "smoke_results" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("smoke"))


def command(*words: str | Path) -> list[str]:
    """The command line of `engram-sweep` as a user has it."""
    return [str(Path(sys.executable).parent / "engram-sweep"), *map(str, words)]


def call(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `engram-sweep` to its end, from the project's root."""
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command(*words), cwd=ROOT, capture_output=True, text=True, env=environment, timeout=300
    )


def write_two_runs(folder: Path) -> Path:
    """A folder of scales whose smoke sweep has two of the real one's six runs."""
    scale = (SWEEPS / "smoke.yaml").read_text()
    small = scale.replace("rho: [1.0, 0.5, 0.0]", "rho: [1.0, 0.0]").replace(
        "seeds: [0, 1]", "seeds: [0]"
    )
    assert small != scale
    folder.mkdir()
    (folder / "smoke.yaml").write_text(small)
    return folder


def longer_sweep(folder: Path, tokens: int = 2_000_000) -> Path:
    """A folder of scales with one run that takes a while."""
    data = read_mapping(SWEEPS / "smoke.yaml")
    data["sweep"] |= {"rho": [0.0], "seeds": [0]}
    data["training"] |= {"tokens": tokens}
    folder.mkdir()
    (folder / "smoke.yaml").write_text(yaml.safe_dump(data))
    return folder


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Make a folder a real file system in memory for a while, or say why this machine cannot.

    In CI not being able to is a failure.
    """
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"needs the right to mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    with mounted(tmp_path / "disk", "size=64k") as disk:
        yield disk


@pytest.fixture(scope="session")
def smoke_plan() -> Plan:
    return make_plan(load_scale("smoke", SWEEPS))


@pytest.fixture
def one_run(smoke_plan: Plan) -> Plan:
    """The smoke sweep with one of its runs."""
    scale = smoke_plan.scale
    small = scale.model_copy(
        update={"sweep": scale.sweep.model_copy(update={"rho": (0.0,), "seeds": (0,)})}
    )
    return make_plan(small)


@pytest.fixture(scope="session")
def shards(smoke_plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return load(prepare(smoke_plan.runs[0].spec.corpus, tmp_path_factory.mktemp("corpora")))


@pytest.fixture(scope="session")
def smoke_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder holding the whole smoke sweep, trained through the command line."""
    results = tmp_path_factory.mktemp("smoke") / "results"
    done = call("sweep", "smoke", "--results", results)
    assert done.returncode == 0, done.stderr
    return results


@pytest.fixture
def without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without SLURM and without a user's file, whatever it has."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
