from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from engram_sweep.rehearsal.live_bytes import LiveBytes

KB = 1024


def test_bytes_come_and_go_with_their_tensors() -> None:
    with LiveBytes() as live:
        first = torch.zeros(KB, dtype=torch.uint8)
        second = torch.zeros(2 * KB, dtype=torch.uint8)
        assert (live.now, live.peak) == (3 * KB, 3 * KB)
        del first
        assert (live.now, live.peak) == (2 * KB, 3 * KB)
        del second
        assert live.now == 0


def test_views_count_once() -> None:
    with LiveBytes() as live:
        whole = torch.zeros(KB, dtype=torch.uint8)
        views = [whole[:10], whole.view(2, -1), whole.detach()]
        assert live.now == KB
        del whole
        assert live.now == KB, "a view keeps its storage"
        del views
        assert live.now == 0


def test_what_autograd_keeps_is_alive() -> None:
    x = torch.ones(KB, requires_grad=True)
    with LiveBytes() as live:
        y = (x * 2).exp()
        kept = live.now
        # exp keeps its output, and the product by a number nothing.
        assert kept == 4 * KB
        y.sum().backward()
        del y
        assert live.now < 3 * 4 * KB


def test_a_storage_that_is_emptied_and_filled_again_counts_as_it_is() -> None:
    with LiveBytes() as live, live.following_sizes():
        gathered = torch.zeros(KB, dtype=torch.uint8)
        gathered.untyped_storage().resize_(0)
        assert live.now == 0
        gathered.untyped_storage().resize_(2 * KB)
        assert (live.now, live.peak) == (2 * KB, 2 * KB)
    resize = torch.UntypedStorage.resize_
    assert resize.__qualname__.endswith("resize_"), "as it was"


def test_tensors_of_any_size_are_measured_without_memory() -> None:
    with FakeTensorMode(), LiveBytes() as live:
        huge = torch.empty(1 << 45, dtype=torch.uint8)
        assert live.now == huge.numel()
