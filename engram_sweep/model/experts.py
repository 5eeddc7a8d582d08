"""DeepSeekMoE: shared experts that always run and routed experts chosen by sigmoid scores, balanced without a loss.

The balancing bias (Wang et al. 2024, "auxiliary-loss-free") moves by a fixed step towards even load, so its strength
does not depend on the number of experts: a balance loss that does would confound rho.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.layers import GatedFFN, Linear, at_least_fp32
from engram_sweep.spec import Geometry


class Router(nn.Module):
    """Chooses `top_k` of N experts for every token.

    Buffers: `bias` (N,) steers the choice only, never the weights; `load` (N,) counts the tokens that each expert
    got since `take_load` was last called.
    """

    bias: Tensor
    load: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.top_k = geometry.top_k
        self.scores = Linear(geometry.d_model, geometry.routed_experts, geometry.init_std)
        self.register_buffer("bias", torch.zeros(geometry.routed_experts))
        self.register_buffer("load", torch.zeros(geometry.routed_experts, dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(S, D) tokens -> weights (S, top_k) that sum to one, and experts (S, top_k) int64."""
        score = at_least_fp32(self.scores(x)).sigmoid()
        experts = (score.detach() + self.bias).topk(self.top_k, dim=-1, sorted=False).indices
        weights = score.gather(-1, experts)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-20)
        if self.training:
            self.load += torch.bincount(experts.flatten(), minlength=self.load.numel())
        return weights, experts

    @torch.no_grad()
    def rebalance(self, rate: float) -> Tensor:
        """Move the bias one step towards even load; returns the load (N,) since the last call and forgets it.

        Args:
            rate: step of the bias, in units of the score (0..1).
        """
        load = self.load.clone()
        self.load.zero_()
        counts = load.float()
        self.bias += rate * torch.sign(counts.mean() - counts)
        return load


class RoutedExperts(nn.Module):
    """N gated FFNs of one width, run without dropping a token by two grouped matrix products.

    Their rows must be 16-byte aligned: widths in multiples of 4 in fp32, of 8 in bf16.
    """

    def __init__(self, geometry: Geometry, output_std: float) -> None:
        super().__init__()
        n, d, w = geometry.routed_experts, geometry.d_model, geometry.expert_width
        self.gate_up = nn.Parameter(torch.empty(n, d, 2 * w))
        self.down = nn.Parameter(torch.empty(n, w, d))
        self.init_std = {"gate_up": geometry.init_std, "down": output_std}

    def forward(self, x: Tensor, weights: Tensor, experts: Tensor) -> Tensor:
        """Weighted sum of the chosen experts.

        Args:
            x: (S, D) tokens.
            weights: (S, top_k).
            experts: (S, top_k) int64.

        Returns:
            (S, D).
        """
        S, top_k = experts.shape
        flat = experts.flatten()
        order = flat.argsort(stable=True)
        ends = torch.bincount(flat, minlength=len(self.gate_up)).cumsum(0).to(torch.int32)
        gate, up = F.grouped_mm(x[order // top_k], self.gate_up.type_as(x), offs=ends).chunk(2, dim=-1)
        y = F.grouped_mm(F.silu(gate) * up, self.down.type_as(x), offs=ends)
        # Scattering by the inverse permutation and summing over top_k adds in a fixed order on every device.
        y = y[torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=x.device))]
        return (y.view(S, top_k, -1) * weights.type_as(y)[..., None]).sum(1)


class MoE(nn.Module):
    """Shared experts plus routed experts; (B, T, D) -> (B, T, D)."""

    def __init__(self, geometry: Geometry, block: int) -> None:
        super().__init__()
        output_std = geometry.init_std / (2 * geometry.n_layers) ** 0.5
        width = geometry.shared_width[block]
        self.shared = GatedFFN(geometry.d_model, width, geometry.init_std, output_std) if width else None
        self.router = Router(geometry)
        self.experts = RoutedExperts(geometry, output_std)

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        y = self.experts(flat, *self.router(flat)).view_as(x)
        return y if self.shared is None else y + self.shared(x)
