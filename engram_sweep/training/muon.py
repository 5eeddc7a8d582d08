"""Muon: momentum, orthogonalised matrix by matrix, for plain and stacked (expert) matrices.

`torch.optim.Muon` takes two dimensions only; on those the tests hold this one equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al. 2024): singular values go to about one."""
NEWTON_SCHULZ_STEPS = 5


def orthogonalise(matrices: Tensor, steps: int = NEWTON_SCHULZ_STEPS) -> Tensor:
    """Return the nearest semi-orthogonal matrices, approximately: U V^T of each U S V^T.

    The iteration leaves singular values that were not tiny within about 0.7 and 1.2. It runs in
    bfloat16 on an accelerator, which is fast and enough there, and in float32 on the CPU.

    Args:
        matrices: (..., A, B).
        steps: Newton-Schulz iterations, all matrices at once.

    Returns:
        (..., A, B); zeros for a zero matrix.
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.float() if matrices.device.type == "cpu" else matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose every matrix is orthogonalised and scaled to the step size of AdamW.

    An update of an A x B matrix has a root mean square of about 0.2 (Moonlight, arXiv 2502.16982,
    Eq. 4: the factor 0.2 sqrt(max(A, B))), so AdamW's learning rate and decay serve unchanged, and
    an expert's step does not depend on how many experts there are.

    Args:
        params: parameters, or groups of them. A parameter (..., A, B) is a stack of matrices. The
            group's key `blocks` (default 1) says that each of them is that many matrices side by
            side in its columns.
        lr: learning rate.
        weight_decay: decoupled.
        momentum: of the gradient's running mean.

    Raises:
        ValueError: a parameter has fewer than two dimensions.
    """

    def __init__(
        self, params: Iterable, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95
    ) -> None:
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "blocks": 1}
        )
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim < 2:
                    raise ValueError(
                        f"Muon: expected matrices, got a parameter of shape {tuple(p.shape)}"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # as torch's own
        """One step over every parameter that has a gradient; returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                mean = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(mean, group["momentum"])
                # (..., A, blocks * B) -> (..., blocks, A, B): what is fused for speed is
                # orthogonalised apart.
                split = ahead.unflatten(-1, (group["blocks"], -1)).movedim(-2, -3)
                update = orthogonalise(split).movedim(-3, -2).flatten(-2)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * 0.2 * max(split.shape[-2:]) ** 0.5)
        return loss
