"""Runs of several processes for the tests: gloo ranks that cost no start-up each."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import queue
import socket
import time
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from engram_sweep.placement import Placement
from engram_sweep.spec import RunSpec
from engram_sweep.training.assembly import assemble
from engram_sweep.training.clipping import clip_
from engram_sweep.training.distributed import mean_, sum_
from engram_sweep.training.layout import Layout, Place, join
from engram_sweep.training.micro_batches import accumulate
from engram_sweep.training.optimizers import make_optimizers, schedule_factor, set_learning_rates
from engram_sweep.training.run_state import RunState
from engram_sweep.training.table_adam import TableAdam

TIMEOUT_SECONDS = 240
MAX_TRIES = 3


def on_ranks(
    ranks: int, check: Callable[..., Any], *arguments: Any, gpu: bool = False
) -> list[Any]:
    """Call `check(place, *arguments)` in every one of some processes; return what each returned.

    They are forked from a server that has imported all of this, and so start at once. They see no
    GPU unless they are to.
    """
    for _ in range(MAX_TRIES - 1):
        try:
            return _on_ranks(ranks, check, arguments, gpu)
        except AssertionError as error:
            # Somebody took the port between its choice and its use.
            if "DistNetworkError" not in str(error):
                raise
    return _on_ranks(ranks, check, arguments, gpu)


def _on_ranks(
    ranks: int, check: Callable[..., Any], arguments: tuple[Any, ...], gpu: bool
) -> list[Any]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.ranks", "engram_sweep.training.train"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers = context.Queue()
    processes = [
        context.Process(
            target=_work,
            args=(answers, Place(1, ranks, rank), port, gpu, check, arguments),
            daemon=True,
        )
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    found: dict[int, Any] = {}
    deadline = time.monotonic() + TIMEOUT_SECONDS
    try:
        while len(found) < ranks:
            rank, answer, problem = answers.get(timeout=max(0.1, deadline - time.monotonic()))
            assert problem is None, f"rank {rank} of {ranks}:\n{problem}"
            found[rank] = pickle.loads(answer)
    except queue.Empty:
        raise AssertionError(f"only ranks {sorted(found)} of {ranks} answered") from None
    finally:
        for process in processes:
            process.join(10 if len(found) == ranks else 0)
            process.kill()
    return [found[rank] for rank in range(ranks)]


def _work(
    answers: Any, place: Place, port: int, gpu: bool, check: Callable[..., Any], arguments: Any
) -> None:
    os.environ |= {
        "LOCAL_RANK": str(place.rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    try:
        # As bytes: a tensor would be shared with a process that is gone when it is read.
        answers.put((place.rank, pickle.dumps(check(place, *arguments)), None))
    except BaseException:
        answers.put((place.rank, None, traceback.format_exc()))
    # Whatever gloo's threads do at exit is no part of a test.
    answers.close()
    answers.join_thread()
    os._exit(0)


def whole(tensor: Tensor) -> Tensor:
    """All rows of a tensor, dense."""
    tensor = tensor.to_dense() if tensor.is_sparse else tensor
    full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach().cpu().clone()


def steps_of(
    place: Place,
    spec: RunSpec,
    placement: Placement,
    batches: list[Tensor],
    compression: Tensor | None = None,
) -> dict[str, Any]:
    """Train by hand: what `RunModule` does, with all gradients to look at.

    Returns:
        `losses` of the steps, `gradients` of the first step and `weights` of the end by name,
        `start` the initial values, `load` of every router in the first step, `bytes` that lie in
        this process of parameters and optimizer states, and on which kind of `devices`.
    """
    layout = join(place, placement) if place.ranks > 1 else None
    return train_by_hand(layout, place, spec, placement, batches, compression)


def train_by_hand(
    layout: Layout | None,
    place: Place,
    spec: RunSpec,
    placement: Placement,
    batches: list[Tensor],
    compression: Tensor | None = None,
) -> dict[str, Any]:
    model, cuts, lookups = assemble(spec, compression, placement, layout)
    if layout is None and torch.cuda.is_available():
        model.to("cuda")
    device = layout.device if layout is not None else model.head.weight.device
    model.train()
    optimizers = make_optimizers(model, spec.training)
    tables = {id(table) for table in model.tables()}
    dense = [p for p in model.parameters() if id(p) not in tables]

    def gathered(pick: Callable[[nn.Parameter], Tensor | None]) -> dict[str, Tensor]:
        found = {}
        for name, p in model.named_parameters():
            tensor = pick(p)
            assert tensor is not None, name
            tensor = tensor.detach()
            tensor = tensor.to_dense() if tensor.is_sparse else tensor
            if not isinstance(tensor, DTensor):
                tensor = cuts.spread(p, tensor)
            found[name] = whole(tensor)
        return found

    start = gathered(lambda p: p)
    losses, gradients, load = [], {}, []
    share = len(batches[0]) // place.ranks
    mine = slice(place.rank * share, (place.rank + 1) * share)
    for step, batch in enumerate(batches):
        set_learning_rates(optimizers, schedule_factor(spec.training, step))
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=spec.training.precision == "bf16"):
            loss = accumulate(
                model,
                batch[mine].to(device),
                lookups,
                Tensor.backward,
                placement.micro_windows,
                spec.training.balance_loss,
                place.ranks,
                batches[step + 1][mine] if step + 1 < len(batches) else None,
            )
        if not step:
            gradients = gathered(lambda p: p.grad)
        clip_(dense, spec.training.clip_norm, placement.replicas)
        for optimizer in optimizers:
            optimizer.step()
        for router in model.routers():
            sum_(router.load)
            if not step:
                load.append(router.load.cpu())
            router.rebalance(spec.training.balance_rate)
        losses.append(float(mean_(loss)))
    for optimizer in optimizers:
        if isinstance(optimizer, TableAdam):
            optimizer.flush()
    held = {
        name: tensor.to_local() if isinstance(tensor, DTensor) else tensor
        for name, tensor in RunState(model, cuts, optimizers).tensors().items()
    }
    return {
        "start": start,
        "losses": losses,
        "gradients": gradients,
        "load": load,
        "weights": gathered(lambda p: p),
        "devices": {name: t.device.type for name, t in held.items()},
        "bytes": {name: t.numel() * t.element_size() for name, t in held.items()},
    }


def many_steps_of(
    place: Place,
    cases: dict[str, tuple[RunSpec, Placement]],
    batches: list[Tensor],
    compression: Tensor | None,
) -> dict[str, Any]:
    """`steps_of` for each case, one after the other; a mesh of one process too."""
    found = {}
    for name, (spec, placement) in cases.items():
        layout = join(place, placement)
        found[name] = train_by_hand(layout, place, spec, placement, batches, compression)
    return found


def plainly(
    place: Place, spec: RunSpec, batches: list[Tensor], compression: Tensor | None
) -> dict[str, Any]:
    """`steps_of` in one process without a mesh, on its device if it sees one."""
    return train_by_hand(None, place, spec, Placement(), batches, compression)
