"""Bytes of all tensors that are alive, operation by operation, and the most that they ever were.

Under fake tensors, which have shapes and no storage, it measures models of any size.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Follows the storages that operations inside of it make, until they are freed.

    A storage counts once, however many views it has, and as large as it is at the moment: FSDP
    frees gathered parameters by setting their storages to size 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        """Bytes alive, and the most since `peak` was last set."""
        self.calls: Counter[str] = Counter()
        """Collectives by their name."""
        self.moved: Counter[str] = Counter()
        """Bytes of the whole tensors that they gathered, or summed."""
        self._sizes: dict[int, int] = {}

    def count(self, tensor: Tensor) -> None:
        """Count the storage of a tensor, if it is not counted yet; of a cut one what lies here."""
        own = tensor._local_tensor if isinstance(tensor, DTensor) else tensor
        storage = own.untyped_storage()
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = 0
            weakref.finalize(storage, self._freed, key)
        self._resized(key, storage.nbytes())

    def _freed(self, key: int) -> None:
        self.now -= self._sizes.pop(key)

    def _resized(self, key: int, size: int) -> None:
        self.now += size - self._sizes[key]
        self._sizes[key] = size
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and count what it returns."""
        out = func(*args, **(kwargs or {}))
        if func.namespace == "c10d":
            name = func.overloadpacket.__name__
            self.calls[name] += 1
            tensors = [t for t in tree_iter(args) if isinstance(t, Tensor)]
            self.moved[name] += max(t.numel() * t.element_size() for t in tensors)
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor):
                self.count(tensor)
        return out

    @contextmanager
    def following_sizes(self) -> Iterator[None]:
        """Follow storages that change their size too, which is no operation."""
        resize = torch.UntypedStorage.resize_

        def resize_and_count(storage: torch.UntypedStorage, size: int) -> Any:
            result = resize(storage, size)
            if storage._cdata in self._sizes:
                self._resized(storage._cdata, storage.nbytes())
            return result

        setattr(torch.UntypedStorage, "resize_", resize_and_count)  # noqa: B010
        try:
            yield
        finally:
            setattr(torch.UntypedStorage, "resize_", resize)  # noqa: B010
