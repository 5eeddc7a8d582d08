"""Facts of GPUs and of the links between them, with their sources."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """One kind of GPU in a server of eight, by its vendor's data sheets."""

    name: str
    peak_flops: float
    """Dense bf16 FLOP/s; the sheets of Hopper print twice that, with sparsity."""
    memory_bytes: float
    nvlink: float
    """Bytes/s to the GPUs of its node, one way; the sheets print both ways together."""
    network: float
    """Bytes/s to other nodes, one way: the adapter that stands beside each GPU."""
    host: float
    """Bytes/s to the memory of its host, one way."""


GPUS = {
    # NVIDIA H100 data sheet: 1,979 TFLOPS bf16 with sparsity, 80 GB, NVLink 900 GB/s, PCIe Gen5
    # 128 GB/s; DGX H100: 400 Gb/s InfiniBand a GPU.
    "h100": Gpu("H100 SXM", 989.5e12, 80e9, 450e9, 50e9, 64e9),
    # NVIDIA H200 data sheet: as H100 with 141 GB; DGX H200: 400 Gb/s InfiniBand a GPU.
    "h200": Gpu("H200 SXM", 989.5e12, 141e9, 450e9, 50e9, 64e9),
    # NVIDIA A100 data sheet: 312 TFLOPS bf16, 80 GB, NVLink 600 GB/s, PCIe Gen4 64 GB/s; DGX A100:
    # 200 Gb/s InfiniBand a GPU.
    "a100": Gpu("A100 SXM", 312e12, 80e9, 300e9, 25e9, 32e9),
}
"""Every kind of `launch.gpu`."""

SUSTAINED = 0.8
"""Share of a link's bandwidth that collectives are expected to sustain; assumed."""
RESERVED = 0.1
"""Share of a GPU's memory that nothing is planned into; assumed.

It is for the CUDA context, the buffers of NCCL and what an allocator cannot hand out."""
