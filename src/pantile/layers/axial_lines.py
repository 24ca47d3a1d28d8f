"""Position-sensitive attention along lines, without keeping its logits.

    logit(l, m) = s1 q_l . k_m + s2 q_l . r^q_{m-l} + s3 k_m . r^k_{m-l},    w = softmax over m
    content_l = sum_m w_lm v_m,    position_l = sum_m w_lm r^v_{m-l}

Lines do not see each other, so they are worked on a few at a time. For the backward pass a CPU, which has more memory
than speed, keeps the weights w; elsewhere they are made anew, and memory is that of the inputs and outputs. A plain
statement of the equations holds a dozen tensors of the weights' size.

Shape suffixes: R lines, L positions of a line (M when they are keys), N heads, D width of a key, E of a value, S lines
times heads of a chunk.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from pantile.contracts.precision import at_least_float32


def attend_lines(
    q_RLND: Tensor, k_RLND: Tensor, v_RLNE: Tensor, scale_3N: Tensor, rq_LMD: Tensor, rk_LMD: Tensor, rv_LME: Tensor
) -> tuple[Tensor, Tensor]:
    """Content and position parts of what every position retrieves, see the head of this file.

    Args:
        q_RLND, k_RLND, v_RLNE: queries, keys and values, of any strides.
        scale_3N: of the three terms.
        rq_LMD, rk_LMD, rv_LME: rows of the tables for each pair of positions.

    Returns:
        (R, L, N, E) twice, in the dtype of ``v``; differentiable once. The softmax is float32 at least.
    """
    inputs = (q_RLND, k_RLND, v_RLNE, scale_3N, rq_LMD, rk_LMD, rv_LME)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _AttendLines.apply(*inputs)
    return _forward(*inputs)[:2]


_CHUNK_LOGITS = {"cpu": 2**21, "cuda": 2**25}


def _chunks(q_RLND: Tensor) -> Iterator[slice]:
    """Slices of the lines that keep a chunk's logits small; all lines where nothing is computed now (export, meta)."""
    lines, length, heads, _ = q_RLND.shape
    if torch.compiler.is_compiling() or q_RLND.device.type not in _CHUNK_LOGITS:
        yield slice(0, lines)
        return
    step = max(1, _CHUNK_LOGITS[q_RLND.device.type] // (heads * length**2))
    for start in range(0, lines, step):
        yield slice(start, start + step)


class _Chunk(NamedTuple):
    """Some lines: (S, L, D) or (S, L, E)."""

    q: Tensor
    q1: Tensor  # times the scale of the first term
    q2: Tensor
    k: Tensor
    k3: Tensor
    v: Tensor


def _chunk(q: Tensor, k: Tensor, v: Tensor, scale: Tensor, lines: slice) -> _Chunk:
    q_SLD, k_SLD, v_SLE = (_heads_first(x[lines]).to(v.dtype) for x in (q, k, v))
    s1, s2, s3 = (s.to(v.dtype).repeat(q[lines].shape[0])[:, None, None] for s in scale.chunk(3))
    return _Chunk(q_SLD, q_SLD * s1, q_SLD * s2, k_SLD, k_SLD * s3, v_SLE)


def _heads_first(x_RLND: Tensor) -> Tensor:
    return x_RLND.transpose(1, 2).flatten(0, 1)


def _heads_last(x_SLD: Tensor, heads: int) -> Tensor:
    return x_SLD.unflatten(0, (-1, heads)).transpose(1, 2)


def _weights(c: _Chunk, rq: Tensor, rk: Tensor) -> Tensor:
    """(S, L, M)"""
    logits = torch.bmm(c.q1, c.k.transpose(1, 2))
    logits += torch.bmm(c.q2.transpose(0, 1), rq.transpose(1, 2)).transpose(0, 1)  # one product per query position
    logits += torch.bmm(c.k3.transpose(0, 1), rk.permute(1, 2, 0)).permute(1, 2, 0)  # one per key position
    return at_least_float32(logits).softmax(-1).to(c.v.dtype)


def _forward(q, k, v, scale, rq, rk, rv, keep: bool = False) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Content, position and, to ``keep``, the weights of each chunk."""
    rq, rk, rv = (r.to(v.dtype) for r in (rq, rk, rv))
    heads = q.shape[2]
    content, position = (v.new_empty(v.shape) for _ in range(2))
    kept = []
    for lines in _chunks(q):
        chunk = _chunk(q, k, v, scale, lines)
        weights = _weights(chunk, rq, rk)
        content[lines] = _heads_last(torch.bmm(weights, chunk.v), heads)
        position[lines] = _heads_last(torch.bmm(weights.transpose(0, 1), rv).transpose(0, 1), heads)
        if keep:
            kept.append(weights)
    return content, position, kept


class _AttendLines(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        content, position, kept = _forward(*inputs, keep=inputs[0].device.type == "cpu")
        ctx.save_for_backward(*inputs, content, position, *kept)
        return content, position

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g_content: Tensor, g_position: Tensor):
        q, k, v, scale, *rest = ctx.saved_tensors  # asked for once: checkpointing recomputes them at each request
        tables, (content, position, *kept) = rest[:3], rest[3:]
        rq, rk, rv = (r.to(v.dtype) for r in tables)
        heads = q.shape[2]
        gq, gk, gv = (v.new_empty(x.shape) for x in (q, k, v))
        g_scale = torch.zeros_like(scale)
        grq, grk, grv = (torch.zeros_like(at_least_float32(r)) for r in (rq, rk, rv))
        for number, lines in enumerate(_chunks(q)):
            c = _chunk(q, k, v, scale, lines)
            weights = kept[number] if kept else _weights(c, rq, rk)
            go, gp = (_heads_first(g[lines]).to(v.dtype) for g in (g_content, g_position))
            # sum_m w_lm * (gradient of w_lm), which the softmax needs, is the product of outputs and their gradients
            inner = at_least_float32(go * _heads_first(content[lines])).sum(-1, keepdim=True)
            inner += at_least_float32(gp * _heads_first(position[lines])).sum(-1, keepdim=True)
            gp_LSE = gp.transpose(0, 1)
            grv += torch.bmm(weights.permute(1, 2, 0), gp_LSE)
            gv[lines] = _heads_last(torch.bmm(weights.transpose(1, 2), go), heads)
            g_logits = torch.bmm(go, c.v.transpose(1, 2))
            g_logits += torch.bmm(gp_LSE, rv.transpose(1, 2)).transpose(0, 1)
            g_logits -= inner.to(v.dtype)
            g_logits *= weights
            by_query = g_logits.transpose(0, 1)  # (L, S, M)
            by_key = g_logits.permute(2, 0, 1).contiguous()  # (M, S, L)
            gq1 = torch.bmm(g_logits, c.k)
            gk1 = torch.bmm(g_logits.transpose(1, 2), c.q1)
            gq2 = torch.bmm(by_query, rq).transpose(0, 1)
            gk3 = torch.bmm(by_key, rk.transpose(0, 1)).transpose(0, 1)
            grq += torch.bmm(by_query.transpose(1, 2), c.q2.transpose(0, 1))
            grk += torch.bmm(by_key.transpose(1, 2), c.k3.transpose(0, 1)).transpose(0, 1)
            pairs = ((c.q, gq1), (c.q, gq2), (c.k, gk3))
            g_scale += torch.cat([(x * g).sum((1, 2)).view(-1, heads).sum(0) for x, g in pairs]).to(scale.dtype)
            s1, s2, s3 = (s.to(v.dtype).repeat(q[lines].shape[0])[:, None, None] for s in scale.chunk(3))
            gq[lines] = _heads_last(gq1 * s1 + gq2 * s2, heads)
            gk[lines] = _heads_last(gk1 + gk3 * s3, heads)
        g_tables = (g.to(r.dtype) for g, r in zip((grq, grk, grv), tables, strict=True))
        return gq.to(q.dtype), gk.to(k.dtype), gv, g_scale, *g_tables
