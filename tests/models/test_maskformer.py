"""MaskFormer against Hugging Face's, torch's own attention, and the published parameter counts."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from huggingface import SWIN_TINY, huggingface_maskformer
from model_contract import ModelContract, assert_same, randomise
from torch import nn

from pantile.contracts.errors import UserError
from pantile.convert.huggingface_maskformer import export_maskformer, import_maskformer
from pantile.layers.position_encoding import sine_positions
from pantile.models.maskformer import MaskFormer, MaskFormerConfig, maskformer_nano_config

SWIN_SMALL = "swin_small_patch4_window7_224"
SWIN_BASE = "swin_base_patch4_window12_384"
SWIN_LARGE = "swin_large_patch4_window12_384"
TINY = replace(maskformer_nano_config(), num_queries=7, channels=32, embed_channels=16, num_heads=2, ffn_channels=48)
PLAIN = {"encoder_layers": 0}
FEW_LAYERS = {
    **PLAIN,
    "num_queries": 10,
    "channels": 64,
    "embed_channels": 32,
    "num_heads": 4,
    "decoder_layers": 3,
    "ffn_channels": 128,
}


def tiny_model(**changes):
    torch.manual_seed(0)
    model = MaskFormer(replace(TINY, **changes), 5)
    with torch.no_grad():
        randomise(model)
    return model


class TestContract(ModelContract):
    def config(self):
        return TINY

    def model(self, num_classes=None, **changes):
        torch.manual_seed(0)
        return MaskFormer(replace(self.config(), **changes), num_classes or self.num_classes)

    def check_shapes(self, output, num_classes, images):
        batch, _, height, width = images.shape
        fine = (math.ceil(height / 4), math.ceil(width / 4))
        assert len(output.layers) in (0, TINY.decoder_layers - 1)
        for prediction in (output, *output.layers):
            assert prediction.class_logits.shape == (batch, 7, num_classes + 1)
            assert prediction.mask_logits.shape == (batch, 7, *fine)
            assert prediction.query_embed.shape == (batch, 7, TINY.embed_channels)
            assert prediction.pixel_embed.shape == (batch, TINY.embed_channels, *fine)
            assert prediction.pixel_feature.shape == (batch, TINY.channels, *fine)
        assert all(layer.layers == () for layer in output.layers)


class TestContractWithoutEncoder(TestContract):
    test_compiles_without_a_graph_break = test_exports = None  # slow, and the code is the same

    def config(self):
        return replace(TINY, encoder_layers=0, dropout=0.1)


def both_models(config, num_classes):
    theirs = huggingface_maskformer(config, num_classes)
    ours = MaskFormer(config, num_classes).eval()
    ours.load_state_dict(import_maskformer(config, theirs.state_dict()))
    return theirs, ours


@torch.no_grad()
def largest_difference(models, batch, size):
    """Of class and mask logits, over all predictions.

    Theirs feeds normalised queries to the next layer where it makes auxiliary outputs (the original does not), so
    those are put together here from the queries of each layer.
    """
    theirs, ours = models
    images = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(5)).to(next(ours.parameters()))
    expected, output = theirs(images, output_hidden_states=True), ours(images, layer_outputs=True)
    differences = [
        expected.class_queries_logits - output.class_logits,
        expected.masks_queries_logits - output.mask_logits,
    ]
    queries = expected.transformer_decoder_hidden_states[-len(ours.layers) :]
    assert len(output.layers) == len(ours.layers) - 1
    for layer_queries, layer in zip(queries[:-1], output.layers, strict=True):
        normed = theirs.model.transformer_module.decoder.layernorm(layer_queries)
        masks = torch.einsum("bnd,bdhw->bnhw", theirs.mask_embedder(normed), expected.pixel_decoder_last_hidden_state)
        differences += [theirs.class_predictor(normed) - layer.class_logits, masks - layer.mask_logits]
    return max(float(difference.abs().max()) for difference in differences)


class TestAgainstHuggingFace:
    @pytest.fixture(scope="class", params=["resnet18", SWIN_TINY])
    def models(self, request):
        return both_models(MaskFormerConfig(backbone=request.param, **FEW_LAYERS), 5)

    @pytest.mark.parametrize("size", [(96, 128), (71, 109)])
    def test_all_predictions_are_theirs(self, models, size):
        assert largest_difference(models, 2, size) < 1e-4

    def test_state_dict_there_and_back(self, models):
        theirs, ours = models
        exported = export_maskformer(ours.config, ours.state_dict())
        theirs.load_state_dict(exported)
        for name, tensor in import_maskformer(ours.config, exported).items():
            assert torch.equal(tensor, ours.state_dict()[name]), name
        for name, tensor in theirs.state_dict().items():
            if name.endswith("relative_position_index"):
                assert torch.equal(tensor, exported[name])


def test_state_dicts_that_do_not_fit_are_told():
    config = MaskFormerConfig(backbone="resnet18", **FEW_LAYERS)
    with torch.device("meta"):
        state = export_maskformer(config, MaskFormer(config, 5).state_dict())
    for changes, words in (({"decoder_layers": 2}, "left over"), ({"encoder_layers": 6}, "has no encoder")):
        with pytest.raises(UserError, match=words):
            import_maskformer(replace(config, **changes), state)
    with pytest.raises(UserError, match="class_predictor"):
        import_maskformer(config, {})


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "size"), [("resnet50", (173, 227)), (SWIN_TINY, (192, 256))])
def test_full_size_models_predict_as_hugging_faces(backbone, size):
    """In double precision: how single precision rounds depends on the machine."""
    models = both_models(MaskFormerConfig(backbone=backbone, **PLAIN), 133)
    assert largest_difference([model.double() for model in models], 1, size) < 1e-5


def as_torchs(attention, channels):
    """torch's attention module with our weights."""
    theirs = nn.MultiheadAttention(channels, attention.num_heads, batch_first=True)
    parts = (attention.query, attention.key, attention.value)
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(attention.out.state_dict())
    return theirs


@torch.no_grad()
def test_encoder_against_torchs_attention():
    model = tiny_model(encoder_layers=2).eval()
    decoder = model.pixel_decoder
    for parameter in decoder.parameters():
        parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())))
    features = model.backbone(torch.randn(2, 3, 97, 65))
    memory = decoder.input_projection(features["res5"])
    size = tuple(memory.shape[2:])
    x, positions = memory.flatten(2).transpose(1, 2), sine_positions((size,), 32, memory.device)
    for layer in decoder.encoder:
        attended, _ = as_torchs(layer.attention, 32)(x + positions, x + positions, x)
        x = F.layer_norm(x + attended, (32,), layer.attention_norm.weight, layer.attention_norm.bias)
        hidden = F.relu(F.linear(x, layer.ffn[0].weight, layer.ffn[0].bias))
        x = F.layer_norm(x + layer.ffn[3](hidden), (32,), layer.ffn_norm.weight, layer.ffn_norm.bias)
    decoded = decoder(features)
    torch.testing.assert_close(decoded.memory, x.transpose(1, 2).unflatten(2, size))
    changed = decoder(features | {"res5": torch.zeros_like(features["res5"])})
    assert not torch.allclose(changed.feature, decoded.feature)  # the pyramid starts from the memory


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("num_classes", "changes", "count"),
    [
        (150, {**PLAIN}, 41_254_743),
        (150, {**PLAIN, "backbone": "resnet101"}, 60_194_647),
        (150, {**PLAIN, "backbone": "resnet101s"}, 60_318_039),
        (150, {**PLAIN, "backbone": SWIN_TINY}, 41_757_009),
        (150, {**PLAIN, "backbone": SWIN_SMALL}, 63_074_913),
        (150, {**PLAIN, "backbone": SWIN_BASE}, 101_829_391),
        (150, {**PLAIN, "backbone": SWIN_LARGE}, 211_575_627),
        (133, {}, 45_012_038),
        (133, {"backbone": "resnet101"}, 63_951_942),
        (133, {**PLAIN, "backbone": SWIN_TINY}, 41_752_640),
        (133, {**PLAIN, "backbone": SWIN_LARGE}, 211_571_258),
        (150, {}, 45_016_407),
    ],
)
def test_parameters(num_classes, changes, count):
    with torch.device("meta"):
        assert parameters(MaskFormer(MaskFormerConfig(**changes), num_classes)) == count


def test_nano_is_small():
    assert parameters(MaskFormer(maskformer_nano_config(), 20)) <= 2_000_000


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


def test_dropout_acts_in_training_only():
    model = tiny_model(dropout=0.5)
    for module in model.backbone.modules():
        module.training = False
    images = torch.rand(1, 3, 65, 65)
    with torch.no_grad():
        assert not torch.equal(model(images).class_logits, model(images).class_logits)
        model.eval()
        assert torch.equal(model(images).class_logits, model(images).class_logits)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 48}, "model.channels: 48 is no multiple of the 32 groups"),
        ({"num_heads": 5}, "num_heads"),
        ({"decoder_layers": 0}, "decoder_layers"),
    ],
)
def test_bad_configs_are_told_in_one_sentence(changes, words):
    with pytest.raises(UserError, match=words) as error:
        MaskFormer(replace(TINY, **changes), 3)
    assert "\n" not in str(error.value)
