"""Questions of our own, and models that know their answers or nothing."""

from __future__ import annotations

import string

import numpy as np
import torch
from torch import Tensor, nn

from engram_sweep.inside.task_files import Question

SURE = 40.0
"""Logit of what a knowing model expects, above the others."""


def questions(count: int, choices: int = 4, seed: int = 0) -> list[Question]:
    """Questions of random letters, the right answer anywhere among answers of all lengths."""
    rng = np.random.default_rng(seed)

    def word(least: int, most: int) -> str:
        letters = rng.choice(list(string.ascii_lowercase), rng.integers(least, most))
        return "".join(letters.tolist())

    return [
        Question(
            number,
            f"Question: {word(4, 20)}?\nAnswer:",
            tuple(f" {word(2, 9)}" for _ in range(choices)),
            int(rng.integers(choices)),
        )
        for number in range(count)
    ]


class Knowing(nn.Module):
    """Expects the right answer behind its question, byte by byte, and anything elsewhere."""

    def __init__(self, known: list[Question]) -> None:
        super().__init__()
        self.next: dict[bytes, int] = {}
        for question in known:
            text = (question.context + question.answers[question.right]).encode()
            for at in range(len(question.context.encode()), len(text)):
                self.next[text[:at]] = text[at]

    def memories(self) -> list[nn.Module]:
        return []

    def hidden(self, tokens: Tensor, looked_up: list[Tensor]) -> Tensor:
        logits = torch.zeros(*tokens.shape, 256)
        for row, text in enumerate(tokens.tolist()):
            for at in range(len(text)):
                # The first token ends the document before.
                expected = self.next.get(bytes(text[1 : at + 1]))
                if expected is not None:
                    logits[row, at, expected] = SURE
        return logits

    def head(self, h: Tensor) -> Tensor:
        return h
