from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_sweep.model.engram import Engram, OverEncoding, ShortConv
from engram_sweep.model.initialization import initialise
from tests.model import reference
from tests.model.shapes import CLASSES, ENGRAM, MEMORY, arrays, fill, tokens


def states(B: int, T: int, M: int) -> torch.Tensor:
    h = torch.randn(
        B, T, M, ENGRAM.d_model, generator=torch.Generator().manual_seed(T), dtype=torch.float64
    )
    return h if M > 1 else h[:, :, 0]


def rows_and_primes(ids: list[int], memory, index: int) -> tuple[np.ndarray, list[int]]:
    rows = reference.ngram_rows(
        ids, CLASSES.tolist(), memory.rows[index], memory.layers[index], 0, memory.pad_id
    )
    return np.array(rows), [p for order in memory.rows[index] for p in order]


@settings(max_examples=60, deadline=None)
@given(
    M=st.integers(1, 4),
    root=st.booleans(),
    T=st.integers(1, 14),
    max_order=st.integers(2, 4),
    kernel=st.integers(0, 5),
    gate=st.booleans(),
    fusion=st.sampled_from(["branches", "single"]),
)
def test_module_equals_the_reference(M, root, T, max_order, kernel, gate, fusion):
    """M branches share the table and W_V.

    W_K, norms, gates and taps are their own (paper section 2.4), or one set under a single fusion;
    gate and convolution may be left out (section 6.2).
    """
    rows = (((11, 13), (17, 19), (23, 29))[: max_order - 1],)
    memory = replace(
        MEMORY,
        layers=(1,),
        max_order=max_order,
        rows=rows,
        conv_kernel=kernel,
        signed_sqrt=root,
        gate=gate,
        fusion=fusion,
    )
    module = Engram(replace(ENGRAM, streams=M, memory=memory), 0, CLASSES).double()
    fill(module)
    ids, h = tokens(2, T), states(2, T, M)
    got = module(h, module.look_up(ids)).detach()
    for b in range(2):
        where = rows_and_primes(ids[b].tolist(), memory, 0)
        wanted = reference.engram(
            h[b].reshape(T, M, -1).numpy(), *where, arrays(module), max_order, root
        )
        np.testing.assert_allclose(got[b].reshape(T, M, -1), wanted, rtol=1e-9, atol=1e-9)


ABLATED = {
    "whole": {},
    "root": {"signed_sqrt": True},
    "no gate": {"gate": False},
    "no convolution": {"conv_kernel": 0},
    "single fusion": {"fusion": "single"},
    "value alone": {"gate": False, "conv_kernel": 0},
}


@pytest.mark.parametrize("M", [1, 2])
@pytest.mark.parametrize("variant", ABLATED)
def test_gradients_equal_finite_differences(M, variant):
    memory = replace(MEMORY, head_dim=2, rows=(((2, 3), (5, 3)),), layers=(0,), **ABLATED[variant])
    module = Engram(replace(ENGRAM, d_model=4, streams=M, memory=memory), 0, CLASSES).double()
    fill(module)
    ids = tokens(1, 5)
    h = states(1, 5, M)[..., :4].requires_grad_()
    parameters = {name: p for name, p in module.named_parameters() if name != "table.weight"}

    e = module.look_up(ids).detach().requires_grad_()

    def run(h, e, *values):
        return torch.func.functional_call(
            module, dict(zip(parameters, values, strict=True)), (h, e)
        )

    assert torch.autograd.gradcheck(run, (h, e, *parameters.values()))
    # The table's gradient is sparse, which gradcheck does not take: the same by hand, along every
    # entry.
    table = module.table.weight
    module(h, module.look_up(ids)).square().sum().backward()
    assert table.grad is not None
    assert table.grad.is_sparse
    with torch.no_grad():
        for place in np.ndindex(*table.shape):
            sides = []
            for step in (1e-6, -2e-6):
                table[place] += step
                sides.append(float(module(h, module.look_up(ids)).square().sum()))
            table[place] += 1e-6
            wanted = (sides[0] - sides[1]) / 2e-6
            assert float(table.grad.to_dense()[place]) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def outputs_and_gradients(module: Engram, ids: torch.Tensor, h: torch.Tensor):
    """What a module adds, and the gradients of its input and of its parameters by name."""
    h = h.clone().requires_grad_()
    added = module(h, module.look_up(ids))
    direction = torch.randn(added.shape, generator=torch.Generator().manual_seed(7)).double()
    (added * direction).sum().backward()
    found = {"h": h.grad if h.grad is not None else torch.zeros_like(h)}
    for name, parameter in module.named_parameters():
        gradient = parameter.grad
        if gradient is not None:
            found[name] = gradient.to_dense() if gradient.is_sparse else gradient
    return added, found


def pair(M: int, **changes) -> tuple[Engram, Engram]:
    """The whole module, and one with parts changed that has the same values elsewhere."""
    whole = Engram(replace(ENGRAM, streams=M), 0, CLASSES).double()
    fill(whole)
    changed = Engram(
        replace(ENGRAM, streams=M, memory=replace(MEMORY, **changes)), 0, CLASSES
    ).double()
    changed.load_state_dict(whole.state_dict(), strict=False)
    return whole, changed


def assert_same(one, other) -> None:
    """Compare outputs, and gradients of what both have."""
    torch.testing.assert_close(one[0], other[0], rtol=1e-12, atol=1e-12)
    for name in one[1].keys() & other[1].keys():
        torch.testing.assert_close(one[1][name], other[1][name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("M", [1, 3])
def test_no_convolution_equals_one_with_silent_taps(M):
    whole, without = pair(M, conv_kernel=0)
    assert whole.conv is not None
    whole.conv.weight.data.zero_()
    ids, h = tokens(2, 9), states(2, 9, M)
    assert not [name for name, _ in without.named_parameters() if "conv" in name]
    assert_same(outputs_and_gradients(whole, ids, h), outputs_and_gradients(without, ids, h))


@pytest.mark.parametrize("M", [1, 3])
def test_no_gate_equals_a_gate_of_one(M, monkeypatch):
    whole, ungated = pair(M, gate=False)
    ids, h = tokens(2, 9), states(2, 9, M)
    monkeypatch.setattr(whole, "gate", lambda h, e: h.new_ones(h.shape[:-1]))
    found = outputs_and_gradients(ungated, ids, h)
    assert_same(outputs_and_gradients(whole, ids, h), found)
    # Nothing of the hidden state comes through, and the log says one.
    assert not found[1]["h"].any()
    assert float(ungated.gate_mean) == 1
    left = {name.partition(".")[0] for name, _ in ungated.named_parameters()}
    assert left == {"table", "value", "conv"}


def test_a_single_fusion_equals_the_module_of_one_stream_on_the_mean():
    _, single = pair(1)
    several = Engram(
        replace(ENGRAM, streams=3, memory=replace(MEMORY, fusion="single")), 0, CLASSES
    )
    several = several.double()
    several.load_state_dict(single.state_dict())
    ids, h = tokens(2, 9), states(2, 9, 3)
    added, gradients = outputs_and_gradients(several, ids, h)
    mean = h.mean(2).requires_grad_()
    wanted = single(mean, single.look_up(ids))
    torch.testing.assert_close(added, wanted[:, :, None].expand_as(added), rtol=1e-12, atol=1e-12)
    direction = torch.randn(added.shape, generator=torch.Generator().manual_seed(7)).double()
    (wanted * direction.sum(2)).sum().backward()
    assert mean.grad is not None
    torch.testing.assert_close(
        gradients["h"], mean.grad[:, :, None].expand(-1, -1, 3, -1) / 3, rtol=1e-12, atol=1e-12
    )


def test_gate_means_are_means_of_the_gates():
    module = Engram(replace(ENGRAM, streams=3), 0, CLASSES).double()
    fill(module)
    module.key_norm.weight.data.zero_()
    module(states(2, 6, 3), module.look_up(tokens(2, 6)))
    assert float(module.gate_mean) == 0.5


def test_signed_square_root_flattens_large_scores():
    """The demo's signed square root: a score of 4 gives 0.881, not 0.982; 0 stays 0.5."""
    gates = {}
    for root in (False, True):
        module = Engram(
            replace(ENGRAM, memory=replace(MEMORY, signed_sqrt=root)), 0, CLASSES
        ).double()
        fill(module)
        # Query and key of one direction, with scales that make the score exactly 4.
        module.key.weight.data.zero_()
        module.key.weight.data[:, 0] = 1.0
        module.table.weight.data.fill_(1e3)
        module.query_norm.weight.data.fill_(4 / 8**0.5)
        module.key_norm.weight.data.fill_(1.0)
        module(torch.full((1, 4, 8), 1e3, dtype=torch.float64), module.look_up(tokens(1, 4)))
        gates[root] = round(float(module.gate_mean), 3)
    assert gates == {False: 0.982, True: 0.881}


def test_convolution_is_silent_at_the_start():
    """Zero taps: Y is the gated value alone (paper Appendix A, Eq. 5)."""
    conv = ShortConv(8, 1, kernel=4, dilation=3, norm_eps=1e-5)
    initialise(conv, 0)
    assert not conv(torch.randn(1, 20, 8, generator=torch.Generator().manual_seed(0))).any()


def test_convolution_reaches_nine_tokens_back():
    conv = ShortConv(4, 1, kernel=4, dilation=3, norm_eps=1e-5).double()
    fill(conv)
    x = torch.randn(1, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    other = x.clone()
    other[0, 5] += 1
    changed = (conv(other) != conv(x)).any(-1)[0].nonzero().flatten().tolist()
    assert changed == [5, 8, 11, 14]


def test_only_looked_up_rows_get_a_gradient():
    module = Engram(ENGRAM, 0, CLASSES)
    fill(module)
    ids = tokens(1, 3)
    module(states(1, 3, 1).float(), module.look_up(ids)).sum().backward()
    assert module.table.weight.grad is not None
    touched = module.table.weight.grad.coalesce().indices()[0].tolist()
    assert touched == sorted(set(module.rows(ids).flatten().tolist()))


def over_encoded(
    x: torch.Tensor,
    ids: torch.Tensor,
    tables: list[torch.Tensor],
    projections: list[torch.Tensor],
    primes: list[list[int]],
) -> torch.Tensor:
    """Over-encoding as Huang et al. write it, position by position and table by table.

    OE(t) = (E_1(x_t) + sum_i sum_j E_ij(h_ij(t)) W_ij) / (1 + k (n - 1)), with W_ij (width, D).
    """
    hashed = [
        reference.ngram_rows(window, CLASSES.tolist(), primes, 0, 0, MEMORY.pad_id)
        for window in ids.tolist()
    ]
    windows = []
    for b, window in enumerate(hashed):
        positions = []
        for t, at in enumerate(window):
            total = x[b, t]
            for table, projection, row in zip(tables, projections, at, strict=True):
                total = total + table[row] @ projection
            positions.append(total / (1 + len(tables)))
        windows.append(torch.stack(positions))
    return torch.stack(windows)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 8))
def test_over_encoding_is_the_formula_of_its_authors(n, k, width, T):
    """Values, and gradients of the token embeddings, of every table and of every projection."""
    small = [2, 3, 5, 7, 11, 13, 17, 19, 23]
    primes = [small[i : i + k] for i in range(0, (n - 1) * k, k)]
    memory = replace(MEMORY, layers=(), max_order=n, heads=k, head_dim=width)
    memory = replace(memory, rows=(tuple(map(tuple, primes)),))
    module = OverEncoding(replace(ENGRAM, memory=memory, memory_at_input=True), CLASSES).double()
    fill(module)
    ids, x = tokens(2, T), states(2, T, 1).requires_grad_()
    got = module(x, module.look_up(ids))

    sizes = [p for order in primes for p in order]
    tables = [t.clone().requires_grad_() for t in module.table.weight.detach().split(sizes)]
    blocks = module.projection.weight.detach().split(width, dim=1)
    projections = [block.T.clone().requires_grad_() for block in blocks]
    plain = x.detach().clone().requires_grad_()
    wanted = over_encoded(plain, ids, tables, projections, primes)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)

    direction = torch.randn(got.shape, generator=torch.Generator().manual_seed(1)).double()
    (got * direction).sum().backward()
    (wanted * direction).sum().backward()
    assert module.table.weight.grad is not None
    assert module.projection.weight.grad is not None
    found = [
        x.grad,
        *module.table.weight.grad.to_dense().split(sizes),
        *(block.T for block in module.projection.weight.grad.split(width, dim=1)),
    ]
    for one, other in zip(found, [plain, *tables, *projections], strict=True):
        assert one is not None
        assert other.grad is not None
        torch.testing.assert_close(one, other.grad, rtol=1e-12, atol=1e-12)
