from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable

import numpy as np
import pytest

from engram_sweep.corpus import planted
from engram_sweep.corpus.planted import KEYS, LETTERS, MARKS, PLANTED, entropy


def lines(name: str) -> list[str]:
    return [line for _, text in PLANTED[name].documents() for line in text.splitlines()]


@pytest.fixture(autouse=True)
def few_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted, "DOCUMENTS", 300)


def best_guess(seen: Iterable[tuple[Hashable, str]]) -> float:
    """Share of answers that the most common one behind each context gets right, on other text."""
    pairs = list(seen)
    half = len(pairs) // 2
    known: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    for context, answer in pairs[:half]:
        known[context][answer] += 1
    best = {context: answers.most_common(1)[0][0] for context, answers in known.items()}
    return sum(best.get(context) == answer for context, answer in pairs[half:]) / (
        len(pairs) - half
    )


@pytest.mark.parametrize(
    ("name", "share"), [("planted-look-up", 1.0), ("planted-half", 0.5), ("planted-computed", 0.0)]
)
def test_the_dial_is_the_share_of_look_up_lines(name: str, share: float) -> None:
    found = lines(name)
    looked_up = sum(line[0] in LETTERS for line in found) / len(found)
    assert looked_up == pytest.approx(share, abs=0.02)
    characters = sum(len(text) for _, text in PLANTED[name].documents())
    assert characters == pytest.approx(PLANTED[name].size(), rel=0.03)


def test_a_look_up_answer_follows_from_the_three_letters_before_it_and_from_no_two() -> None:
    words = [word for line in lines("planted-look-up") for word in line.split()]
    right = best_guess((word[:3], word[3]) for word in words)
    # Rare words were drawn wrongly once, or were not seen at all in half of the text.
    assert right > 0.85
    for pair in ((0, 1), (1, 2), (0, 2)):
        assert best_guess((tuple(word[i] for i in pair), word[3]) for word in words) < 0.2


def test_a_computed_answer_follows_from_key_and_mark_and_from_no_ngram_that_a_memory_reads() -> (
    None
):
    found = [line for line in lines("planted-computed") if line]
    assert {line[0] for line in found} == set(KEYS)
    words = [(line, at) for line in found for at in range(1, len(line), 3)]
    right = best_guess(((line[0], line[at]), line[at + 1]) for line, at in words)
    assert right == pytest.approx(1 - planted.NOISE * (1 - 1 / len(MARKS)), abs=0.02)
    alone = best_guess((line[at], line[at + 1]) for line, at in words)
    assert alone < 0.25
    # The n-gram at x, and those that the convolution's other taps read: 3, 6 and 9 back.
    for back in (0, 3, 6, 9):
        far = [(line, at) for line, at in words if at - back - 2 >= 1]
        ngrams = ((line[at - back - 2 : at - back + 1], line[at + 1]) for line, at in far)
        assert best_guess(ngrams) < alone + 0.02


def test_the_lowest_loss_is_that_of_the_rule_itself() -> None:
    rng = np.random.default_rng(0)
    answers = planted._with_noise(np.zeros(400_000, int), len(LETTERS), rng)
    other = planted.NOISE / len(LETTERS)
    losses = np.where(answers == 0, -np.log(1 - planted.NOISE + other), -np.log(other))
    assert losses.mean() == pytest.approx(entropy(LETTERS), abs=0.01)


def test_the_text_is_the_same_each_time() -> None:
    assert lines("planted-half") == lines("planted-half")
