from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from engram_sweep.errors import UserError
from engram_sweep.inside.strip import read_strip, strip_html
from engram_sweep.inside.trained import Trained

TEXT = "the end of the day"


def test_a_planted_ngram_lights_its_row(run: Trained) -> None:
    """Only rows of one bigram hold anything: before its first end nothing changes, then it does."""
    planted = copy.deepcopy(run.model)
    [memory] = planted.memories()
    ids = torch.tensor([list(TEXT.encode())])
    end = TEXT.index("nd") + 1
    rows = memory.rows(ids)[0, end, : memory.rows.primes.shape[1]]
    memory.table.weight.data.zero_()
    memory.table.weight.data[rows] = 2.0
    strip = read_strip(replace(run, model=planted), TEXT)
    assert np.abs(strip.without_order[2][:end]).max() < 1e-5
    assert abs(strip.without_order[2][end]) > 1e-4
    assert np.abs(strip.without_order[3]).max() < 1e-5
    [fired] = strip.rows.values()
    assert fired.shape == (len(TEXT), 2, 2)
    assert (torch.from_numpy(fired[end, 0]) + memory.rows.offsets[0]).tolist() == rows.tolist()


def test_the_page_shows_every_token_and_asks_for_nothing(run: Trained) -> None:
    strip = read_strip(run, "a <b> c")
    page = strip_html(strip, "engram & co")
    assert page.count("<tr>") == 1 + 7
    assert "&lt;" in page
    assert "engram &amp; co" in page
    assert "http" not in page
    assert "src=" not in page


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "--text: expected 2 to 65 tokens"),
        ("x" * 66, "--text: expected 2 to 65 tokens"),
        ("ab\udcff", "--text: expected Unicode text, got"),
    ],
)
def test_a_text_that_cannot_be_read_is_refused(run: Trained, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_strip(run, text)


def test_a_run_without_memory_is_refused(moe_run: Trained) -> None:
    with pytest.raises(UserError, match="expected a run with Engram modules, its arm is moe"):
        read_strip(moe_run, TEXT)
