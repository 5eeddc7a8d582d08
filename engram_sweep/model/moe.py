"""DeepSeekMoE: shared experts, and routed ones chosen by sigmoid scores, balanced without a loss.

The balancing bias (Wang et al. 2024, "auxiliary-loss-free") moves by a fixed step towards even
load, so its strength does not depend on the number of experts: a balance loss that does would
confound rho.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.model.grouped_mm import grouped_mm
from engram_sweep.model.layers import GatedFFN, Linear, at_least_fp32, without_autocast
from engram_sweep.spec import Geometry


class Router(nn.Module):
    """Chooses `top_k` of N experts for every token.

    Buffers: `bias` (N,) steers the choice only, never the weights; `load` (N,) counts the tokens
    that each expert got since `rebalance` was last called. With `measure_balance`, training leaves
    the sequence-wise balance loss of the last forward pass in `balance`.
    """

    bias: Tensor
    load: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.top_k, self.scaling = geometry.top_k, geometry.routed_scaling_factor
        self.scores = Linear(geometry.d_model, geometry.routed_experts, geometry.init_std)
        self.register_buffer("bias", torch.zeros(geometry.routed_experts))
        self.register_buffer(
            "load", torch.zeros(geometry.routed_experts, dtype=torch.int64), persistent=False
        )
        self.measure_balance = False
        self.recomputing = False
        """Whether this pass repeats one that was counted (activation checkpointing)."""
        self.balance: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> weights and experts (int64) of every token, each (B T, top_k).

        Weights of one token sum to the routed scaling factor.
        """
        with without_autocast(x):
            score = self.scores(at_least_fp32(x)).sigmoid().flatten(0, 1)
        experts = (score.detach() + self.bias).topk(self.top_k, dim=-1, sorted=False).indices
        weights = score.gather(-1, experts)
        weights = self.scaling * weights / weights.sum(-1, keepdim=True).clamp_min(1e-20)
        if self.training:
            balance = None
            if self.measure_balance:
                balance = sequence_balance(score, experts, x.shape[0])
            if not self.recomputing:
                self.load += count(experts, self.load.numel())
                self.balance = balance
        return weights, experts

    @torch.no_grad()
    def rebalance(self, rate: float) -> Tensor:
        """Move the bias one step towards even load; return the load (N,) since the last call.

        Args:
            rate: step of the bias, in units of the score (0..1).
        """
        load = self.load.clone()
        self.load.zero_()
        counts = load.float()
        self.bias += rate * torch.sign(counts.mean() - counts)
        return load


def count(experts: Tensor, n: int) -> Tensor:
    """Tokens of each of n experts, (n,) int64; unlike bincount, without waiting for the device."""
    flat = experts.flatten()
    return flat.new_zeros(n).scatter_add_(0, flat, torch.ones_like(flat))


def sequence_balance(score: Tensor, experts: Tensor, sequences: int) -> Tensor:
    """Sequence-wise balance loss (DeepSeek-V3, arXiv 2412.19437, Eq. 17-20), without its alpha.

    Normalised by experts and top_k: exactly 1 at even load or even scores, whatever their numbers.
    A loss that grew with the number of experts would confound rho.

    Args:
        score: (B T, N), positive.
        experts: (B T, top_k) int64.
        sequences: B.

    Returns:
        A scalar, the mean over sequences.
    """
    N = score.shape[1]
    share = (score / score.sum(-1, keepdim=True)).view(sequences, -1, N).mean(1)
    chosen = experts.reshape(sequences, -1)
    load = torch.zeros_like(share).scatter_add_(
        1, chosen, torch.ones_like(chosen, dtype=share.dtype)
    )
    return (load * (N / chosen.shape[1]) * share).sum(-1).mean()


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
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(
                torch.get_autocast_dtype(x.device.type)
            )  # autocast does not know grouped products
        S, top_k = experts.shape
        order = experts.flatten().argsort(stable=True)
        ends = count(experts, len(self.gate_up)).cumsum(0).to(torch.int32)
        gate, up = grouped_mm(x[order // top_k], self.gate_up.type_as(x), ends).chunk(2, dim=-1)
        y = grouped_mm(F.silu(gate) * up, self.down.type_as(x), ends)
        # Scattering by the inverse permutation and summing over top_k adds in a fixed order on
        # every device.
        y = y[torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=x.device))]
        return (y.view(S, top_k, -1) * weights.type_as(y)[..., None]).sum(1)


class MoE(nn.Module):
    """Shared experts plus routed experts; (B, T, D) -> (B, T, D)."""

    def __init__(self, geometry: Geometry, block: int) -> None:
        super().__init__()
        output_std = geometry.init_std / (2 * geometry.n_layers) ** 0.5
        width = geometry.shared_width[block]
        self.shared = (
            GatedFFN(geometry.d_model, width, geometry.init_std, output_std) if width else None
        )
        self.router = Router(geometry)
        self.experts = RoutedExperts(geometry, output_std)

    def forward(self, x: Tensor) -> Tensor:
        y = self.experts(x.reshape(-1, x.shape[-1]), *self.router(x)).view_as(x)
        return y if self.shared is None else y + self.shared(x)
