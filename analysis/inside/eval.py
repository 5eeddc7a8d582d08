"""Task losses along rho: one U for each task, none of them claimed for being one of many.

Every task is analysed as a sweep of its own, with its questions in place of windows and bits per
byte of the right answer in place of a loss. P-values of a U are adjusted over all tasks (Holm 1979,
Scandinavian Journal of Statistics 6, 65), so that a sweep without any U is said to have one, in
whatever task, no more often than alpha. A task whose means differ along rho by less than twice what
runs of one rho differ by tells them apart by luck (signal and noise: arXiv 2508.13144).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.curve.readings import Interval
from analysis.inside.crossed import crossed, paired
from analysis.inside.rows import as_runs, at_rho, count, of_curve
from analysis.inside.words import share, with_interval, with_limits
from analysis.levels import LEVEL
from analysis.sweep.sweep_analysis import analyse_sweep
from engram_sweep.errors import UserError

MIN_SIGNAL = 2.0
"""Range of a task's means along rho over the noise of one run, below which it is not resolved."""
DRAWS = 2000
"""Bootstrap draws of each task's curve: adjusted p-values need small ones."""
UNRESOLVED = "cannot be resolved here"


@dataclass(frozen=True)
class Point:
    """One task at one rho."""

    rho: float
    bits: Interval
    """Bits per byte of the right answers."""
    below_moe: Interval
    """Pure MoE's bits per byte minus these, paired by seed and question; None at rho = 1."""
    accuracy: Interval
    """Share of questions answered right."""


@dataclass(frozen=True)
class Task:
    """What the sweep shows in one task."""

    name: str
    questions: int
    chance: float
    """Accuracy of a guess; 0 if there is no choice."""
    cut: float
    """Share of questions whose beginning the window does not hold."""
    points: tuple[Point, ...]
    """By rho, ascending."""
    gain: Interval
    """Bits per byte at rho = 1 minus the lowest of the task's curve."""
    rho_star: Interval
    """rho of that lowest value."""
    signal: float
    """Range of the means over the noise of a run; NaN if nothing measures it."""
    p_u: float
    """That no interior rho beats both ends, adjusted over all tasks; NaN with one seed."""
    alpha: float
    """Level of the test, over all tasks."""

    @property
    def verdict(self) -> str:
        """Return what may be said of a U."""
        if not self.signal >= MIN_SIGNAL:
            return UNRESOLVED
        return "U" if self.p_u < self.alpha else "no U shown"


@dataclass(frozen=True)
class EvalAnalysis:
    """All tasks of a sweep."""

    tasks: tuple[Task, ...]
    seeds: int
    level: float
    """Nominal coverage of every interval."""


def analyse_eval(table: pd.DataFrame, source: str, level: float = LEVEL) -> EvalAnalysis:
    """Analyse the answers of a sweep's runs.

    Args:
        table: rows of the measure `eval`, with the columns of their runs.
        source: what to call the table in messages.
        level: nominal coverage of every interval; a U is tested at what it leaves out at one side.

    Raises:
        UserError: there are too few runs for a curve, or none at rho = 1.
    """
    rows = of_curve(table).rename(columns={"bits": "loss", "bytes": "tokens"})
    names = list(dict.fromkeys(rows["task"]))
    results = [
        analyse_sweep(
            as_runs(rows.loc[rows["task"] == name]), f"{source}, {name}", level, draws=DRAWS
        )
        for name in names
    ]
    if not all(result.has_moe for result in results):
        raise UserError(f"{source}: expected runs at rho = 1, to measure gains against")
    tested = [np.nan if result.test is None else result.test.p_u for result in results]
    tasks = []
    for name, result, p_u in zip(names, results, holm(tested), strict=True):
        of_task = rows.loc[rows["task"] == name]
        sigma = result.means.sigma
        signal = float(np.ptp(result.means.loss)) / sigma if sigma > 0 else np.nan
        answers = of_task.drop_duplicates("document")["answers"].to_numpy(float)
        tasks.append(
            Task(
                name=name,
                questions=count(of_task, "document"),
                chance=float(np.where(answers > 1, 1 / answers, 0).mean()),
                cut=float(of_task["cut"].mean()),
                points=_points(of_task, level),
                gain=result.gain_over_moe,
                rho_star=result.rho_star,
                signal=signal,
                p_u=p_u,
                alpha=result.alpha,
            )
        )
    return EvalAnalysis(tuple(tasks), count(rows, "seed"), level)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values that hold their level over all of them together.

    Args:
        p_values: one per test; NaN is no test and stays.

    Example:
        `holm([0.01, 0.04, 0.03])` is `[0.03, 0.06, 0.06]`.
    """
    known = [p for p in p_values if p == p]
    adjusted: dict[float, float] = {}
    highest = 0.0
    for place, p in enumerate(sorted(known)):
        # The smallest counts for all, the next for all but one, and none less than one before it.
        highest = max(highest, min(1.0, (len(known) - place) * p))
        adjusted.setdefault(p, highest)
    return [adjusted.get(p, np.nan) for p in p_values]


def _points(rows: pd.DataFrame, level: float) -> tuple[Point, ...]:
    pure = at_rho(rows, 1.0)
    points = []
    for rho in np.unique(rows["rho"]):
        at = at_rho(rows, rho).assign(one=1.0)
        below = Interval(None, None, None)
        if rho < 1 and set(pure["seed"]) & set(at["seed"]):
            both = paired(pure, at, ["loss", "tokens"])
            below = both.interval(lambda s: s[0] / s[1] - s[2] / s[3], level)
        points.append(
            Point(
                rho=float(rho),
                bits=crossed(at, ["loss", "tokens"]).interval(lambda s: s[0] / s[1], level),
                below_moe=below,
                accuracy=crossed(at, ["correct", "one"]).interval(lambda s: s[0] / s[1], level),
            )
        )
    return tuple(points)


def state_eval(result: EvalAnalysis) -> list[str]:
    """Put each task into a sentence."""
    found = [task for task in result.tasks if task.verdict == "U"]
    said = [
        f"Of {len(result.tasks)} tasks ({result.seeds} seeds, zero worked examples) "
        f"{len(found)} {'has' if len(found) == 1 else 'have'} a U in bits per byte of the right "
        f"answer, error over all tasks held at {result.tasks[0].alpha:.0%}."
    ]
    for task in result.tasks:
        pure = task.points[-1]
        chance = f", chance {task.chance:.0%}" if task.chance else ""
        resolved = "" if task.verdict == UNRESOLVED else (
            f"; gain {with_interval(task.gain)}, rho* {with_interval(task.rho_star, 2)}, adjusted "
            f"p {task.p_u:.3f}"
        )  # fmt: skip
        said.append(
            f"{task.name}: {task.verdict} (signal over noise {task.signal:.1f}); at rho = 1 "
            f"{with_interval(pure.bits, 3)} bits per byte, {share(pure.accuracy)} of "
            f"{task.questions} right{chance}{resolved}."
        )
    return said


def eval_table(result: EvalAnalysis) -> pd.DataFrame:
    """Return one row per task and rho."""
    return pd.DataFrame(
        {
            "task": task.name,
            "rho": point.rho,
            "questions": task.questions,
            "cut": task.cut,
            **with_limits("bits per byte", point.bits),
            **with_limits("below pure MoE", point.below_moe),
            **with_limits("accuracy", point.accuracy),
            "chance": task.chance,
            "signal over noise": task.signal,
            "p adjusted": task.p_u,
            "verdict": task.verdict,
        }
        for task in result.tasks
        for point in task.points
    )
