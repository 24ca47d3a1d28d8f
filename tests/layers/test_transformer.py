"""Attention against torch's own module."""

import torch
from torch import nn

from pantile.layers.transformer import FeedForward, MultiHeadAttention, Perceptron


def test_attention_is_torchs():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn_like(parameter))
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    query, key, value = torch.randn(2, 5, 12), torch.randn(2, 7, 12), torch.randn(2, 7, 12)
    allowed = torch.rand(2, 5, 7) > 0.5
    allowed[..., 0] = True
    torch.testing.assert_close(ours(query, key, value), theirs(query, key, value)[0])
    expected, _ = theirs(query, key, value, attn_mask=~allowed.repeat_interleave(3, dim=0))
    torch.testing.assert_close(ours(query, key, value, allowed), expected)


def test_attention_dropout_acts_in_training_only():
    attention = MultiHeadAttention(8, 2, dropout=0.5)
    x = torch.randn(1, 6, 8)
    assert not torch.equal(attention(x, x, x), attention(x, x, x))
    attention.eval()
    assert torch.equal(attention(x, x, x), attention(x, x, x))


def test_perceptron_and_feed_forward_by_hand():
    torch.manual_seed(0)
    x = torch.randn(3, 4)
    perceptron = Perceptron((4, 5, 6, 2))
    first, second, third = perceptron[0], perceptron[2], perceptron[4]
    torch.testing.assert_close(perceptron(x), third(second(first(x).relu()).relu()))
    ffn = FeedForward(4, 7, dropout=0.5).eval()
    torch.testing.assert_close(ffn(x), ffn[3](ffn[0](x).relu()))
