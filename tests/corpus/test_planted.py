from __future__ import annotations

import numpy as np
import pytest

from engram_sweep.corpus import planted
from engram_sweep.corpus.planted import COMPUTED, LOOK_UP, PLANTED, Rule, entropy


def lines(name: str) -> list[str]:
    return [line for _, text in PLANTED[name].documents() for line in text.splitlines()]


@pytest.fixture(autouse=True)
def few_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "DOCUMENTS", 200)


@pytest.mark.parametrize(
    ("name", "share"), [("planted-look-up", 1.0), ("planted-half", 0.5), ("planted-computed", 0.0)]
)
def test_the_dial_is_the_share_of_look_up_segments(name: str, share: float) -> None:
    found = lines(name)
    assert {len(line) for line in found} == {planted.SEGMENT}
    looked_up = sum(line[0] in LOOK_UP.alphabet for line in found) / len(found)
    assert looked_up == pytest.approx(share, abs=0.02)
    assert sum(len(text) for _, text in PLANTED[name].documents()) == PLANTED[name].size()


@pytest.mark.parametrize(
    ("name", "rule"), [("planted-look-up", LOOK_UP), ("planted-computed", COMPUTED)]
)
def test_a_character_follows_from_the_two_at_the_lags_of_its_rule_and_from_no_others(
    name: str, rule: Rule
) -> None:
    ids = np.array([[rule.alphabet.index(c) for c in line] for line in lines(name)])
    size = len(rule.alphabet)

    def best_guess(lags: tuple[int, int]) -> float:
        """Share of characters that the most common successor of a pair gets right."""
        start = max(lags)
        pairs = ids[:, start - lags[0] : -lags[0]] * size + ids[:, start - lags[1] : -lags[1]]
        counts = np.zeros((size * size, size))
        np.add.at(counts, (pairs.ravel(), ids[:, start:].ravel()), 1)
        return float(counts.max(1).sum() / counts.sum())

    assert best_guess(rule.lags) == pytest.approx(1 - planted.NOISE * (1 - 1 / size), abs=0.02)
    others = [(a, b) for a in range(1, 9) for b in range(a + 1, 10) if (a, b) != rule.lags]
    if rule is COMPUTED:
        # No n-gram, whichever place it ends at, tells what comes.
        assert max(best_guess(lags) for lags in others) < 0.35


def test_the_lowest_loss_is_that_of_the_rule_itself() -> None:
    rng = np.random.default_rng(0)
    size, n = len(LOOK_UP.alphabet), 400_000
    noisy = rng.random(n) < planted.NOISE
    right = ~noisy | (rng.integers(0, size, n) == 0)
    other = planted.NOISE / size
    losses = np.where(right, -np.log(1 - planted.NOISE + other), -np.log(other))
    assert losses.mean() == pytest.approx(entropy(LOOK_UP), abs=0.01)


def test_the_text_is_the_same_each_time() -> None:
    assert lines("planted-half") == lines("planted-half")
