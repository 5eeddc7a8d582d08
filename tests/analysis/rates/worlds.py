"""Tables of invented runs at several learning rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

OWN = 0.015


@dataclass(frozen=True)
class World:
    """Parabolas that are known; losses in nats/token, rates in octaves above OWN."""

    rho: tuple[float, ...] = (1.0, 0.5, 0.0)
    best: tuple[float, ...] = (1.0, 0.7, 0.4)
    bend: tuple[float, ...] = (0.005, 0.0045, 0.004)
    lowest: tuple[float, ...] = (1.195, 1.170, 1.193)
    lopsided: float = 0.1
    noise: float = 0.003
    seeds: int = 2

    def loss(self, at: int, octaves: float | np.ndarray) -> np.ndarray:
        """Loss of one rho at rates of any shape."""
        off = np.asarray(octaves) - self.best[at]
        return self.lowest[at] + self.bend[at] * off**2 * (1 + self.lopsided * off)

    def table(
        self, rng: np.random.Generator, octaves: Sequence[float] = (-1, 0, 1, 0.5, 1.5)
    ) -> pd.DataFrame:
        """Every rate at every rho and seed, and the own rate at three further seeds."""
        shift = 0.002 * rng.standard_normal(self.seeds + 3)
        rows = [
            (rho, seed, OWN * 2**x, self.loss(at, x) + shift[seed])
            for at, rho in enumerate(self.rho)
            for x in octaves
            for seed in range(self.seeds + 3 * (x == 0))
        ]
        table = pd.DataFrame(rows, columns=["rho", "seed", "learning_rate", "validation_loss"])
        table["validation_loss"] += self.noise * rng.standard_normal(len(table))
        table["arm"] = np.where(table["rho"] == 1, "moe", "engram")
        return table
