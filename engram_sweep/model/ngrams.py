"""Token ids -> table rows (paper section 2.2, released demo).

Tokenizer compression, n-gram keys, multiply-XOR hash.

All integers equal the released demo's: multipliers from `numpy.random.default_rng(seed + 10007 *
layer)`, the current token times m_0, one mix per order shared by its heads, heads differing by
their prime only.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engram_sweep.spec import EngramGeometry

_LAYER_STRIDE = 10007


def multipliers(classes: int, max_order: int, layer: int, seed: int) -> np.ndarray:
    """Return the odd int64 multipliers m_0..m_{N-1} of one layer.

    Their range keeps id * multiplier below 2^63, so nothing overflows and every mix is
    non-negative.

    Args:
        classes: number of compressed token ids.
        max_order: N.
        layer: 0-based layer id.
        seed: hash seed of the model.
    """
    half = max(1, int(np.iinfo(np.int64).max) // classes // 2)
    draws = np.random.default_rng(seed + _LAYER_STRIDE * layer).integers(
        0, half, size=max_order, dtype=np.int64
    )
    return draws * 2 + 1


class NgramRows(nn.Module):
    """Rows of one table for every position, on device, without a host round trip.

    Args:
        memory: the memory's geometry.
        index: which of its tables.
        compression: (V,) int64 map from token id to class, or None for the identity on `vocab_size`
            ids.
        vocab_size: V.
    """

    multipliers: Tensor
    primes: Tensor
    offsets: Tensor
    compression: Tensor

    def __init__(
        self, memory: EngramGeometry, index: int, compression: Tensor | None, vocab_size: int
    ) -> None:
        super().__init__()
        # On the CPU whatever the default device: hash constants are values, also in a model built
        # on the meta device.
        classes = compression if compression is not None else torch.arange(vocab_size, device="cpu")
        layer = memory.layers[index] if memory.layers else 0
        factors = multipliers(int(classes.max()) + 1, memory.max_order, layer, memory.hash_seed)
        rows = torch.tensor(memory.rows[index], device="cpu")
        self.register_buffer("compression", classes, persistent=False)
        self.register_buffer("multipliers", torch.from_numpy(factors), persistent=False)
        self.register_buffer("primes", rows, persistent=False)
        starts = rows.flatten().cumsum(0) - rows.flatten()
        self.register_buffer("offsets", starts.view_as(rows), persistent=False)
        self.orders = memory.orders
        self.pad_id = memory.pad_id
        self.document_end = memory.document_end

    def hash(self, tokens: Tensor) -> Tensor:
        """(B, T) token ids -> (B, T, orders, heads) int64 rows in each head, 0 <= row < prime."""
        T = tokens.shape[1]
        ids = self.compression[tokens]
        pad = self.compression[self.pad_id]
        mix = ids * self.multipliers[0]
        rows = []
        reach = self.orders[-1] - 1
        padded = torch.cat((pad.expand(len(ids), reach), ids), dim=1)
        # Which document a position lies in; a token that ends one belongs to it; before the window
        # there is none.
        document = None
        if self.document_end is not None:
            ends = (tokens == self.document_end).cumsum(1)
            document = F.pad(ends - (tokens == self.document_end).long(), (reach, 0), value=-1)
        for back in range(1, reach + 1):
            start = reach - back
            earlier = padded[:, start : start + T]
            if document is not None:
                earlier = torch.where(
                    document[:, start : start + T] == document[:, reach:], earlier, pad
                )
            mix = mix ^ (earlier * self.multipliers[back])
            rows.append(mix[..., None] % self.primes[back - 1])
        return torch.stack(rows, dim=2)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) token ids -> (B, T, orders * heads) rows of the layer's one stacked table."""
        return (self.hash(tokens) + self.offsets).flatten(2)
