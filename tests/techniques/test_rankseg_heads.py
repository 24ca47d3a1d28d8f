"""RankSeg's multi-label heads against the numbers of the original code, in double precision."""

import pytest
import torch
from rankseg_weights import decoder_head, encoder_head, encoder_head_within, pooling_head
from torch import nn

from pantile.losses.asymmetric import asymmetric_loss, presence_cross_entropy
from pantile.techniques.rankseg.decoder_head import DecoderHead
from pantile.techniques.rankseg.encoder_head import EncoderHead, LinearProjection, SeparableProjection
from pantile.techniques.rankseg.pooling import Pooling
from pantile.techniques.rankseg.pooling_head import PoolingHead
from rankseg_blocks import Recording

WHOLE = Pooling(32)


def close(value, expected, tolerance=1e-9):
    torch.testing.assert_close(value, expected, rtol=0, atol=tolerance)


def loaded(head: nn.Module, weights: dict) -> nn.Module:
    head.double().load_state_dict(weights)
    return head


@pytest.mark.parametrize("name", ["encoder_head_dw", "encoder_head_linear"])
def test_stand_alone_encoder(real_data, name):
    recording = Recording(real_data, name)
    separable = name.endswith("dw")
    projection = (SeparableProjection if separable else LinearProjection)(12, 16)
    head = EncoderHead(10, 16, 4, 32, 0.0, WHOLE, projection, learned_classes=True)
    loaded(head, encoder_head(recording.state(), separable=separable))
    feature = recording["x"].requires_grad_()
    logits = head(feature, None, None).logits
    close(logits, recording["ml_logits"])
    (logits * recording["cotangent"]).sum().backward()
    close(feature.grad, recording["grad_x"])
    close(head.class_embed.grad, recording["grad_cls_emb"][0])


@pytest.mark.parametrize("name", ["head_tranenc", "head_tranenc_nopool_bce"])
def test_encoder_within_a_segmenter(real_data, name):
    recording = Recording(real_data, name)
    state = recording.state()
    head = EncoderHead(11, 32, 4, 64, 0.0, Pooling(8, 8, grid=recording.told["downsample"] or 0), None, False)
    loaded(head, encoder_head_within(state))
    to_tokens = loaded(LinearProjection(20, 32), {k: state[f"proj_dec.{k}"] for k in ("weight", "bias")})
    feature, classes = recording["x"].requires_grad_(), state["cls_emb"][0]
    presence = head(feature, classes, to_tokens(feature))
    close(presence.logits, recording["train_ml_logits"])
    assert (presence.tokens is None) == (name == "head_tranenc")
    present = torch.stack([(recording["label"] == index).flatten(1).any(1) for index in range(11)], dim=1)
    loss = asymmetric_loss if name == "head_tranenc" else presence_cross_entropy
    loss = 10 * loss(presence.logits, present)
    assert loss.item() == pytest.approx(recording.told["losses"]["loss_img"], abs=1e-6)
    loss.backward()
    close(feature.grad, recording["grad_x_img"])
    close(head.classifier.weight.grad, recording["grad_ml_fc.W"][0], 1e-6)  # recorded in single precision


@pytest.mark.parametrize("name", ["head_trandec", "head_trandec_own_queries", "head_gap"])
def test_heads_that_refine_no_class(real_data, name):
    recording = Recording(real_data, name)
    state = recording.state()
    pool = Pooling(8, grid=4)
    if name == "head_gap":
        head = loaded(PoolingHead(11, 20, pool), pooling_head(state))
    else:
        learned = name == "head_trandec_own_queries"
        head = loaded(DecoderHead(11, 20, 32, 4, 64, 0.0, pool, learned), decoder_head(state))
    feature = recording["x"].requires_grad_()
    presence = head(feature, state["cls_emb"][0], None)
    close(presence.logits, recording["train_ml_logits"].view(1, 11), 1e-6)  # the table of positions is single precision
    assert presence.class_embed is None
    present = torch.stack([(recording["label"] == index).flatten(1).any(1) for index in range(11)], dim=1)
    loss = 10 * asymmetric_loss(presence.logits, present, gamma_negative=0.0)
    assert loss.item() == pytest.approx(recording.told["losses"]["loss_img"], abs=1e-6)
    loss.backward()
    close(feature.grad, recording["grad_x_img"], 1e-6)


def test_pooling_is_to_a_stride_or_to_a_grid():
    feature = torch.randn(2, 3, 12, 20)
    assert Pooling(16)(feature).shape == (2, 3, 6, 10)
    assert Pooling(4, 32)(feature).shape == (2, 3, 2, 2)
    assert Pooling(16, grid=8)(feature).shape == (2, 3, 8, 8)
    assert Pooling(16, stride=0)(feature) is feature
    assert Pooling(32)(feature) is feature
