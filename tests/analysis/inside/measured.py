"""Invented rows of measures, with a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd

RHOS = (0.0, 0.25, 0.5, 0.75, 1.0)
GAINS = {"never": 0.0, "10-99": 0.06, "> 1000": 0.02}
"""Nats/token that the memory gains at its best rho, by stratum of order 3."""
TOKENS = {"never": 400, "10-99": 2000, "> 1000": 6000}
"""Positions of a document."""
DOCUMENTS = 8
SEEDS = 4


def runs_of(rho: float, seed: int, arm: str | None = None) -> dict[str, object]:
    return {
        "run_id": f"{rho}-{seed}",
        "arm": arm or ("moe" if rho == 1 else "engram"),
        "rho": rho,
        "rho_asked": rho,
        "seed": seed,
        "steps": 300,
        "validation_loss": 1.0,
    }


def strata_rows(noise: float = 0.0005, seed: int = 0) -> pd.DataFrame:
    """A sweep whose gain is a parabola in rho, highest at 0.5, as large as GAINS says."""
    rng = np.random.default_rng(seed)
    hardness = rng.normal(0, 0.05, DOCUMENTS)
    rows = []
    for s in range(SEEDS):
        for rho in RHOS:
            run_noise = noise * rng.standard_normal()
            for stratum, gain in GAINS.items():
                for document in range(DOCUMENTS):
                    for copied in (False, True):
                        tokens = TOKENS[stratum] // 2
                        loss = 1.2 + hardness[document] + run_noise
                        loss -= gain * (1 - 4 * (rho - 0.5) ** 2)
                        loss += noise * rng.standard_normal()
                        rows.append(
                            {
                                **runs_of(rho, s),
                                "order": 3,
                                "stratum": stratum,
                                "copied": copied,
                                "document": document,
                                "tokens": tokens,
                                "loss": tokens * loss,
                                "correct": 0.6 * tokens,
                            }
                        )
    return pd.DataFrame(rows)


def whole_gain() -> float:
    """The gain of the whole text at rho = 0.5, nats/token."""
    total = sum(TOKENS.values())
    return sum(TOKENS[name] * gain for name, gain in GAINS.items()) / total


SAVED = {"parabola": 0.05, "flat": 0.0, "slope": 0.0}
"""Bits per byte that the memory saves at its best rho, by invented task."""
CHOICES = 4


def eval_rows(noise: float = 0.002, seed: int = 0, questions: int = 60) -> pd.DataFrame:
    """Answers of a sweep: one task with a U at 0.5, one that is flat, one that falls to rho = 0.

    Right answers are chosen by a coin that knows nothing.
    """
    rng = np.random.default_rng(seed)
    hardness = rng.normal(0, 0.3, questions)
    rows = []
    for s in range(SEEDS):
        for rho in RHOS:
            for task, saved in SAVED.items():
                run_noise = noise * rng.standard_normal()
                bits = 2 + hardness + run_noise - saved * (1 - 4 * (rho - 0.5) ** 2)
                bits += 0.05 * rho * (task == "slope")
                bits += 0.05 * noise * rng.standard_normal(questions)
                size = 10 + np.arange(questions) % 7
                right = rng.random(questions) < 1 / CHOICES
                rows += [
                    {
                        **runs_of(rho, s),
                        "task": task,
                        "document": document,
                        "bits": bits[document] * size[document],
                        "bytes": size[document],
                        "correct": right[document],
                        "answers": CHOICES,
                        "cut": document % 2 == 0,
                    }
                    for document in range(questions)
                ]
    return pd.DataFrame(rows)


LENGTHS = (100, 200)
TEXTS = 40
FOUND = 0.2
"""Exact match of pure MoE at a loss of 1.5 in `retrieval_rows`; it has 0.3 at 1.4."""


def retrieval_rows(memory: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Answers of a sweep whose exact match follows from the loss, but for what the memory adds.

    Pure MoE has a loss of 1.5 and then 1.4, hybrids 0.05 less; a loss lower by 0.1 finds a tenth
    more, and hybrids find `memory` beyond that.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for s in range(SEEDS):
        for rho in (0.5, 1.0):
            for at, steps in enumerate(LENGTHS):
                loss = 1.5 - 0.1 * at - 0.05 * (rho < 1) + 0.002 * rng.standard_normal()
                share = FOUND + (1.5 - loss) + memory * (rho < 1)
                run = runs_of(rho, s) | {"steps": steps, "validation_loss": loss}
                run["run_id"] = f"{rho}-{s}-{steps}"
                rows += [
                    {
                        **run,
                        "hops": hops,
                        "distance": distance,
                        "document": hops * TEXTS + text,
                        "questions": 50,
                        "correct": rng.binomial(50, share),
                        "loss": 50.0,
                        "guess": 50 / 8,
                    }
                    for hops in (0, 1)
                    for text in range(TEXTS)
                    for distance in (16, 32)
                ]
    return pd.DataFrame(rows)
