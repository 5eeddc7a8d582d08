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
    ({"launch__mfu": 0}, r"launch\.mfu: .*greater than 0, got 0"),
    ({"launch__executor": "carrier pigeon"}, r"launch\.executor: .*got 'carrier pigeon'"),
]


@pytest.mark.parametrize(("changes", "says"), IMPOSSIBLE, ids=[says[:40] for _, says in IMPOSSIBLE])
def test_a_wrong_key_is_one_line_with_file_key_and_expectation(tmp_path, capsys, changes, says):
    check_refusal(tmp_path, capsys, changes, says)
