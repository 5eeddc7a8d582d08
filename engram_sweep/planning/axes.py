"""The axes of a sweep beside rho, arm and seed: what each one changes, in one object.

A sweep is the product of its axes. The plan asks an axis how it changes a scale; the analysis asks
where a finished run lies on it; tables, figures and sentences ask what it is called. The YAML key
of an axis is a list under `sweep:` (`engram_sweep.config.sweep.Sweep`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engram_sweep.config.scale import Scale

ISO_MODES = ("strict", "paper")
"""The values of the axis iso; figures and sentences list them in this order."""
FLOPS_PER_ACTIVE = 6
"""FLOPs per activated parameter and token, forward and backward (paper section 3.1)."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: how a value on it changes a scale, where a record lies on it, what it is called."""

    key: str
    """Its name in tables of conditions and in `--at`."""
    yaml_key: str
    """The list of its values under `sweep:`."""
    plan_key: str
    """The column of the asked value in a plan."""
    plan_label: str
    """Heading of that column on the terminal."""
    change: Callable[[Scale, Any], Scale]
    """Change a scale to a value on this axis."""
    of_record: Callable[[float, float, float], float] | None = None
    """Give the value of a condition from its run at rho = 1: P_tot, P_act, training tokens.

    None if a record does not show it: the axis then makes no conditions.
    """
    label: str = ""
    """Label of a figure's axis (matplotlib's math text)."""
    unit: str = ""
    """Unit behind a value in sentences; empty for ratios."""
    alias: str | None = None
    """A shorter name that `--at` takes too."""
    tables_only: bool = False
    """Whether it sizes tables only, so that arms without tables have no place on it."""
    always_set: bool = False
    """Whether a scale always has a value of it: a single one is a setting then and no axis."""

    def values(self, scale: Scale) -> tuple[float | str, ...]:
        """Return the values that a sweep varies on this axis; none if it does not."""
        values = getattr(scale.sweep, self.yaml_key)
        return () if self.always_set and len(values) == 1 else tuple(values)


@dataclass(frozen=True)
class AxisValues:
    """The values that a run was asked for, by axis key; axes that a sweep does not vary are absent.

    Example:
        `AxisValues((("tokens_per_active", 20.0),)).get("budget")` is None.
    """

    values: tuple[tuple[str, float | str], ...] = ()

    def get(self, key: str) -> float | str | None:
        """Return the value on one axis, None if the sweep does not vary it."""
        return dict(self.values).get(key)

    @property
    def rows_per_head(self) -> int | None:
        """Rows of every head, None if what the experts give up decides."""
        value = self.get("rows_per_head")
        return None if value is None else int(value)

    def shared_with(self, other: AxisValues) -> AxisValues:
        """Return the values that both have: the place of a run that was asked for twice.

        Example:
            the run at rho = 1 of `iso: [strict, paper]` is one run and has no value of iso.
        """
        return AxisValues(tuple(pair for pair in self.values if pair in other.values))

    def row(self) -> dict[str, float | str | None]:
        """Return the asked values as columns of a plan, one per axis."""
        return {axis.plan_key: self.get(axis.key) for axis in AXES.values()}


def _with_iso(scale: Scale, value: str) -> Scale:
    return scale.model_copy(update={"sweep": scale.sweep.model_copy(update={"iso": (value,)})})


def _with_ratio(scale: Scale, value: float) -> Scale:
    # Not at the top: the analysis reads this module too, and has no use for the allocation.
    from engram_sweep.planning.anchor import experts_for, with_experts

    return with_experts(scale, experts_for(scale, value))


def _with_tokens(scale: Scale, tokens: float) -> Scale:
    training = scale.training.model_copy(update={"tokens": max(1, round(tokens))})
    return scale.model_copy(update={"training": training})


def _params_active(scale: Scale) -> int:
    """Return P_act of rho = 1, so that all points of one curve see the same tokens."""
    from engram_sweep.planning.allocation import allocate

    return allocate(scale, 1.0, "moe").ledger.params_active


AXES: dict[str, Axis] = {
    axis.key: axis
    for axis in (
        Axis(
            key="total_over_active",
            yaml_key="total_over_active",
            plan_key="total_over_active",
            plan_label="P_tot/P_act asked",
            change=_with_ratio,
            of_record=lambda total, active, tokens: total / active,
            label="P_tot / P_act",
        ),
        Axis(
            key="tokens_per_active",
            yaml_key="tokens_per_active",
            plan_key="tokens_per_active",
            plan_label="tokens/P_act asked",
            change=lambda scale, value: _with_tokens(scale, value * _params_active(scale)),
            of_record=lambda total, active, tokens: tokens / active,
            label="training tokens / P_act",
        ),
        Axis(
            key="budget",
            yaml_key="budgets",
            plan_key="budget",
            plan_label="FLOPs asked",
            change=lambda scale, value: _with_tokens(
                scale, value / (FLOPS_PER_ACTIVE * _params_active(scale))
            ),
            of_record=lambda total, active, tokens: FLOPS_PER_ACTIVE * active * tokens,
            label="C = 6 P_act tokens (FLOPs)",
            unit="FLOPs",
            alias="C",
        ),
        Axis(
            key="iso",
            yaml_key="iso",
            plan_key="iso",
            plan_label="iso",
            change=_with_iso,
            always_set=True,
        ),
        Axis(
            key="rows_per_head",
            yaml_key="rows_per_head",
            plan_key="rows_per_head_asked",
            plan_label="rows asked",
            # The allocation sizes the tables: nothing of the scale itself changes.
            change=lambda scale, value: scale,
            tables_only=True,
        ),
    )
}
"""Every axis by its key, the outermost loop of a plan first."""


def record_axes() -> tuple[Axis, ...]:
    """Return the axes on which a finished run shows its place."""
    return tuple(axis for axis in AXES.values() if axis.of_record is not None)


def along_axes(scale: Scale, tables_only: bool = False) -> Iterator[tuple[AxisValues, Scale]]:
    """Yield a scale at every combination of values on its axes, in the plan's order.

    Args:
        scale: the sweep.
        tables_only: go along the axes that size tables, in place of all others.
    """
    found: list[tuple[AxisValues, Scale]] = [(AxisValues(), scale)]
    for axis in AXES.values():
        values = axis.values(scale)
        if axis.tables_only != tables_only or not values:
            continue
        found = [
            (AxisValues((*at.values, (axis.key, value))), axis.change(placed, value))
            for at, placed in found
            for value in values
        ]
    yield from found
