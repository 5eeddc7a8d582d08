"""The model once more, slowly.

Numpy float64, one token, head and expert at a time, nothing taken from the package.

`weights` is always a mapping from a parameter's name (below its module) to an array.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Weights = Mapping[str, np.ndarray]


def below(weights: Weights, prefix: str) -> Weights:
    return {
        name.removeprefix(f"{prefix}."): value
        for name, value in weights.items()
        if name.startswith(f"{prefix}.")
    }


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


NORM_EPS = 1e-5
"""Of every norm; a test of another one sets it."""


def rms_norm(x: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + NORM_EPS) * weight


def rotate(x: np.ndarray, position: int, theta: float) -> np.ndarray:
    """One vector; pair (i, i + half) turns by position * theta^(-2i / width), as complex."""
    half = len(x) // 2
    turn = np.exp(1j * position * theta ** (-np.arange(half) / half))
    turned = (x[:half] + 1j * x[half:]) * turn
    return np.concatenate((turned.real, turned.imag))


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One head, causal: (T, d), (T, d), (T, dv) -> (T, dv)."""
    rows = [softmax(q[t] @ k[: t + 1].T / np.sqrt(q.shape[1])) @ v[: t + 1] for t in range(len(q))]
    return np.stack(rows)


def grouped_attention(
    x: np.ndarray, w: Weights, n_heads: int, n_kv_heads: int, theta: float
) -> np.ndarray:
    """(T, D) -> (T, D)."""
    T, d = len(x), len(w["query_norm.weight"])
    heads = []
    for h in range(n_heads):
        group = h // (n_heads // n_kv_heads)
        q = rms_norm(x @ w["query.weight"][h * d : (h + 1) * d].T, w["query_norm.weight"])
        k = rms_norm(x @ w["key.weight"][group * d : (group + 1) * d].T, w["key_norm.weight"])
        v = x @ w["value.weight"][group * d : (group + 1) * d].T
        q = np.stack([rotate(q[t], t, theta) for t in range(T)])
        k = np.stack([rotate(k[t], t, theta) for t in range(T)])
        heads.append(attend(q, k, v))
    return np.concatenate(heads, axis=1) @ w["output.weight"].T


def latent_attention(
    x: np.ndarray, w: Weights, n_heads: int, nope: int, rope: int, value_dim: int, theta: float
) -> np.ndarray:
    """DeepSeek-V2 Eq. 9-19, (T, D) -> (T, D)."""
    T, rank = len(x), len(w["kv_norm.weight"])
    c_q = (
        rms_norm(x @ w["query_down.weight"].T, w["query_norm.weight"])
        if "query_down.weight" in w
        else x
    )
    down = x @ w["kv_down.weight"].T
    c_kv = rms_norm(down[:, :rank], w["kv_norm.weight"])
    k_rope = np.stack([rotate(down[t, rank:], t, theta) for t in range(T)])
    heads = []
    for h in range(n_heads):
        q = c_q @ w["query.weight"][h * (nope + rope) : (h + 1) * (nope + rope)].T
        kv = c_kv @ w["kv.weight"][h * (nope + value_dim) : (h + 1) * (nope + value_dim)].T
        q = np.stack(
            [np.concatenate((q[t, :nope], rotate(q[t, nope:], t, theta))) for t in range(T)]
        )
        heads.append(attend(q, np.concatenate((kv[:, :nope], k_rope), axis=1), kv[:, nope:]))
    return np.concatenate(heads, axis=1) @ w["output.weight"].T


def gated_ffn(x: np.ndarray, w: Weights) -> np.ndarray:
    return (silu(x @ w["gate.weight"].T) * (x @ w["up.weight"].T)) @ w["down.weight"].T


def route(x: np.ndarray, w: Weights, bias: np.ndarray, top_k: int) -> list[dict[int, float]]:
    """For every token its experts and their weights: the bias chooses, the bare scores weigh."""
    chosen = []
    for score in sigmoid(x @ w["scores.weight"].T):
        best = sorted(range(len(score)), key=lambda e: -(score[e] + bias[e]))[:top_k]
        total = sum(score[e] for e in best)
        chosen.append({e: score[e] / total for e in best})
    return chosen


def moe(
    x: np.ndarray, w: Weights, bias: np.ndarray, top_k: int, scaling: float = 1.0
) -> np.ndarray:
    """(S, D) -> (S, D)."""
    y = gated_ffn(x, below(w, "shared")) if "shared.gate.weight" in w else np.zeros_like(x)
    gate_up, down = w["experts.gate_up"], w["experts.down"]
    for s, experts in enumerate(route(x, below(w, "router"), bias, top_k)):
        for e, weight in experts.items():
            gate, up = np.split(x[s] @ gate_up[e], 2)
            y[s] = y[s] + scaling * weight * ((silu(gate) * up) @ down[e])
    return y


def balance_loss(scores: np.ndarray, experts: Sequence[Sequence[int]]) -> float:
    """DeepSeek-V3 Eq.

    17-20 for one sequence, without alpha: scores (T, N), the chosen experts of every token.
    """
    T, N = scores.shape
    k = len(experts[0])
    total = 0.0
    for i in range(N):
        f = N / (k * T) * sum(i in chosen for chosen in experts)
        P = sum(scores[t, i] / scores[t].sum() for t in range(T)) / T
        total += f * P
    return total


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def demo_primes(
    layers: Sequence[int], rows: int, heads: int, max_order: int
) -> dict[int, list[list[int]]]:
    """The released demo's table sizes.

    For layer, order, head the next prime above the last one, none twice.
    """
    seen: set[int] = set()
    primes: dict[int, list[list[int]]] = {}
    for layer in layers:
        primes[layer] = []
        for _ in range(2, max_order + 1):
            above, found = rows - 1, []
            for _ in range(heads):
                above += 1
                while above in seen or not is_prime(above):
                    above += 1
                seen.add(above)
                found.append(above)
            primes[layer].append(found)
    return primes


def demo_multipliers(classes: int, max_order: int, layer: int, seed: int) -> list[int]:
    bound = max(1, (2**63 - 1) // classes // 2)
    draws = np.random.default_rng(seed + 10007 * layer).integers(
        low=0, high=bound, size=(max_order,), dtype=np.int64
    )
    return [2 * int(r) + 1 for r in draws]


def ngram_rows(
    tokens: Sequence[int],
    classes: Sequence[int],
    primes: Sequence[Sequence[int]],
    layer: int,
    seed: int,
    pad_id: int,
    document_end: int | None = None,
) -> list[list[int]]:
    """Rows (T x orders*heads) of one layer in Python integers, masked to 64 bits at every step."""
    mask = 2**64 - 1
    max_order = len(primes) + 1
    factors = demo_multipliers(max(classes) + 1, max_order, layer, seed)
    rows = []
    for t in range(len(tokens)):
        here = []
        for order in range(2, max_order + 1):
            mix = 0
            for back in range(order):
                between = tokens[max(0, t - back) : t]
                outside = t - back < 0 or (document_end is not None and document_end in between)
                token = pad_id if outside else tokens[t - back]
                mix ^= (int(classes[token]) * factors[back]) & mask
            assert mix < 2**63, "the demo's bound keeps every mix non-negative"
            here += [mix % prime for prime in primes[order - 2]]
        rows.append(here)
    return rows


def short_conv(x: np.ndarray, w: Weights, dilation: int) -> np.ndarray:
    """(T, D): every channel by itself, a sum over taps that lie in the past."""
    normed, taps = rms_norm(x, w["norm.weight"]), w["weight"]
    kernel = taps.shape[1]
    y = np.zeros_like(x)
    for t in range(len(x)):
        for j in range(kernel):
            back = (kernel - 1 - j) * dilation
            if t - back >= 0:
                y[t] += taps[:, j] * normed[t - back]
    return silu(y)


def engram(
    h: np.ndarray, rows: np.ndarray, primes: Sequence[int], w: Weights, dilation: int, root: bool
) -> np.ndarray:
    """Paper Eq. 3-5: h (T, M, D), rows (T, heads) within each head, primes (heads) -> (T, M, D).

    Parts whose weights are not there are left out; one set of weights for several streams reads
    their mean and writes to all.
    """
    M, D = h.shape[1:]
    part = w.get("key.weight", w.get("conv.weight"))
    if M > 1 and (part is None or part.ndim == 2):
        mean = h.mean(1, keepdims=True)
        return np.repeat(engram(mean, rows, primes, w, dilation, root), M, axis=1)
    starts = [sum(primes[:i]) for i in range(len(primes))]
    e = np.stack(
        [
            np.concatenate([w["table.weight"][starts[i] + r] for i, r in enumerate(row)])
            for row in rows
        ]
    )
    value = e @ w["value.weight"].T
    y = np.zeros_like(h)
    for m in range(M):
        own = {
            name: value[m] if M > 1 and name not in ("table.weight", "value.weight") else value
            for name, value in w.items()
        }
        gated = value
        if "key.weight" in own:
            query = rms_norm(h[:, m], own["query_norm.weight"])
            key = rms_norm(e @ own["key.weight"].T, own["key_norm.weight"])
            score = (query * key).sum(1) / np.sqrt(D)
            if root:
                score = np.sign(score) * np.sqrt(np.maximum(np.abs(score), 1e-6))
            gated = sigmoid(score)[:, None] * value
        y[:, m] = gated
        if "conv.weight" in own:
            y[:, m] += short_conv(gated, below(own, "conv"), dilation)
    return y


def sinkhorn(logits: np.ndarray, steps: int = 20) -> np.ndarray:
    m = np.exp(logits)
    for _ in range(steps):
        m = m / m.sum(0, keepdims=True)
        m = m / m.sum(1, keepdims=True)
    return m


def stream_step(
    h: np.ndarray, w: Weights, sublayer: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """mHC, Eq. 5-8 of arXiv 2512.24880: h (T, n, D)."""
    T, n = h.shape[:2]
    read, write, mix = np.zeros((T, n)), np.zeros((T, n)), np.zeros((T, n, n))
    a_pre, a_post, a_res = w["scale"]
    for t in range(T):
        z = w["weight"] @ rms_norm(h[t].reshape(-1), 1.0)
        read[t] = sigmoid(a_pre * z[:n] + w["bias"][:n])
        write[t] = 2 * sigmoid(a_post * z[n : 2 * n] + w["bias"][n : 2 * n])
        mix[t] = sinkhorn((a_res * z[2 * n :] + w["bias"][2 * n :]).reshape(n, n))
    y = sublayer(np.stack([read[t] @ h[t] for t in range(T)]))
    return np.stack([mix[t] @ h[t] + np.outer(write[t], y[t]) for t in range(T)])


def transformer(tokens: Sequence[int], w: Weights, g, classes: Sequence[int]) -> np.ndarray:
    """One window through a whole model, (T, V) logits.

    `g` is the model's Geometry: numbers only.
    """
    h = w["embedding.weight"][list(tokens)]
    memory, n = g.memory, g.streams

    def rows_of(index: int) -> tuple[np.ndarray, list[int]]:
        layer = memory.layers[index] if memory.layers else 0
        rows = ngram_rows(
            tokens,
            classes,
            memory.rows[index],
            layer,
            memory.hash_seed,
            memory.pad_id,
            memory.document_end,
        )
        return np.array(rows), [p for order in memory.rows[index] for p in order]

    if g.memory_at_input:
        rows, primes = rows_of(0)
        starts = np.cumsum([0, *primes[:-1]])
        looked_up = w["over_encoding.table.weight"][rows + starts].reshape(len(tokens), -1)
        h = (h + looked_up @ w["over_encoding.projection.weight"].T) / (1 + len(primes))
    h = np.stack([h] * n, axis=1)
    for i in range(g.n_layers):
        block = below(w, f"blocks.{i}")
        if memory and i in memory.layers:
            rows, primes = rows_of(memory.layers.index(i))
            h = h + engram(
                h, rows, primes, below(block, "engram"), memory.max_order, memory.signed_sqrt
            )

        def attention(x, block=block):
            x = rms_norm(x, block["attention_norm.weight"])
            if m := g.mla:
                dims = (m.qk_nope_head_dim, m.qk_rope_head_dim, m.v_head_dim)
                return latent_attention(
                    x, below(block, "attention"), g.n_heads, *dims, g.rope_theta
                )
            return grouped_attention(
                x, below(block, "attention"), g.n_heads, g.n_kv_heads, g.rope_theta
            )

        def feed_forward(x, block=block, i=i):
            x = rms_norm(x, block["feed_forward_norm.weight"])
            own = below(block, "feed_forward")
            if g.routed_experts and i >= g.dense_layers:
                bias = np.zeros(g.routed_experts)
                return moe(x, own, bias, g.top_k, g.routed_scaling_factor)
            return gated_ffn(x, own)

        for name, sublayer in (("attention_mix", attention), ("feed_forward_mix", feed_forward)):
            h = (
                stream_step(h, below(block, name), sublayer)
                if n > 1
                else h + sublayer(h[:, 0])[:, None]
            )
    return rms_norm(h.mean(1), w["norm.weight"]) @ w["head.weight"].T
