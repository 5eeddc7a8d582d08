"""Small sweeps for the cluster, and doors that hold their jobs until they are opened."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from engram_sweep.config.strict_yaml import read_mapping
from engram_sweep.runs.records import FILE_NAME, runs_folder
from tests.conftest import ROOT, SWEEPS, call, command


def write_sweep(
    folder: Path, tokens: int | None = None, rho: tuple[float, ...] = (1.0, 0.0), **launch: Any
) -> Path:
    """A folder of scales with the smoke scale of one seed, and its keys of `launch` changed."""
    data = read_mapping(SWEEPS / "smoke.yaml")
    data["sweep"] |= {"rho": list(rho), "seeds": [0]}
    data["training"] |= {"tokens": tokens} if tokens else {}
    data["launch"] |= {"executor": "slurm", **launch}
    folder.mkdir()
    (folder / "smoke.yaml").write_text(yaml.safe_dump(data))
    return folder


DRIVERS: list[subprocess.Popen[str]] = []
"""What tests have started: a driver that a failed one left behind must not disturb the next."""


def driver(*words: str | Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """A sweep in the background."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command("sweep", "smoke", *words), cwd=ROOT, env=env, stdout=pipe, stderr=pipe, text=True
    )
    DRIVERS.append(process)
    return process


def stop_drivers() -> None:
    """Kill every driver that is left, and close its pipes."""
    while DRIVERS:
        process = DRIVERS.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def status(*words: str | Path) -> dict[str, Any]:
    """What `engram-sweep status --json` says."""
    return json.loads(call("status", "smoke", *words, "--json").stdout)


def records(results: Path) -> list[Path]:
    """The records that are there."""
    return sorted(runs_folder(results, "smoke").glob(f"*/{FILE_NAME}"))


def run_folders(results: Path) -> list[Path]:
    """The run folders that are there."""
    return sorted(runs_folder(results, "smoke").glob("*/"))


def door(path: Path) -> list[str]:
    """Commands of a job's set-up that wait until `path` is there."""
    return ["export MASTER_ADDR=127.0.0.1", f"until [ -e {path} ]; do sleep 0.2; done"]
