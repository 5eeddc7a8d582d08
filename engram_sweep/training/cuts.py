"""Which rows of each tensor lie in this process: of parameters, tables and optimizer states."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Replicate, Shard

from engram_sweep.model.transformer import Transformer
from engram_sweep.training.layout import Layout, owned


def local(tensor: Tensor) -> Tensor:
    """Return this process's rows of a tensor: all of one that is not cut."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


class Cuts:
    """How the tensors of a model are cut, all of them along their first dimension.

    Args:
        model: its parameters are as they lie in this process.
        table_rows: rows of each of its tables, whole.
        layout: None for a run of one process, which holds all rows.
    """

    def __init__(
        self, model: Transformer, table_rows: list[int], layout: Layout | None = None
    ) -> None:
        self.layout = layout
        self.rows_of_table = {
            id(table): rows for table, rows in zip(model.tables(), table_rows, strict=True)
        }

    def rows(self, parameter: Tensor) -> tuple[int, int, int]:
        """Return the rows of a parameter in all, its first one here, the one behind its last."""
        total = self.rows_of_table.get(id(parameter), len(parameter))
        if self.layout is not None and id(parameter) in self.rows_of_table:
            return total, *owned(total, self.layout.rank, self.layout.ranks)
        if isinstance(parameter, DTensor):
            mesh = parameter.device_mesh["shard"]
            return total, *owned(total, mesh.get_local_rank(), mesh.size())
        return total, 0, total

    def part(self, parameter: Tensor) -> tuple[Tensor, tuple[int, ...], int]:
        """Return the rows that lie here, the shape of the whole, and the first row's number."""
        total, start, _ = self.rows(parameter)
        own = local(parameter)
        return own, (total, *own.shape[1:]), start

    def own(self, parameter: Tensor, whole: Tensor) -> Tensor:
        """Return what lies here of a whole tensor that is cut as a parameter is."""
        _, start, stop = self.rows(parameter)
        return whole[start:stop]

    def spread(self, parameter: Tensor, own: Tensor) -> Tensor:
        """Return rows that lie here as a tensor that knows of the others.

        Args:
            parameter: the tensor is cut as this one is, e.g. its momentum.
            own: (rows here, ...).

        Returns:
            A `DTensor` on the storage of `own`; `own` itself in a run of one process.
        """
        if self.layout is None:
            return own
        placements: tuple[Replicate | Shard, ...] = (Shard(0),)
        mesh: DeviceMesh = self.layout.hosts if own.device.type == "cpu" else self.layout.everyone
        if isinstance(parameter, DTensor):
            mesh = parameter.device_mesh
            placements = (Shard(0),) if mesh.ndim == 1 else (Replicate(), Shard(0))
        shape = torch.Size((self.rows(parameter)[0], *own.shape[1:]))
        return DTensor.from_local(
            own, mesh, placements, run_check=False, shape=shape, stride=_stride(shape)
        )


def _stride(shape: torch.Size) -> tuple[int, ...]:
    return torch.empty(shape, device="meta").stride()
