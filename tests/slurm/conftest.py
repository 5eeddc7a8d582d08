"""One real SLURM cluster for all tests here; they run in one process, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, new_folder, what_is_missing
from tests.slurm.sweeps import stop_drivers

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests share the cluster: with xdist they go to one process."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("slurm"))


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    if (missing := what_is_missing()) is not None:
        # In CI a test that does not run is a test that nobody has.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    cluster = Cluster(new_folder())
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def cluster(
    running_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """The cluster, without jobs before and after, and with a user's file as it needs it."""
    user = tmp_path / "config" / "engram-sweep"
    user.mkdir(parents=True)
    (user / "cluster.yaml").write_text("setup: [export MASTER_ADDR=127.0.0.1]\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("SLURM_CONF", str(running_cluster.config))
    try:
        yield running_cluster
    finally:
        stop_drivers()
        running_cluster.clear()


@pytest.fixture
def environment(cluster: Cluster) -> dict[str, str]:
    """Variables for processes in the background; those of `cluster` are among them."""
    return dict(os.environ)
