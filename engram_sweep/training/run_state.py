"""What a run goes on from, by name: tensors as they lie in each process, the rest as plain data.

Tensors are those of the model (`model/<name>`) and of its optimizers (`state/<parameter>/<key>`).
Whatever has no rows (steps, learning rates, what missed steps add up to) is alike in all processes
and stays in the optimizer's `state_dict`, from which the tensors are taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from engram_sweep.model.transformer import Transformer
from engram_sweep.training.cuts import Cuts, local
from engram_sweep.training.distributed import rank

Shapes = dict[str, tuple[torch.Size, torch.dtype]]
"""Shape of the whole, and type, of every tensor by its name."""


@dataclass
class RunState:
    """Model and optimizers of a run, as far as they lie in this process."""

    model: Transformer
    cuts: Cuts
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that has rows, by name, on its own storage; `DTensor` if it is cut."""
        found = self._of_model()
        for optimizer in self.optimizers:
            for name, parameter, _ in self._parameters(optimizer):
                for key, value in optimizer.state[parameter].items():
                    if _has_rows(value):
                        found[f"state/{name}/{key}"] = self.cuts.spread(parameter, local(value))
        return found

    def whole(self) -> dict[str, Any]:
        """Return the state of a run of one process, as `fill_from_whole` takes it."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def gathered(self) -> dict[str, Tensor]:
        """Return the whole tensors of the model, on the CPU, in the first process.

        All processes call it. The others return nothing: a model need not fit beside another.
        """
        found = {}
        for name, tensor in self._of_model().items():
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if rank() == 0:
                found[name.removeprefix("model/")] = whole.detach().cpu().contiguous()
        return found

    def fill_from(
        self, shapes: Shapes, rest: dict[str, Any], load: Callable[[dict[str, Tensor]], None]
    ) -> None:
        """Go on from tensors that lie cut somewhere.

        Args:
            shapes: of all of them.
            rest: with the `skeleton` of each optimizer in the list `optimizers`.
            load: fills tensors, given by their names.
        """
        tensors = self._of_model()
        bones = rest["optimizers"][: len(self.optimizers)]
        for optimizer, bone in zip(self.optimizers, bones, strict=True):
            for name, parameter, index in self._parameters(optimizer):
                for key, value in bone["state"].get(index, {}).items():
                    if value is None:
                        shape, dtype = shapes[f"state/{name}/{key}"]
                        _, first, last = self.cuts.rows(parameter)
                        own = torch.zeros(
                            (last - first, *shape[1:]), dtype=dtype, device=parameter.device
                        )
                        tensors[f"state/{name}/{key}"] = self.cuts.spread(parameter, own)
        load(tensors)
        for optimizer, bone in zip(self.optimizers, bones, strict=True):
            self._put_back(optimizer, bone, tensors)

    def fill_from_whole(self, state: dict[str, Any]) -> None:
        """Go on from whole tensors, of which each process takes its rows.

        Args:
            state: `state_dict` of the model as `model`, of each optimizer in the list `optimizers`.
        """
        for name, tensor, parameter in self._entries():
            whole = state["model"][name]
            if parameter is None:
                tensor.copy_(whole)
            else:
                local(parameter.detach()).copy_(self.cuts.own(parameter, whole))
        saved = state["optimizers"][: len(self.optimizers)]
        for optimizer, full in zip(self.optimizers, saved, strict=True):
            tensors = {}
            for name, parameter, index in self._parameters(optimizer):
                for key, value in full["state"].get(index, {}).items():
                    if _has_rows(value):
                        own = self.cuts.own(parameter, value).to(parameter.device, copy=True)
                        tensors[f"state/{name}/{key}"] = self.cuts.spread(parameter, own)
            self._put_back(optimizer, _without_rows(full), tensors)

    def _of_model(self) -> dict[str, Tensor]:
        """Return parameters and persistent buffers, on their own storage."""
        return {
            f"model/{name}": (
                tensor if parameter is None else self.cuts.spread(parameter, local(tensor))
            )
            for name, tensor, parameter in self._entries()
        }

    def _entries(self) -> list[tuple[str, Tensor, torch.nn.Parameter | None]]:
        """Return name and tensor of the model's `state_dict`, and the parameter if it is one."""
        # FSDP2 puts the cut parameters back for this; after a validation pass some are gathered.
        state = self.model.state_dict()
        parameters = dict(self.model.named_parameters())
        return [(name, tensor, parameters.get(name)) for name, tensor in state.items()]

    def _put_back(
        self,
        optimizer: torch.optim.Optimizer,
        bones: dict[str, Any],
        tensors: dict[str, Tensor],
    ) -> None:
        """Let an optimizer go on from its skeleton and the tensors that it leaves out."""
        full = {**bones, "state": {index: dict(each) for index, each in bones["state"].items()}}
        for name, parameter, index in self._parameters(optimizer):
            values = full["state"].get(index, {})
            for key in [key for key, value in values.items() if value is None]:
                tensor = tensors[f"state/{name}/{key}"]
                values[key] = tensor if isinstance(parameter, DTensor) else local(tensor)
        optimizer.load_state_dict(full)

    def _parameters(self, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor, int]]:
        """Yield name, parameter and number in its `state_dict` of all that an optimizer trains."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        index = 0
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                yield names[id(parameter)], parameter, index
                index += 1


def skeleton(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return an optimizer's `state_dict` with None in place of tensors that have rows."""
    return _without_rows(optimizer.state_dict())


def _without_rows(state_dict: dict[str, Any]) -> dict[str, Any]:
    states = {
        index: {key: None if _has_rows(value) else value for key, value in values.items()}
        for index, values in state_dict["state"].items()
    }
    return {**state_dict, "state": states}


def _has_rows(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0
