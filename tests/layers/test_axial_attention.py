"""Axial attention against a loop over positions and heads."""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from pantile.layers import axial_lines
from pantile.layers.axial_attention import MAX_SPAN, AxialAttention, AxialAttention2D, relative_index


def randomise_norms(module):
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            torch.nn.init.normal_(norm.running_mean, std=0.2)
            torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias, std=0.2)


def scale_and_shift(norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


@torch.no_grad()
def attention_by_loops(attention, x):
    """Every line, head, query and key by itself, with eval-mode batch norms written out. x is (B, C, H, W)."""
    batch, _, height, length = x.shape
    keys, _, values = attention.split
    heads, d, dv = attention.num_heads, keys // attention.num_heads, values // attention.num_heads
    in_scale, in_shift = scale_and_shift(attention.qkv.norm)
    sim_scale, sim_shift = scale_and_shift(attention.norm_similarity)
    out_scale, out_shift = scale_and_shift(attention.norm_retrieved)
    weight = attention.qkv.conv.weight[..., 0, 0]
    result = torch.zeros(batch, values, height, length)
    for b in range(batch):
        for row in range(height):
            projected = (weight @ x[b, :, row]) * in_scale[:, None] + in_shift[:, None]
            q, k, v = projected[:keys], projected[keys : 2 * keys], projected[2 * keys :]
            for h in range(heads):
                qh, kh, vh = q[h * d : (h + 1) * d], k[h * d : (h + 1) * d], v[h * dv : (h + 1) * dv]
                for i in range(length):
                    logits = torch.zeros(length)
                    for j in range(length):
                        at = max(-254, min(254, j - i)) + 254
                        terms = (
                            qh[:, i] @ kh[:, j],
                            qh[:, i] @ attention.query_table[at],
                            kh[:, j] @ attention.key_table[at],
                        )
                        for t, term in enumerate(terms):
                            channel = t * heads + h
                            logits[j] += term * sim_scale[channel] + sim_shift[channel]
                    w = logits.softmax(0)
                    content, position = torch.zeros(dv), torch.zeros(dv)
                    for j in range(length):
                        content += w[j] * vh[:, j]
                        position += w[j] * attention.value_table[max(-254, min(254, j - i)) + 254]
                    at = slice(h * dv, (h + 1) * dv)
                    second = slice(values + h * dv, values + (h + 1) * dv)
                    result[b, at, row, i] = (
                        content * out_scale[at] + out_shift[at] + position * out_scale[second] + out_shift[second]
                    )
    return result


@pytest.mark.parametrize("length", [1, 5])
def test_one_axis_against_loops(length):
    torch.manual_seed(0)
    attention = AxialAttention(6, 4, 8, num_heads=2, along_height=False).eval()
    randomise_norms(attention)
    x = torch.randn(2, 6, 3, length)
    with torch.no_grad():
        torch.testing.assert_close(attention(x), attention_by_loops(attention, x), rtol=1e-4, atol=1e-5)


def test_two_axes_height_first():
    torch.manual_seed(0)
    attention = AxialAttention2D(6, 4, num_heads=2).eval()
    randomise_norms(attention)
    x = torch.randn(2, 6, 4, 3)
    turned = attention_by_loops(attention.height_axis, x.transpose(2, 3)).transpose(2, 3)
    expected = attention_by_loops(attention.width_axis, turned)
    with torch.no_grad():
        torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_widths_of_max_s_in_training_against_the_plain_statement():
    """256 key channels and 8 heads, as in its stage 4: the outcome, its gradients and the running statistics."""
    path = Path(__file__).parents[2] / "benchmarks" / "axial_attention.py"
    spec = importlib.util.spec_from_file_location("plain_axial_attention", path)
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    torch.manual_seed(0)
    attention = AxialAttention2D(32, 256, num_heads=8).double().train()
    x = torch.randn(1, 32, 6, 5, dtype=torch.float64, requires_grad=True)
    outcomes = []
    for forward in (lambda: attention(x), lambda: plain.plain(attention, x)):
        for norm in (m for m in attention.modules() if isinstance(m, _BatchNorm)):
            norm.reset_running_stats()
        out = forward()
        grads = torch.autograd.grad(out.pow(3).sum(), [x, *attention.parameters()], allow_unused=True)
        statistics = [b.clone() for name, b in attention.named_buffers() if "running" in name]
        outcomes.append([out, *(g if g is not None else torch.zeros(()) for g in grads), *statistics])
    for one, other in zip(*outcomes, strict=True):
        largest = max(1.0, one.abs().max().item())
        torch.testing.assert_close(one / largest, other.expand_as(one) / largest, rtol=0, atol=1e-9)


def test_training_statistics_are_those_of_all_lines():
    """In training, the 3 x heads logit channels are normalised over lines, queries and keys together."""
    torch.manual_seed(0)
    attention = AxialAttention(6, 4, 8, num_heads=2, along_height=False).double().train()
    attention.norm_similarity.momentum = 1.0
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64)
    attention(x)
    q, k, _ = (p.unflatten(1, (2, -1)).permute(0, 3, 1, 4, 2) for p in attention.qkv(x).split(attention.split, dim=1))
    rq, rk = (table[relative_index(5)] for table in (attention.query_table, attention.key_table))
    terms = ("bhnld,bhnmd->bhnlm", q, k), ("bhnld,lmd->bhnlm", q, rq), ("bhnmd,lmd->bhnlm", k, rk)
    logits = torch.cat([torch.einsum(*term) for term in terms], dim=2).flatten(0, 1)
    torch.testing.assert_close(attention.norm_similarity.running_mean, logits.mean((0, 2, 3)))
    torch.testing.assert_close(attention.norm_similarity.running_var, logits.var((0, 2, 3)))


def test_chunks_of_lines_change_nothing(monkeypatch):
    torch.manual_seed(0)
    attention = AxialAttention2D(6, 4, num_heads=2).double().train()
    x = torch.randn(2, 6, 7, 5, dtype=torch.float64, requires_grad=True)

    def outcome():
        out = attention(x)
        return [out, *torch.autograd.grad(out.square().sum(), [x, *attention.parameters()])]

    whole = outcome()
    monkeypatch.setitem(axial_lines._CHUNK_LOGITS, "cpu", 2 * 2 * 49)
    chunked = outcome()
    forward = axial_lines._forward  # and with the weights made anew, as on a GPU
    monkeypatch.setattr(axial_lines, "_forward", lambda *inputs, keep: forward(*inputs, keep=False))
    for other in (chunked, outcome()):
        for one, another in zip(whole, other, strict=True):
            torch.testing.assert_close(one, another)


def test_relative_index():
    assert relative_index(3).tolist() == [[254, 255, 256], [253, 254, 255], [252, 253, 254]]
    far = relative_index(400)
    assert far.min() == 0
    assert far.max() == 2 * MAX_SPAN - 2
    assert far[0, 399] == far[0, 254] == 508


def test_lines_do_not_see_each_other():
    torch.manual_seed(0)
    attention = AxialAttention(6, 4, 8, num_heads=2, along_height=False).eval()
    x = torch.randn(1, 6, 3, 5)
    changed = x.clone()
    changed[:, :, 1] += 1
    with torch.no_grad():
        same = (attention(x) - attention(changed)).abs().amax((0, 1, 3)) < 1e-6
    assert same.tolist() == [True, False, True]


def test_gradients_are_those_of_the_loops():
    torch.manual_seed(0)
    attention = AxialAttention(2, 2, 4, num_heads=2, along_height=False).double().eval()
    x = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    tables = (attention.query_table, attention.key_table, attention.value_table)
    loss = attention(x).square().sum()
    gradients = torch.autograd.grad(loss, tables)
    step = 1e-5
    for table, gradient in zip(tables, gradients, strict=True):
        row, column = 255, 0
        with torch.no_grad():
            table[row, column] += step
            more = attention(x).square().sum()
            table[row, column] -= 2 * step
            less = attention(x).square().sum()
            table[row, column] += step
        assert gradient[row, column].item() == pytest.approx(((more - less) / (2 * step)).item(), rel=1e-4)
        assert (gradient[:250] == 0).all()
