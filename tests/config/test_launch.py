from __future__ import annotations

import pytest

from tests.config.conftest import check_refusal

IMPOSSIBLE = [
    (
        {"launch__shard": "rack"},
        r"launch\.shard: expected node, all or a number of processes, got 'rack'$",
    ),
    ({"launch__shard": 0}, r"launch\.shard: expected node, all or a number of processes, got 0$"),
    ({"launch__micro_windows": 0}, r"launch\.micro_windows: .*greater than or equal to 1, got 0"),
    ({"launch__tables": "disk"}, r"launch\.tables: .*'device' or 'host', got 'disk'"),
    ({"launch__gpu": "h100"}, r"launch\.gpu: expected either this key or sustained_gflops"),
    (
        {"launch__sustained_gflops": None},
        r"launch\.gpu: expected either this key or sustained_gflops",
    ),
    ({"launch__mfu": 0}, r"launch\.mfu: .*greater than or equal to 0\.000001, got 0"),
    ({"launch__sustained_gflops": 1e-320}, r"launch\.sustained_gflops: .*equal to 0\.000001, got"),
    ({"launch__timeout_minutes": 1e308}, r"launch\.timeout_minutes: .*equal to 525600, got 1"),
    ({"launch__timeout_minutes": 10**9}, r"launch\.timeout_minutes: .*equal to 525600, got 1000"),
    ({"launch__checkpoint_minutes": 1e308}, r"launch\.checkpoint_minutes: .*equal to 525600, got"),
    ({"launch__parallel": 2**63}, r"launch\.parallel: .*less than or equal to 1000000000, got"),
    ({"launch__retries": {"bug": 2**63}}, r"launch\.retries\.bug: .*equal to 1000000000, got"),
    ({"launch__slurm": {"nodes": 2**63}}, r"launch\.slurm\.nodes: .*equal to 1000000000, got"),
    ({"launch__executor": "carrier pigeon"}, r"launch\.executor: .*got 'carrier pigeon'"),
]


@pytest.mark.parametrize(("changes", "says"), IMPOSSIBLE, ids=[says[:40] for _, says in IMPOSSIBLE])
def test_a_wrong_key_is_one_line_with_file_key_and_expectation(tmp_path, capsys, changes, says):
    check_refusal(tmp_path, capsys, changes, says)
