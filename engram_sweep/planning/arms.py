"""The arms of a sweep: what each one trains, in one object.

An arm is one way to spend the parameters that a sweep holds fixed. The two arms on the curve are
pure MoE and the MoE + Engram hybrid; the others are controls beside it. Planning, records and
analysis read everything that they need to know of an arm from its object here. `sweep.arms` of a
scale's YAML (`engram_sweep.config.sweep.Arms`) has one key per control arm, of the same name.

Variants of the Engram module (`sweep.variants`) are arms too, one for each name: `engram/no_gate`.
They are never points of the curve.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engram_sweep.spec import EngramGeometry, Geometry

if TYPE_CHECKING:
    from engram_sweep.config.sweep import Arms

Shape = Callable[[Geometry, int, EngramGeometry], Geometry]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One arm: how it changes the geometry, what it holds fixed, what it is called."""

    key: str
    """Its name in specs, records and YAML."""
    label: str
    """Its name in figures and sentences."""
    shape: Shape
    """Change the geometry of rho = 1.

    Arguments: the geometry of rho = 1; the routed experts that the asked rho leaves (an integer per
    MoE layer); the memory of the scale with one row per head. The result still has the shared
    widths of rho = 1 and tables of one row: allocation meets P_act and P_tot afterwards.
    """
    on_curve: bool = False
    """Whether its runs are points of the U-curve."""
    fixed_rho: float | None = None
    """The rho of every run of this arm; None takes the asked ones."""
    splits_budget: bool = False
    """Whether what the experts give up goes to its tables, so that P_tot is held."""
    always_meets_active: bool = False
    """Whether P_act is met under `iso: paper` too."""


def _hybrid(base: Geometry, experts: int, memory: EngramGeometry) -> Geometry:
    return replace(base, routed_experts=experts, memory=memory)


def _at_input(base: Geometry, experts: int, memory: EngramGeometry) -> Geometry:
    # A table for each order and head, 1 / (n k) of d_model wide; there is one pseudo-layer.
    slices = memory.max_order * memory.heads
    if base.d_model < slices:
        raise ValueError(
            f"over-encoding's tables are d_model / (max_order x heads) wide: expected a d_model of "
            f"at least {slices}, got {base.d_model}"
        )
    at_input = replace(memory, layers=(), head_dim=base.d_model // slices, rows=memory.rows[:1])
    return replace(base, routed_experts=experts, memory=at_input, memory_at_input=True)


MOE = Arm(
    key="moe",
    label="pure MoE",
    shape=lambda base, experts, memory: base,
    on_curve=True,
    fixed_rho=1.0,
)
"""The anchor, rho = 1: every other run is compared with it."""
ENGRAM = Arm(key="engram", label="Engram", shape=_hybrid, on_curve=True, splits_budget=True)
"""The hybrid of the paper (section 2): hashed n-gram memory in some blocks."""
OVER_ENCODING = Arm(key="over_encoding", label="over-encoding", shape=_at_input, splits_budget=True)
"""Narrow hashed tables, each projected and averaged with the input embedding (arXiv 2501.16975)."""
ONE_ROW = Arm(
    key="one_row",
    label="one row",
    shape=lambda base, experts, memory: replace(base, memory=memory),
    fixed_rho=1.0,
)
"""Engram modules with one row per head, all experts kept: the compute without the memory."""
DENSE = Arm(
    key="dense",
    label="dense",
    shape=lambda base, experts, memory: replace(base, routed_experts=0),
    fixed_rho=0.0,
    always_meets_active=True,
)
"""The same activated parameters, nothing sparse."""

ARMS: dict[str, Arm] = {arm.key: arm for arm in (MOE, ENGRAM, OVER_ENCODING, ONE_ROW, DENSE)}
"""Every arm by its key, in the order in which a plan lists them."""


VARIANT = f"{ENGRAM.key}/"
"""How the keys of variants begin."""


def variant_arm(name: str) -> Arm:
    """Return the arm of a variant: the hybrid with another memory, beside the curve.

    Args:
        name: its name in `sweep.variants`, e.g. `no_gate`.
    """
    return replace(ENGRAM, key=VARIANT + name, label=name.replace("_", " "), on_curve=False)


def is_variant(key: str) -> bool:
    """Return whether an arm's key is that of a variant."""
    return key.startswith(VARIANT) and key != VARIANT


def arm_of(key: str) -> Arm:
    """Return an arm by its key, e.g. `moe` or `engram/no_gate`.

    Raises:
        KeyError: there is none.
    """
    return variant_arm(key.removeprefix(VARIANT)) if is_variant(key) else ARMS[key]


def curve_arms() -> tuple[str, ...]:
    """Return the keys of the arms whose runs are points of the U-curve."""
    return tuple(key for key, arm in ARMS.items() if arm.on_curve)


def control_arms() -> tuple[Arm, ...]:
    """Return the arms beside the curve."""
    return tuple(arm for arm in ARMS.values() if not arm.on_curve)


def asked_rhos(asked: Arms, arm: Arm) -> tuple[float, ...]:
    """Return the rho at which a control arm is to train; empty if it is not asked for.

    Args:
        asked: `sweep.arms` of a scale. Its key for the arm is a list of rho, e.g. [0.8, 0.5], or
            true or false for an arm whose rho is fixed.
        arm: a control arm.
    """
    value = getattr(asked, arm.key)
    if arm.fixed_rho is None:
        return tuple(value)
    return (arm.fixed_rho,) if value else ()
