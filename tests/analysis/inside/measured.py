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
