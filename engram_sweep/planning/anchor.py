"""The model at rho = 1, whose ledger every other point has to meet, and how many experts it has."""

from __future__ import annotations

from engram_sweep.config.scale import Scale
from engram_sweep.errors import UserError
from engram_sweep.planning.ledger import Ledger, ledger
from engram_sweep.spec import Geometry, MLAGeometry

RATIO_TOLERANCE = 1e-2
"""Largest relative miss of a wanted P_tot / P_act."""


def anchor_geometry(scale: Scale) -> Geometry:
    """Return the anchor: rho = 1, whose ledger every other point has to meet."""
    m = scale.model
    mla = MLAGeometry(**m.mla.model_dump()) if m.mla else None
    shared = [m.dense_width] * m.dense_layers + [m.shared_width] * (m.n_layers - m.dense_layers)
    return Geometry(
        vocab_size=scale.corpus.vocabulary.size,
        d_model=m.d_model,
        n_layers=m.n_layers,
        n_heads=m.n_heads,
        n_kv_heads=m.n_kv_heads or m.n_heads,
        head_dim=mla.qk_nope_head_dim + mla.qk_rope_head_dim if mla else m.head_dim or 0,
        mla=mla,
        streams=m.streams,
        expert_width=m.expert_width,
        routed_experts=m.routed_experts,
        top_k=m.top_k,
        shared_width=tuple(shared),
        dense_layers=m.dense_layers,
        rope_theta=m.rope_theta,
        norm_eps=m.norm_eps,
        routed_scaling_factor=m.routed_scaling_factor,
        init_std=m.init_std,
        memory=None,
        memory_at_input=False,
    )


def experts_for(scale: Scale, total_over_active: float) -> int:
    """Return the number of routed experts whose P_tot / P_act is nearest to a ratio.

    P_act grows a little with them (a router row each), so the ratio has a ceiling.

    Raises:
        UserError: no number of experts above top_k comes within 1 %; says the nearest ratios.
    """
    model, window = scale.model, scale.training.window

    def ledger_of(experts: int) -> Ledger:
        return ledger(anchor_geometry(with_experts(scale, experts)), window)

    few, more = ledger_of(model.top_k + 1), ledger_of(model.top_k + 2)
    total, active = more.params_total - few.params_total, more.params_active - few.params_active
    ceiling = total / active
    wanted = total_over_active * few.params_active - few.params_total
    extra = (
        max(0, round(wanted / (total - total_over_active * active)))
        if total_over_active < ceiling
        else 0
    )
    experts = model.top_k + 1 + extra
    found = ledger_of(experts)
    ratio = found.params_total / found.params_active
    if abs(ratio / total_over_active - 1) > RATIO_TOLERANCE:
        raise UserError(
            f"sweeps/{scale.name}.yaml: sweep.total_over_active: {total_over_active:g} cannot be "
            f"met within {RATIO_TOLERANCE:.0%}; {experts} routed experts give {ratio:.3f}, and "
            f"no number of them {ceiling:.1f}"
        )
    return experts


def with_experts(scale: Scale, experts: int) -> Scale:
    """Return the scale with another number of routed experts."""
    return scale.model_copy(
        update={"model": scale.model.model_copy(update={"routed_experts": experts})}
    )
