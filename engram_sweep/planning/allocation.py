"""rho -> integer experts and prime table rows, at constant P_tot and P_act (paper section 3.1).

N(rho) = top_k + rho (N(1) - top_k); what the experts give up goes to table rows. Under `iso:
strict` whatever else a point activates (the Engram module's projections, norms, convolution and
looked-up rows; the router, which shrinks with the experts) is taken out of the shared experts'
width, so that P_act and FLOPs per token agree along rho.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from engram_sweep.config.scale import Scale
from engram_sweep.errors import UserError
from engram_sweep.planning.anchor import anchor_geometry
from engram_sweep.planning.arms import ARMS, ENGRAM, MOE, Arm, variant_arm
from engram_sweep.planning.ledger import Ledger, ledger
from engram_sweep.planning.primes import distinct_primes
from engram_sweep.spec import EngramGeometry, Geometry

TOTAL_TOLERANCE = 1e-4
"""Largest relative miss of P_tot."""
ACTIVE_TOLERANCE = 1e-3
"""Largest relative miss of P_act and of FLOPs per token under `iso: strict`."""

ALIGNMENT = 8
"""Shared widths come in multiples of this if the model is large enough."""

MAX_HINTS = 256
"""Expert counts that are tried for the hint of a message, the nearest first."""


@dataclass(frozen=True)
class Allocation:
    """One point: the model's shape and its ledger."""

    arm: str
    rho_asked: float
    rho: float
    """Realised: (N - top_k) / (N(1) - top_k); 0 in the dense arm, which has no sparse part."""
    geometry: Geometry
    ledger: Ledger
    anchor: Ledger
    """That of rho = 1, which this one is compared with."""


def allocate(
    scale: Scale, rho: float, arm: str = "engram", rows_per_head: int | None = None
) -> Allocation:
    """Solve one point of the sweep.

    Args:
        scale: the sweep.
        rho: asked share of P_sparse in routed experts; `engram` at rho = 1 is `moe`.
        arm: a key of `ARMS`; an arm with a fixed rho ignores the asked one.
        rows_per_head: size of the Engram tables in place of what the experts give up; P_tot is then
            not held. `over_encoding` gets as many parameters. 0 leaves the memory out.

    Raises:
        UserError: no integer solution within the tolerances; says which constraint fails and by how
            much.
    """
    chosen = ARMS[arm]
    if chosen is ENGRAM and rho == 1 and not rows_per_head:
        chosen = MOE
    if chosen.fixed_rho is not None:
        rho = chosen.fixed_rho
    base = anchor_geometry(scale)
    target = ledger(base, scale.training.window)
    solve = partial(_solve, scale, chosen, base, target)
    table = _table_params(scale, rows_per_head)
    # Try the expert counts nearest to the asked rho; the first that meets the tolerances is taken.
    problems = []
    for experts in _candidates(scale, rho):
        try:
            geometry = solve(experts, table)
        except ValueError as error:
            problems.append(str(error))
            continue
        realised = _rho_of(scale, experts) if chosen.fixed_rho is None else chosen.fixed_rho
        built = ledger(geometry, scale.training.window)
        return Allocation(chosen.key, rho, realised, geometry, built, target)
    hint = ""
    if chosen.splits_budget and 0 <= rho < 1:
        hint = _nearest_hint(scale, rho, solve)
    raise UserError(
        f"sweeps/{scale.name}.yaml: no integer solution at rho = {rho:g} ({chosen.key}): "
        f"{problems[0]}{hint}"
    )


def allocate_variant(scale: Scale, name: str, whole: Allocation, sized: bool) -> Allocation:
    """Solve a variant of the Engram module at the place of the whole one.

    It has as many routed experts. P_tot is held as everywhere, and under `iso: strict` so are P_act
    and FLOPs per token: what a part frees goes to the shared expert, or to the table under
    `iso: paper`. Tables of a given size keep their parameters, as near as primes get.

    Args:
        scale: the sweep, with the variant's memory (`Scale.with_variant`).
        name: of the variant.
        whole: the point of the whole module.
        sized: whether the size of its tables is given (`sweep.rows_per_head`).

    Raises:
        UserError: no integer solution within the tolerances.
    """
    arm, base, target = variant_arm(name), anchor_geometry(scale), whole.anchor
    table = whole.ledger.params_table if sized else None
    try:
        geometry = _solve(scale, arm, base, target, whole.geometry.routed_experts, table)
    except ValueError as error:
        raise UserError(
            f"sweeps/{scale.name}.yaml: sweep.variants.{name}: no integer solution at rho = "
            f"{whole.rho_asked:g}: {error}"
        ) from None
    built = ledger(geometry, scale.training.window)
    return Allocation(arm.key, whole.rho_asked, whole.rho, geometry, built, target)


def _table_params(scale: Scale, rows_per_head: int | None) -> int | None:
    """Return the parameters of Engram tables of a size; None if no size is given."""
    if rows_per_head is None:
        return None
    m = scale.memory
    return rows_per_head * len(m.layers) * (m.max_order - 1) * m.heads * m.head_dim


def _experts_at(scale: Scale, rho: float) -> float:
    """Return the routed experts per MoE layer at a rho, before rounding."""
    return scale.model.top_k + rho * (scale.model.routed_experts - scale.model.top_k)


def _rho_of(scale: Scale, experts: int) -> float:
    """Return the rho that a number of routed experts realises."""
    model = scale.model
    return (experts - model.top_k) / (model.routed_experts - model.top_k)


def _candidates(scale: Scale, rho: float) -> list[int]:
    """Return the expert counts to try at a rho, the nearest first."""
    model, ideal = scale.model, _experts_at(scale, rho)
    # Of a million experts only those around are looked at.
    around = range(math.floor(ideal) - 2, math.ceil(ideal) + 3)
    counts = [n for n in around if model.top_k <= n <= model.routed_experts]
    nearest = sorted(counts, key=lambda n: (abs(n - ideal), -n))
    if not 0 < rho < 1:
        return nearest[:1]
    # The neighbours too: shared widths come in whole units, and the remainder that a neighbour
    # leaves may be the smaller one. The ends of the curve stay what they are.
    inside = [n for n in nearest[:3] if model.top_k < n < model.routed_experts]
    return inside or nearest[:1]


def _nearest_hint(scale: Scale, rho: float, solve: Callable[[int, int | None], Geometry]) -> str:
    """Return `; the nearest rho that works is ...`, or nothing if none of those around works."""
    model, ideal = scale.model, _experts_at(scale, rho)
    counts = sorted(range(model.top_k, model.routed_experts), key=lambda n: abs(n - ideal))
    for experts in counts[:MAX_HINTS]:
        try:
            solve(experts, None)
        except ValueError:
            continue
        return f"; the nearest rho that works is {_rho_of(scale, experts):.6f}"
    return ""


def _solve(
    scale: Scale,
    arm: Arm,
    base: Geometry,
    target: Ledger,
    experts: int,
    table: int | None,
) -> Geometry:
    """Shape one arm with `experts` routed experts, then meet P_act and P_tot.

    Tables hold `table` parameters if that is given, and P_tot is not held then.

    Raises:
        ValueError: a quantity cannot be met; says which.
    """
    if arm is MOE:
        return base
    geometry = arm.shape(base, experts, _one_row_memory(scale))
    if arm.always_meets_active or scale.sweep.iso == ("strict",):
        geometry = _meet_active(geometry, target, scale.training.window)
    if not arm.splits_budget:
        return geometry
    if table:
        return _fill(geometry, table)
    return _meet_total(geometry, target, scale.training.window)


def _one_row_memory(scale: Scale) -> EngramGeometry:
    """Return the memory of a scale with one row per head; `_fill` gives it its rows."""
    memory, vocabulary = scale.memory, scale.corpus.vocabulary
    return EngramGeometry(
        layers=memory.layers,
        max_order=memory.max_order,
        heads=memory.heads,
        head_dim=memory.head_dim,
        rows=(((1,) * memory.heads,) * (memory.max_order - 1),) * len(memory.layers),
        conv_kernel=memory.conv_kernel,
        gate=memory.gate,
        fusion=memory.fusion,
        signed_sqrt=memory.signed_sqrt,
        compress_tokenizer=memory.compress_tokenizer,
        pad_id=vocabulary.pad_id,
        hash_seed=memory.hash_seed,
        init_std=memory.init_std,
        document_end=vocabulary.document_end if memory.reset_at_documents else None,
    )


def _meet_active(geometry: Geometry, target: Ledger, window: int) -> Geometry:
    """Set the shared widths so that P_act and FLOPs per token agree with the anchor's."""
    moe_layers = range(geometry.dense_layers, geometry.n_layers)
    fixed = [w if i < geometry.dense_layers else 0 for i, w in enumerate(geometry.shared_width)]
    bare = ledger(replace(geometry, shared_width=tuple(fixed)), window)
    # GPUs want matrices in multiples of 8 (16 bytes of bf16); small models cannot be met in so
    # coarse steps.
    grain = (
        ALIGNMENT
        if 3 * geometry.d_model * ALIGNMENT <= 2 * ACTIVE_TOLERANCE * target.params_active
        else 1
    )
    unit = 3 * geometry.d_model * grain
    spare = target.params_active - bare.params_active
    if spare < 0:
        more = grain * math.ceil(-spare / (unit * len(moe_layers)))
        raise ValueError(
            f"P_act: without any shared expert it is {bare.params_active:,}, over the "
            f"{target.params_active:,} of rho = 1; raise model.shared_width by {more} or shrink "
            "the Engram module"
        )
    units = round(spare / unit)
    for order, i in enumerate(moe_layers):
        fixed[i] = grain * (units // len(moe_layers) + (order < units % len(moe_layers)))
    met = replace(geometry, shared_width=tuple(fixed))
    reached = ledger(met, window)
    for what, got, wanted in (
        ("P_act", reached.params_active, target.params_active),
        ("FLOPs per token", reached.flops_per_token, target.flops_per_token),
    ):
        if abs(got - wanted) > ACTIVE_TOLERANCE * wanted:
            raise ValueError(
                f"{what}: nearest is {got:,}, {abs(got / wanted - 1):.2%} off {wanted:,}; shared "
                f"widths come in units of {unit:,} parameters, so the model is too small for "
                f"{ACTIVE_TOLERANCE:.1%}"
            )
    return met


def _meet_total(geometry: Geometry, target: Ledger, window: int) -> Geometry:
    """Fill the tables so that P_tot agrees with the anchor's."""
    reached = ledger(geometry, window)
    filled = _fill(geometry, target.params_total - (reached.params_total - reached.params_table))
    miss = ledger(filled, window).params_total - target.params_total
    if abs(miss) > TOTAL_TOLERANCE * target.params_total:
        raise ValueError(
            f"P_tot: nearest is {miss:+,} off {target.params_total:,}, more than "
            f"{TOTAL_TOLERANCE:g} of it"
        )
    return filled


def _fill(geometry: Geometry, params: int) -> Geometry:
    """Tables of distinct primes that hold as near to `params` parameters as primes get."""
    memory = geometry.memory
    assert memory is not None
    tables, orders, heads = len(memory.rows), len(memory.orders), memory.heads
    primes = distinct_primes(tables * orders * heads, round(params / memory.head_dim))
    by_order = [tuple(primes[i : i + heads]) for i in range(0, len(primes), heads)]
    rows = tuple(tuple(by_order[i : i + orders]) for i in range(0, len(by_order), orders))
    return replace(geometry, memory=replace(memory, rows=rows))
