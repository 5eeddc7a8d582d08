"""Adam for n-gram tables (paper Appendix A), exact at the price of the rows that a step touches.

Under Adam a row goes on moving after its gradient is gone: touched once, by 5.8 learning rates in
all at betas (0.9, 0.95). `torch.optim.SparseAdam` leaves it where it was, after 0.45. Here a row is
brought up to date when it is next looked up, all steps that it missed at once (`missed_steps`), and
every row before validation; a step never passes over the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from engram_sweep.training.missed_steps import MissedSteps

MAX_FLUSHED = 1 << 22
"""Numbers of a table that are brought up to date at a time, to bound what is held beside it."""


class TableAdam(torch.optim.Optimizer):
    """Adam on sparse gradients that equals `torch.optim.Adam` on the same gradients made dense.

    Rows are up to date in the forward pass if their module calls `before_look_up` first:
    `module.register_forward_pre_hook(optimizer.before_look_up)`. Between two look-ups a row of the
    weight is behind; `flush` ends that. The state of a row is its moments and the last step that it
    knows of, so a checkpoint needs no flush and changes nothing.

    Args:
        tables: (rows, width) parameters with sparse gradients; all step together.
        lr: learning rate; the schedule may change it before every step.
        betas: b1 and b2.
        eps: added to the root of the second moment.

    Raises:
        ValueError: b1 >= sqrt(b2), under which rows would not come to rest.
    """

    def __init__(
        self,
        tables: Iterable[nn.Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(tables, {"lr": lr, "betas": betas, "eps": eps, "step": 0})
        self.missed = MissedSteps(betas, eps)
        [self.group] = self.param_groups

    def before_look_up(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Bring up to date the rows that a module is about to look up: a forward pre-hook.

        Args:
            module: holds the table as `weight`.
            inputs: its arguments, row numbers of any shape.
        """
        table = module.weight
        assert isinstance(table, nn.Parameter)
        self._bring_up_to_date(table, inputs[0].flatten())

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # as torch's own
        """One step over all tables; returns what the closure returns.

        Raises:
            ValueError: a gradient is not sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for table in self.group["params"]:
            if table.grad is not None:
                self._step(table, table.grad)
        self.group["step"] += 1
        self.missed.add(self.group["step"], self.group["lr"])
        return loss

    def _step(self, table: nn.Parameter, gradient: Tensor) -> None:
        """Adam on the rows that have a gradient."""
        if not gradient.is_sparse:
            raise ValueError(
                f"TableAdam: expected sparse gradients, got one of layout {gradient.layout}"
            )
        gradient = gradient.coalesce()
        rows, values = gradient.indices()[0], gradient.values()
        # Other processes of the run may have looked up rows that this one has not.
        self._bring_up_to_date(table, rows)
        state, step = self._state(table), self.group["step"] + 1
        b1, b2 = self.group["betas"]
        # index_select and index_copy_ are several times faster than indexing on narrow rows.
        mean = state["exp_avg"].index_select(0, rows).mul_(b1).add_(values * (1 - b1))
        square = state["exp_avg_sq"].index_select(0, rows)
        square.mul_(b2).add_((values * values).mul_(1 - b2))
        below = square.sqrt().div_((1 - b2**step) ** 0.5).add_(self.group["eps"])
        down = (mean / below).mul_(self.group["lr"] / (1 - b1**step))
        table.index_copy_(0, rows, table.index_select(0, rows).sub_(down))
        self._keep(state, rows, mean, square, step)

    @torch.no_grad()
    def _bring_up_to_date(self, table: nn.Parameter, rows: Tensor) -> None:
        """Let rows (n,), some perhaps twice, catch up with the steps that they missed."""
        state, step = self._state(table), self.group["step"]
        # Most rows of a step were touched a step ago, so what is behind is little.
        rows = rows[state["last_step"].index_select(0, rows) < step].unique()
        if not len(rows):
            return
        since = state["last_step"].index_select(0, rows).long()
        mean, square = (state[name].index_select(0, rows) for name in ("exp_avg", "exp_avg_sq"))
        moved = self.missed.move(since, mean, square.sqrt())
        table.index_copy_(0, rows, table.index_select(0, rows).add_(moved))
        b1, b2 = (left[step - since].to(mean.dtype)[:, None] for left in self.missed.decay)
        self._keep(state, rows, mean.mul_(b1), square.mul_(b2), step)

    @staticmethod
    def _keep(
        state: dict[str, Tensor], rows: Tensor, mean: Tensor, square: Tensor, step: int
    ) -> None:
        """Store the moments of rows (n,) that know of all steps up to `step`."""
        state["exp_avg"].index_copy_(0, rows, mean)
        state["exp_avg_sq"].index_copy_(0, rows, square)
        state["last_step"].index_fill_(0, rows, step)

    def flush(self) -> None:
        """Bring every row of every table up to date: whoever reads whole tables calls it first."""
        for table in self.group["params"]:
            rows = torch.arange(len(table), device=table.device)
            for some in rows.split(max(1, MAX_FLUSHED // table.shape[1])):
                self._bring_up_to_date(table, some)

    def _state(self, table: nn.Parameter) -> dict[str, Tensor]:
        """Return the state of a table, made when it is first asked for."""
        state = self.state[table]
        if not state:
            self.missed.to(table.device)
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(table) for _ in range(2))
            state["last_step"] = torch.zeros(len(table), dtype=torch.int32, device=table.device)
        return state

    def state_dict(self) -> dict[str, Any]:
        """Return torch's own, with what the steps so far add up to."""
        return super().state_dict() | {"missed_steps": self.missed.coefficients}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what `state_dict` returned, on the tables' devices."""
        super().load_state_dict(state_dict)
        [self.group] = self.param_groups
        # torch casts every state to the type of its parameter.
        for state in self.state.values():
            state["last_step"] = state["last_step"].to(torch.int32)
        device = self.group["params"][0].device
        self.missed.restore(state_dict["missed_steps"].to(device, copy=True))
