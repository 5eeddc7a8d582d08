"""bf16 and compiled runs against fp32 eager ones, with the tolerances that we stand behind."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace

import pytest
import torch

from engram_sweep.model.initialization import initialise
from engram_sweep.model.transformer import Transformer
from engram_sweep.training.compilation import compile_model
from tests.model.shapes import CLASSES, GEOMETRIES, tokens

# bf16 rows must be 16-byte aligned: widths in multiples of 8.
KINDS = ["engram", "over_encoding", "dense", "streams", "mla", "mla_streams"]


def model_of(kind: str, **changes: int) -> Transformer:
    model = Transformer(replace(GEOMETRIES[kind], expert_width=8, **changes), CLASSES)
    initialise(model, 0)
    return model


@pytest.fixture(autouse=True)
def quiet_tracer():
    """Pytest would capture torch's trace log, hundreds of thousands of lines."""
    logger = logging.getLogger("torch.__trace")
    logger.disabled, before = True, logger.disabled
    yield
    logger.disabled = before


def loss_and_gradients(model: Transformer, bf16: bool) -> tuple[float, dict[str, torch.Tensor]]:
    batch = tokens(4, 25)
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = model(batch[:, :-1], targets=batch[:, 1:]).mean()
    loss.backward()
    gradients = {}
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.dtype == torch.float32, name
        gradients[name] = p.grad.to_dense() if p.grad.is_sparse else p.grad.clone()
    return float(loss.detach()), gradients


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_close_to_fp32(kind):
    """Loss within 0.5 %.

    The whole gradient within 5 % of its length, and every choice of an expert the same.
    """
    model = model_of(kind)
    for router in model.routers():
        # Wide gaps between scores: rounding upstream flips no choice, so that the rest can be
        # compared.
        router.bias.copy_(torch.linspace(0, 8, len(router.bias)))
    exact, gradients = loss_and_gradients(model, bf16=False)
    load = [router.load.clone() for router in model.routers()]
    rounded, rough = loss_and_gradients(model, bf16=True)
    assert rounded == pytest.approx(exact, rel=5e-3)
    assert rounded != exact, "autocast was on"
    for router, before in zip(model.routers(), load, strict=True):
        assert torch.equal(router.load, 2 * before)
    flat, rough_flat = (
        torch.cat([g.flatten() for g in all_.values()]) for all_ in (gradients, rough)
    )
    assert float((rough_flat - flat).norm() / flat.norm()) < 0.05


def test_tables_and_routers_stay_in_fp32_under_autocast():
    model = model_of("streams")
    seen: dict[str, torch.dtype] = {}

    def note(name):
        return lambda module, inputs, output: seen.__setitem__(name, output.dtype)

    for name, module in model.named_modules():
        if name.endswith(("router.scores", "engram.table", "attention.query")):
            module.register_forward_hook(note(name.rpartition(".")[2]))
    loss_and_gradients(model, bf16=True)
    assert seen == {"scores": torch.float32, "table": torch.float32, "query": torch.bfloat16}


# torch warns of itself: when it traces a looked-up tensor, and when it imports its default
# compiler.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.parametrize(("kind", "bf16"), [("engram", False), ("mla_streams", True)])
def test_traced_equals_eager(kind, bf16):
    """The graph that torch.compile traces, run as it is.

    Fp32 loss within 1e-5, gradient within 1e-3 of its length.

    Under bf16 50 times that: two roundings of one sum may differ by the last of 8 bits.
    """
    compare_compiled(kind, bf16, "aot_eager")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU"
)
def test_compiled_equals_eager():
    """The same through the default compiler."""
    compare_compiled("engram", False, "inductor")


def compare_compiled(kind: str, bf16: bool, backend: str) -> None:
    torch.compiler.reset()
    model = model_of(kind, n_layers=1, dense_layers=0)
    model.measure_balance()
    eager, gradients = loss_and_gradients(model, bf16)
    eager_balance = float(torch.as_tensor(model.balance_loss()).detach())
    eager_load = [router.load.clone() for router in model.routers()]
    compile_model(model, backend=backend, fullgraph=True)
    compiled, traced = loss_and_gradients(model, bf16)
    slack = 50 if bf16 else 1
    assert compiled == pytest.approx(eager, rel=1e-5 * slack)
    flat, traced_flat = (
        torch.cat([g.flatten() for g in all_.values()]) for all_ in (gradients, traced)
    )
    assert float((traced_flat - flat).norm() / flat.norm()) < 1e-3 * slack
    # What a forward pass leaves beside its logits.
    assert float(torch.as_tensor(model.balance_loss()).detach()) == pytest.approx(
        eager_balance, rel=1e-4 * slack
    )
    assert [2 * load.sum() for load in eager_load] == [
        router.load.sum() for router in model.routers()
    ]
    assert all(0 < gate < 1 for gate in model.gate_means())
    torch.compiler.reset()
