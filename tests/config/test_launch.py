from __future__ import annotations

import re

import pytest

from tests.config.conftest import refusal
from tests.examples import write_scale

IMPOSSIBLE = [
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
    path = write_scale(tmp_path, **changes)
    said = refusal(tmp_path, capsys)
    assert str(path) in said
    assert re.search(says, said), said
