"""What is found inside the window, along rho: at equal steps, and at equal validation loss.

A hybrid that has a lower loss than pure MoE after the same steps may find more because it is the
better model, whatever its memory. The paper therefore compares a hybrid of fewer steps with pure
MoE of equal loss. A sweep over two lengths can do so too: pure MoE is taken at the hybrid's loss,
straight between its exact match at the shorter and at the longer length.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.crossed import aligned, crossed, paired
from analysis.inside.rows import at_rho, best_rho, count, of_curve
from analysis.inside.words import share, with_limits
from analysis.levels import LEVEL
from engram_sweep.errors import UserError

ALL = 0
"""In place of a distance: all of them."""
NOTHING = Interval(None, None, None)


@dataclass(frozen=True)
class Cell:
    """Exact match of the runs of one rho and length, at one number of links and distance."""

    hops: int
    """Links from the name asked for to the one with the value; 0 for needles."""
    distance: int
    """Tokens back to the value, up to twice as many; ALL for all."""
    rho: float
    steps: int
    match: Interval
    """Share of answers that match exactly."""
    guess: float
    """That of who takes any value that a text says, whatever name is asked for."""
    over_moe: Interval
    """That minus pure MoE's after the same steps, paired by seed and text."""
    over_equal_moe: Interval
    """That minus pure MoE's at the same validation loss; of the shortest length only."""
    weight: float
    """Where pure MoE has that loss: 0 at the shortest length, 1 at the longest; NaN if unknown."""


@dataclass(frozen=True)
class RetrievalAnalysis:
    """All that was found, and what it is to be held against."""

    cells: tuple[Cell, ...]
    best: float
    """The rho below 1 with the lowest validation loss at the shortest length."""
    texts: int
    """Texts of each number of links."""
    seeds: int
    level: float
    """Nominal coverage of every interval."""

    def of(self, hops: int, distance: int = ALL) -> tuple[Cell, ...]:
        """Return the cells of some links and distance, by length and rho."""
        return tuple(c for c in self.cells if (c.hops, c.distance) == (hops, distance))

    @property
    def hops(self) -> tuple[int, ...]:
        """The numbers of links, ascending."""
        return tuple(sorted({cell.hops for cell in self.cells}))


def analyse_retrieval(table: pd.DataFrame, source: str, level: float = LEVEL) -> RetrievalAnalysis:
    """Analyse the answers of a sweep's runs.

    Args:
        table: rows of the measure `retrieval`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval.

    Raises:
        UserError: there is no run at rho = 1 to compare with.
    """
    rows = of_curve(table)
    # As a sum, so that a mean loss comes out of the same sums as an exact match.
    rows = rows.assign(held_out=rows["validation_loss"] * rows["questions"])
    if len(at_rho(rows, 1.0)) in (0, len(rows)):
        raise UserError(f"{source}: expected runs at rho = 1 and below, to compare")
    cells = []
    for hops in sorted(rows["hops"].unique()):
        of_hops = rows.loc[rows["hops"] == hops]
        for distance in (ALL, *sorted(of_hops["distance"].unique())):
            here = of_hops if distance == ALL else of_hops.loc[of_hops["distance"] == distance]
            cells += _cells(here, int(hops), int(distance), level)
    shortest = rows.loc[rows["steps"] == rows["steps"].min()]
    return RetrievalAnalysis(
        cells=tuple(cells),
        best=best_rho(shortest),
        texts=count(rows.loc[rows["hops"] == rows["hops"].min()], "document"),
        seeds=count(rows, "seed"),
        level=level,
    )


def _cells(rows: pd.DataFrame, hops: int, distance: int, level: float) -> list[Cell]:
    pure, lengths = at_rho(rows, 1.0), sorted(rows["steps"].unique())
    short, long = (pure.loc[pure["steps"] == steps] for steps in (lengths[0], lengths[-1]))
    cells = []
    for steps in lengths:
        of_steps = rows.loc[rows["steps"] == steps]
        beside = pure.loc[pure["steps"] == steps]
        for rho in np.unique(of_steps["rho"]):
            at = at_rho(of_steps, rho)
            over, equal, weight = NOTHING, NOTHING, np.nan
            if rho < 1 and set(at["seed"]) & set(beside["seed"]):
                both = paired(at, beside, ["correct", "questions"])
                over = both.interval(lambda s: s[0] / s[1] - s[2] / s[3], level)
            three = (at, short, long)
            seeds = set.intersection(*(set(each["seed"]) for each in three))
            if rho < 1 and steps == lengths[0] < lengths[-1] and seeds:
                sums = aligned(three, ["correct", "questions", "held_out"])
                equal = sums.interval(lambda s: _over_equal(s)[0], level)
                weight = float(_over_equal(sums.sums.sum(axis=(1, 2)))[1])
            match = crossed(at, ["correct", "questions"]).interval(lambda s: s[0] / s[1], level)
            guess = float(at["guess"].to_numpy().sum() / at["questions"].to_numpy().sum())
            cells.append(
                Cell(hops, distance, float(rho), int(steps), match, guess, over, equal, weight)
            )
    return cells


def _over_equal(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return exact match beyond that of pure MoE at equal loss, and the place of that loss.

    Args:
        sums: (9, ...): answers that match, questions and losses, of a hybrid and of pure MoE at
            the shorter and at the longer length.

    Returns:
        The difference, and 0 where the shorter length has the hybrid's loss to 1 where the longer
        has it.
    """
    correct, questions, held_out = sums[0::3], sums[1::3], sums[2::3]
    match, loss = correct / questions, held_out / questions
    weight = (loss[1] - loss[0]) / (loss[1] - loss[2])
    return match[0] - (1 - weight) * match[1] - weight * match[2], weight


def state_retrieval(result: RetrievalAnalysis) -> list[str]:
    """Put each number of links into a sentence, at the best rho."""
    seeds = f"{result.seeds} seed{'s' if result.seeds > 1 else ''}"
    said = [f"Retrieval at rho {result.best:.2f} ({result.texts} texts of each kind, {seeds})."]
    for hops in result.hops:
        cells = result.of(hops)
        [first] = [c for c in cells if c.rho == result.best and c.steps == cells[0].steps]
        last = [c for c in cells if c.rho == result.best][-1]
        pure = [c for c in cells if c.rho == 1][-1]
        words = (
            f"{kind(hops).capitalize()}: {share(last.match)} right after {last.steps} steps, pure "
            f"MoE {share(pure.match)}, whoever takes any value said {last.guess:.0%}"
        )
        if all((cell.match.low or 0) <= cell.guess for cell in (last, pure)):
            said.append(f"{words}: names are not looked up, so nothing is compared.")
            continue
        words += f"; at equal steps {_difference(last.over_moe)}"
        if first.over_equal_moe.value is not None:
            words += f"; at equal validation loss {_difference(first.over_equal_moe)}"
            if not 0 <= first.weight <= 1:
                words += (
                    f", pure MoE being extrapolated to {first.weight:.1f} of the way from "
                    f"{first.steps} to {last.steps} steps"
                )
        said.append(f"{words}.")
    return said


def kind(hops: int) -> str:
    """Return what texts with that many links are called."""
    if hops == 0:
        return "needles"
    return f"chains of {hops} link{'s' if hops > 1 else ''}"


def _difference(points: Interval) -> str:
    """Return a difference of shares in percentage points, or that it is not told apart."""
    if points.value is None:
        return "nothing to compare with"
    if points.low is None or points.high is None:
        return f"{100 * points.value:+.1f} points"
    words = f"{100 * points.value:+.1f} points [{100 * points.low:.1f}, {100 * points.high:.1f}]"
    return words if points.low > 0 or points.high < 0 else f"not told apart ({words})"


def retrieval_table(result: RetrievalAnalysis) -> pd.DataFrame:
    """Return one row per number of links, distance, length and rho; distance 0 is all of them."""
    return pd.DataFrame(
        {
            "links": cell.hops,
            "distance": cell.distance,
            "steps": cell.steps,
            "rho": cell.rho,
            **with_limits("exact match", cell.match),
            "any value said": cell.guess,
            **with_limits("over pure MoE", cell.over_moe),
            **with_limits("over pure MoE of equal loss", cell.over_equal_moe),
            "way to the longer length": cell.weight,
        }
        for cell in result.cells
    )
