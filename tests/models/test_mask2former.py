"""Mask2Former against Hugging Face's, the published parameter counts, and what its parts promise."""

import math
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from huggingface import SWIN_TINY, huggingface_mask2former
from model_contract import ModelContract, assert_same, randomise

from pantile.contracts.errors import UserError
from pantile.convert.huggingface_mask2former import export_mask2former, import_mask2former
from pantile.models.mask2former import Mask2Former, Mask2FormerConfig, attention_area, mask2former_nano_config

SWIN_SMALL = "swin_small_patch4_window7_224"
SWIN_BASE = "swin_base_patch4_window12_384"
SWIN_LARGE = "swin_large_patch4_window12_384"
TINY = replace(
    mask2former_nano_config(),
    num_queries=7,
    channels=32,
    embed_channels=16,
    num_heads=2,
    encoder_layers=1,
    encoder_ffn_channels=48,
    decoder_ffn_channels=64,
)
FEW_LAYERS = {
    "num_queries": 10,
    "channels": 64,
    "embed_channels": 32,
    "num_heads": 4,
    "encoder_layers": 2,
    "encoder_ffn_channels": 96,
    "decoder_layers": 4,
    "decoder_ffn_channels": 128,
}


def tiny_model(**changes):
    torch.manual_seed(0)
    model = Mask2Former(replace(TINY, **changes), 5)
    with torch.no_grad():
        randomise(model)
    return model


class TestContract(ModelContract):
    shallower: ClassVar[dict] = {"decoder_layers": 1}

    def config(self):
        return TINY

    def model(self, num_classes=None, **changes):
        torch.manual_seed(0)
        return Mask2Former(replace(self.config(), **changes), num_classes or self.num_classes)

    def check_shapes(self, output, num_classes, images):
        batch, _, height, width = images.shape
        fine = (math.ceil(height / 4), math.ceil(width / 4))
        assert len(output.layers) in (0, TINY.decoder_layers)
        for prediction in (output, *output.layers):
            assert prediction.class_logits.shape == (batch, 7, num_classes + 1)
            assert prediction.mask_logits.shape == (batch, 7, *fine)
            assert prediction.query_embed.shape == (batch, 7, TINY.embed_channels)
            assert prediction.pixel_embed.shape == (batch, TINY.embed_channels, *fine)
            assert prediction.pixel_feature.shape == (batch, TINY.channels, *fine)
        assert all(layer.layers == () for layer in output.layers)


def largest_difference(theirs, ours):
    """Of class and mask logits, over all predictions."""
    final = {"class_queries_logits": theirs.class_queries_logits, "masks_queries_logits": theirs.masks_queries_logits}
    return max(
        float((tensor - expected).abs().max())
        for expected_pair, prediction in zip([*theirs.auxiliary_logits, final], (*ours.layers, ours), strict=True)
        for expected, tensor in (
            (expected_pair["class_queries_logits"], prediction.class_logits),
            (expected_pair["masks_queries_logits"], prediction.mask_logits),
        )
    )


def both_models(config, num_classes):
    theirs = huggingface_mask2former(config, num_classes)
    ours = Mask2Former(config, num_classes).eval()
    ours.load_state_dict(import_mask2former(config, theirs.state_dict()))
    return theirs, ours


@torch.no_grad()
def difference_on(models, batch, size):
    theirs, ours = models
    images = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(5))
    return largest_difference(theirs(images, output_auxiliary_logits=True), ours(images, layer_outputs=True))


class TestAgainstHuggingFace:
    @pytest.fixture(scope="class", params=["resnet18", SWIN_TINY])
    def models(self, request):
        return both_models(Mask2FormerConfig(backbone=request.param, **FEW_LAYERS), 5)

    @pytest.mark.parametrize("size", [(96, 128), (71, 109)])
    def test_all_predictions_are_theirs(self, models, size):
        assert difference_on(models, 2, size) < 1e-4

    def test_without_layer_outputs_the_prediction_is_theirs(self, models):
        theirs, ours = models
        images = torch.randn(1, 3, 65, 64)
        with torch.no_grad():
            expected, output = theirs(images), ours(images)
        torch.testing.assert_close(output.mask_logits, expected.masks_queries_logits, atol=1e-4, rtol=0)
        torch.testing.assert_close(output.class_logits, expected.class_queries_logits, atol=1e-4, rtol=0)

    def test_state_dict_there_and_back(self, models):
        theirs, ours = models
        exported = export_mask2former(ours.config, ours.state_dict())
        theirs.load_state_dict(exported)
        for name, tensor in import_mask2former(ours.config, exported).items():
            assert torch.equal(tensor, ours.state_dict()[name]), name


def test_trainable_batch_norms_keep_their_counters():
    config = Mask2FormerConfig(backbone="resnet18", frozen_batch_norm=False, **FEW_LAYERS)
    theirs = huggingface_mask2former(config, 5)
    state = import_mask2former(config, theirs.state_dict())
    Mask2Former(config, 5).load_state_dict(state)
    theirs.load_state_dict(export_mask2former(config, state))


def test_state_dicts_that_do_not_fit_are_told():
    config = Mask2FormerConfig(backbone="resnet18", **FEW_LAYERS)
    with torch.device("meta"):
        state = export_mask2former(config, Mask2Former(config, 5).state_dict())
    for changes, words in (
        ({"decoder_layers": 3}, "left over"),
        ({"encoder_layers": 3}, "missing"),
        ({"num_queries": 11}, "query_content has shape"),
    ):
        with pytest.raises(UserError, match=words):
            import_mask2former(replace(config, **changes), state)
    with pytest.raises(UserError, match="class_predictor"):
        import_mask2former(config, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "size"), [("resnet50", (192, 256)), (SWIN_TINY, (192, 256)), ("resnet50", (173, 227))]
)
@torch.no_grad()
def test_full_size_models_predict_as_hugging_faces(backbone, size):
    """In double precision, but for positions, which they encode in single: a mask logit near 0 decides whether a place
    is attended to, and on which side of 0 it lies depends on the processor for a few of a million places."""
    theirs, ours = both_models(Mask2FormerConfig(backbone=backbone), 133)
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    expected = theirs.double()(images, output_auxiliary_logits=True)
    assert largest_difference(expected, ours.double()(images, layer_outputs=True)) < 1e-5


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def meta_model(num_classes=133, **changes):
    with torch.device("meta"):
        return Mask2Former(Mask2FormerConfig(**changes), num_classes)


def test_parameters_of_every_part():
    model = meta_model()
    assert parameters(model.backbone) == 23_454_912
    assert parameters(model.pixel_decoder) == 6_035_904
    assert parameters(model) - parameters(model.backbone) - parameters(model.pixel_decoder) == 14_493_062
    assert parameters(model.pixel_decoder.encoder) == 6 * 732_192
    assert parameters(model.layers) == 9 * 1_578_752


@pytest.mark.parametrize(
    ("num_classes", "changes", "count"),
    [
        (133, {}, 43_983_878),
        (133, {"backbone": "resnet101"}, 62_923_782),
        (133, {"backbone": SWIN_TINY}, 47_435_264),
        (133, {"backbone": SWIN_SMALL}, 68_753_168),
        (133, {"backbone": SWIN_BASE}, 106_917_822),
        (133, {"backbone": SWIN_LARGE, "num_queries": 200}, 215_535_610),
        (80, {}, 43_970_257),
        (150, {}, 43_988_247),
        (150, {"backbone": "resnet101", "frozen_batch_norm": False}, 63_033_495),
        (150, {"backbone": SWIN_TINY}, 47_439_633),
        (150, {"backbone": SWIN_LARGE}, 215_488_779),
        (150, {"backbone": SWIN_LARGE, "num_queries": 200}, 215_539_979),
        (19, {"frozen_batch_norm": False}, 44_007_700),
        (19, {"backbone": SWIN_LARGE}, 215_455_112),
        (65, {}, 43_966_402),
    ],
)
def test_parameters(num_classes, changes, count):
    assert parameters(meta_model(num_classes, **changes)) == count


@pytest.mark.parametrize(
    ("backbone", "features", "decoder"),
    [
        (SWIN_TINY, 27_520_698, 5_421_504),
        (SWIN_SMALL, 48_838_602, 5_421_504),
        (SWIN_BASE, 86_880_376, 5_544_384),
        (SWIN_LARGE, 195_201_204, 5_790_144),
    ],
)
def test_parameters_of_swin_parts(backbone, features, decoder):
    model = meta_model(backbone=backbone)
    assert (parameters(model.backbone), parameters(model.pixel_decoder)) == (features, decoder)


def test_nano_is_small():
    assert parameters(Mask2Former(mask2former_nano_config(), 20)) <= 2_000_000


def test_attention_area():
    logits = torch.tensor([[[1.0, -1.0, 0.0], [-1.0, -2.0, -3.0], [float("nan")] * 3]])
    expected = torch.tensor([[[True, False, True], [True] * 3, [True] * 3]])
    assert torch.equal(attention_area(logits), expected)


def test_no_gradient_flows_through_the_area_of_attention():
    model = tiny_model().train()
    model(torch.rand(1, 3, 64, 64)).class_logits.sum().backward()
    assert all(p.grad is None for p in model.mask_embed.parameters())
    assert all(p.grad is None for p in model.pixel_decoder.mask_features.parameters())
    assert model.query_content.grad is not None


def test_mask_logits_are_products_of_the_embeddings():
    with torch.no_grad():
        output = tiny_model().eval()(torch.rand(2, 3, 65, 97), layer_outputs=True)
    for prediction in (output, *output.layers):
        products = torch.einsum("bnd,bdhw->bnhw", prediction.query_embed, prediction.pixel_embed)
        torch.testing.assert_close(prediction.mask_logits, products)
        assert prediction.pixel_embed is output.pixel_embed


def test_layer_outputs_do_not_change_the_prediction_and_eval_classifies_once():
    model = tiny_model().eval()
    images = torch.rand(1, 3, 65, 65)
    calls = []
    handle = model.classifier.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        without = model(images)
        assert len(calls) == 1
        with_layers = model(images, layer_outputs=True)
    handle.remove()
    assert len(with_layers.layers) == model.mask_spec.num_layers
    assert_same(replace(with_layers, layers=()), without)


def test_steering_confines_the_attention_and_nothing_else():
    model = tiny_model().eval()
    images = torch.rand(2, 3, 65, 65)
    seen = []

    def own_logits(index, output):
        seen.append((index, tuple(output.mask_logits.shape)))
        return output.mask_logits

    def one_corner(index, output):
        logits = -torch.ones_like(output.mask_logits)
        logits[..., :5, :5] = 1
        return logits

    with torch.no_grad():
        free = model(images, layer_outputs=True)
        model.steer = own_logits
        assert_same(free, model(images, layer_outputs=True), 1e-4)
        assert_same(model(images), replace(free, layers=()), 1e-4)
        model.steer = one_corner
        moved = model(images, layer_outputs=True)
    assert seen[:3] == [(index, (2, 7, 17, 17)) for index in range(3)]
    assert_same(free.layers[0], moved.layers[0])  # predicted before the attention
    assert not torch.allclose(free.layers[1].mask_logits, moved.layers[1].mask_logits)


def test_a_query_sees_its_area_only():
    """With the area confined to a corner, pixels of the memory elsewhere do not count."""
    layer = tiny_model().eval().layers[0]
    x, position = torch.randn(1, 7, 32), torch.randn(7, 32)
    memory = torch.randn(1, 12, 32)
    area = torch.zeros(1, 7, 12, dtype=torch.bool)
    area[..., :3] = True
    other = torch.cat([memory[:, :3], torch.randn(1, 9, 32)], dim=1)
    with torch.no_grad():
        first, second = (layer(x, position, m, m, area) for m in (memory, other))
        cut = layer(x, position, memory[:, :3], memory[:, :3], area[..., :3])
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first, cut)


def test_inference_mode_leaves_nothing_that_training_cannot_use():
    model = tiny_model()
    images = torch.rand(1, 3, 96, 64)
    with torch.inference_mode():
        model.eval()(images)
    model.train()(images).mask_logits.sum().backward()


def test_initialisation():
    torch.manual_seed(0)
    model = Mask2Former(Mask2FormerConfig(backbone="resnet18", encoder_layers=1, decoder_layers=1), 20)
    for embedding in (model.query_content, model.query_position, model.level_embed, model.pixel_decoder.level_embed):
        assert embedding.std().item() == pytest.approx(1.0, abs=0.1)
    attention, ffn = model.layers[0].cross_attention, model.layers[0].ffn
    for weight, bound in (
        (attention.query.weight, math.sqrt(6 / (256 + 3 * 256))),  # drawn as one matrix of 3 x 256 rows
        (attention.out.weight, math.sqrt(6 / 512)),
        (ffn[0].weight, math.sqrt(6 / (256 + 2048))),
        (model.pixel_decoder.output[0].weight, math.sqrt(3 / (9 * 256))),
    ):
        assert weight.abs().max().item() == pytest.approx(bound, rel=0.01)
    assert not attention.query.bias.any()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 48}, "model.channels: 48 is no multiple of the 32 groups"),
        ({"num_heads": 5}, "num_heads"),
        ({"backbone": "resnet5"}, "resnet5"),
    ],
)
def test_bad_configs_are_told_in_one_sentence(changes, words):
    with pytest.raises(UserError, match=words) as error:
        Mask2Former(replace(TINY, **changes), 3)
    assert "\n" not in str(error.value)
