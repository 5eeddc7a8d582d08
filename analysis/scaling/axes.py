"""The axes that a set of conditions identifies, and the place of a new condition on them.

Positions are logarithms to base 2, so a slope is a change per doubling.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.runs.conditions import AXES, Condition
from engram_sweep.errors import UserError

VARIES = float(
    np.log2(1.25)
)  # doublings; P_act grows by a few percent with the experts, which is no axis of its own
MOVES = 0.1
"""Doublings per doubling below which two axes count as independent."""
OFF = float(np.log2(1.1))
"""Doublings by which an asked value may miss what the conditions hold."""


@dataclass(frozen=True)
class Axes:
    """The axes of a joint fit."""

    names: tuple[str, ...]
    """Axes that vary, each by more than follows from those before it."""
    positions: np.ndarray
    """Position of every condition on them, log2, shape (n, k)."""
    relations: dict[str, np.ndarray]
    """For every known axis not in `names`, its log2 as a constant and slopes of positions, shape
    (1 + k,)."""
    silent: dict[str, str]
    """For every axis not in `names`, why nothing can be said along it."""

    @property
    def centre(self) -> np.ndarray:
        """Mean position of the conditions, shape (k,)."""
        return self.positions.mean(axis=0)

    @property
    def columns(self) -> np.ndarray:
        """Design of a law that is linear in the positions, shape (n, 1 + k)."""
        return self.row(self.positions)

    def row(self, position: np.ndarray) -> np.ndarray:
        """Return the design's rows at positions from the centre, shape (..., k) -> (..., 1 + k)."""
        relative = position - self.centre
        return np.concatenate([np.ones((*relative.shape[:-1], 1)), relative], axis=-1)

    def place(self, asked: Mapping[str, float]) -> np.ndarray:
        """Return the position of the asked values, shape (k,); nearest to the centre if free.

        Args:
            asked: values of some of AXES.

        Raises:
            UserError: an axis is unknown, or the values lie off what the conditions span.
        """
        rows, wanted = [], []
        for axis, value in asked.items():
            if axis not in self.names and axis not in self.relations:
                raise UserError(f"--at {axis}={value:g}: {axis} {self.silent[axis]}")
            along = (
                np.eye(len(self.names))[self.names.index(axis)]
                if axis in self.names
                else self.relations[axis][1:]
            )
            constant = 0.0 if axis in self.names else self.relations[axis][0]
            rows.append(along)
            wanted.append(np.log2(value) - constant - along @ self.centre)
        # A matrix without columns has no least-squares routine, and nothing to solve.
        free = np.linalg.lstsq(np.array(rows), np.array(wanted))[0] if self.names else np.zeros(0)
        for (axis, value), along, off in zip(asked.items(), rows, wanted, strict=True):
            if abs(along @ free - off) > OFF:
                fits = value * 2 ** float(along @ free - off)
                why = (
                    f"{axis} {self.silent[axis]}"
                    if axis in self.silent
                    else "the values asked for exclude each other"
                )
                raise UserError(f"--at {axis}={value:g}: expected about {fits:.3g}, {why}")
        return self.centre + free

    def beyond(self, position: np.ndarray) -> float:
        """Return the doublings by which a position lies outside the conditions' range; 0 inside."""
        low, high = self.positions.min(axis=0), self.positions.max(axis=0)
        return float(np.max(np.maximum(low - position, position - high), initial=0.0))


def axes_of(conditions: Sequence[Condition]) -> Axes:
    """Find the axes along which conditions differ; each is in the law or has its reason."""
    names: list[str] = []
    positions = np.empty((len(conditions), 0))
    relations, silent = {}, {}
    for axis in AXES:
        if any(axis not in one.axes for one in conditions):
            silent[axis] = "is not known for every condition"
            continue
        # What of this axis follows from those already found?
        values = np.log2([one.axes[axis] for one in conditions])
        design = np.column_stack([np.ones(len(values)), positions])
        relation = np.linalg.lstsq(design, values)[0]
        left = values - design @ relation
        # It stands still, it moves with the others, or it is an axis of its own.
        if np.ptp(values) < VARIES:
            silent[axis] = f"is about {2 ** values.mean():.3g} in every condition"
            relation = np.append(values.mean(), np.zeros(len(names)))
        elif np.ptp(left) < max(VARIES, 0.3 * np.ptp(values)):
            movers = [
                name for name, slope in zip(names, relation[1:], strict=True) if abs(slope) > MOVES
            ]
            it = "it" if len(movers) == 1 else "them"
            silent[axis] = (
                f"moves with {' and '.join(movers)}, so what is said along {it} holds for it too"
            )
        else:
            names.append(axis)
            positions = np.column_stack([positions, values])
            continue
        relations[axis] = relation
    # A relation found before the last axis was does not depend on the later ones.
    relations = {
        axis: np.pad(one, (0, 1 + len(names) - len(one))) for axis, one in relations.items()
    }
    return Axes(tuple(names), positions, relations, silent)
