from __future__ import annotations

from dataclasses import replace

import pytest

from engram_sweep.placement import Placement


def test_a_run_of_one_process_is_the_default() -> None:
    assert Placement().processes == 1
    assert Placement(replicas=2, shards=3).processes == 6


@pytest.mark.parametrize("name", ["replicas", "shards", "micro_windows", "loss_chunk"])
def test_numbers_that_cannot_be_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"placement: {name}: expected . or more, got -1"):
        replace(Placement(), **{name: -1})
