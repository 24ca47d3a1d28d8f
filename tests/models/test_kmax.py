"""kMaX-DeepLab against published counts, naive loops and the paper's formulas written out."""

import math
from dataclasses import replace
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from model_contract import ModelContract, assert_same, randomise

from pantile.contracts.errors import UserError
from pantile.models import KMaXConfig, create_model, kmax_nano_config
from pantile.models.cost import count_cost
from pantile.models.kmax import KMaXLayer, Predictor, cluster_sums

TINY = replace(
    kmax_nano_config(),
    num_queries=7,
    decoder_widths=(8, 8, 8, 8, 8),
    query_channels=16,
    embed_channels=8,
    ffn_channels=32,
    num_heads=2,
    auxiliary_channels=16,
)
ONE_EACH = {"transformer_layers": (1, 1, 1)}
SMALL = {"decoder_blocks": (1, 1, 1, 1), **ONE_EACH}


class TestContract(ModelContract):
    shallower: ClassVar[dict] = {"transformer_layers": (1, 0, 0)}

    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        batch, _, height, width = images.shape
        n, fine = TINY.num_queries, (math.ceil(height / 4), math.ceil(width / 4))
        assert output.class_logits.shape == (batch, n, num_classes + 1)
        assert output.mask_logits.shape == (batch, n, *fine)
        assert output.query_embed.shape == (batch, n, TINY.embed_channels)
        assert output.pixel_embed.shape == (batch, TINY.embed_channels, *fine)
        assert output.pixel_feature.shape == (batch, TINY.query_channels, *fine)
        for layer, stride in zip(output.layers, (32, 16, 8), strict=False):
            coarse = (math.ceil(height / stride), math.ceil(width / stride))
            assert layer.mask_logits.shape == (batch, n, *coarse)
            assert layer.pixel_embed.shape == (batch, TINY.embed_channels, *coarse)
            assert layer.pixel_feature.shape == (batch, TINY.query_channels, *coarse)
            assert layer.class_logits.shape == output.class_logits.shape
            assert layer.layers == ()
        if output.semantic_logits is not None:
            assert output.semantic_logits.shape == (batch, num_classes + 1, *fine)


class TestContractWithStem(TestContract):
    """The Cityscapes form: five stages, plain auxiliary head without a void channel."""

    test_compiles_without_a_graph_break = test_exports = None  # slow, and the code is the same

    def config(self):
        return replace(TINY, decoder_blocks=(1, 1, 1, 1, 1), auxiliary_head="plain", drop_path=0.2)

    def check_shapes(self, output, num_classes, images):
        if output.semantic_logits is not None:
            coarse = tuple(math.ceil(side / 32) for side in images.shape[2:])
            assert output.semantic_logits.shape == (len(images), num_classes, *coarse)
        super().check_shapes(replace(output, semantic_logits=None), num_classes, images)


def meta_model(num_classes=133, **changes):
    with torch.device("meta"):
        return create_model(KMaXConfig(**changes), num_classes)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_parameters_of_every_part_of_the_resnet50_model():
    model = meta_model()
    assert parameters(model) - parameters(model.auxiliary_head) == 56_580_120
    assert parameters(model.auxiliary_head) == 15_856_742
    assert parameters(model.backbone) == 23_508_032
    assert parameters(model.pixel_decoder) == 21_151_040
    assert [parameters(stage) for stage in model.pixel_decoder.stages] == [8_671_840, 11_065_056, 297_472, 75_008]
    assert [parameters(fusion) for fusion in model.pixel_decoder.fusions] == [787_456, 197_120, 49_408]
    assert [parameters(layer) for layer in model.layers[::2]] == [2_148_888, 1_886_744, 1_755_672]
    assert parameters(model.predictor) == 173_576
    assert sum(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in model.modules()) == 233
    assert len(model.state_dict()) == 1417


@pytest.mark.parametrize(
    ("changes", "millions"),
    [
        ({"backbone": "convnext_tiny"}, 60.94),
        ({"backbone": "convnext_small"}, 82.57),
        ({"backbone": "convnext_base"}, 121.51),
        ({"backbone": "convnext_large"}, 231.84),
        ({"backbone": "mobilenetv3_small_100", **SMALL}, 18.63),
        ({"backbone": "mobilenetv3_large_100", **SMALL}, 22.00),
        (ONE_EACH, 50.79),
        ({"num_classes": 19, "num_queries": 256, "decoder_blocks": (1, 5, 1, 1, 1)}, 56.39),
        ({"num_classes": 150}, 56.61),
    ],
)
def test_parameters_in_millions(changes, millions):
    assert round(parameters(meta_model(auxiliary_head="none", **changes)) / 1e6, 2) == millions


def test_parameters_with_the_cityscapes_auxiliary_head():
    model = meta_model(19, num_queries=256, decoder_blocks=(1, 5, 1, 1, 1), auxiliary_head="plain")
    assert round(parameters(model) / 1e6, 2) == 56.98


@pytest.mark.parametrize(
    ("changes", "size", "giga"),
    [
        ({}, (641, 641), 74.3),
        ({}, (800, 1200), 166.8),
        (ONE_EACH, (641, 641), 70.2),
        ({"backbone": "convnext_tiny"}, (800, 1200), 172.3),
        ({"backbone": "mobilenetv3_small_100", **SMALL}, (641, 641), 19.5),
        ({"backbone": "mobilenetv3_large_100", **SMALL}, (641, 641), 21.7),
    ],
)
def test_multiply_adds(changes, size, giga):
    """The reference counts the k-means sums as a matrix product, and every layer's class logits; we need neither."""
    model = meta_model(**changes)
    config = model.config
    pixels = [math.ceil(size[0] / s) * math.ceil(size[1] / s) for s in (32, 16, 8)]
    one_hot = sum(n * hw for n, hw in zip(config.transformer_layers, pixels, strict=True)) * 128 * 256
    classes = sum(config.transformer_layers) * 128 * 256 * 134
    ours = count_cost(model, size).multiply_adds
    assert (ours + one_hot + classes) / 1e9 == pytest.approx(giga, rel=0.003)
    assert ours / 1e9 == pytest.approx(giga, rel=0.02)


def test_cost_leaves_the_model_alone_and_splits_the_parameters():
    model = create_model(TINY, 3).train()
    model.layers[0].eval()
    cost = count_cost(model, 65)
    assert model.training and not model.layers[0].training
    assert cost.training_only_parameters == parameters(model.auxiliary_head)
    assert cost.parameters == parameters(model) - parameters(model.auxiliary_head)
    assert next(model.parameters()).device.type == "cpu"


def test_nano_is_small():
    cost = count_cost(create_model(kmax_nano_config(), 20), 513)
    assert cost.parameters <= 2_000_000


def test_batch_norms_share_eps_and_momentum():
    norms = [m for m in meta_model().modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert {m.eps for m in norms} == {1e-3}
    assert {m.momentum for m in norms} == {0.01}


def test_cluster_sums_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 3, 4, 5, generator=generator)
    logits = torch.randn(2, 6, 4, 5, generator=generator)
    logits[1, 2] = 10  # one cluster takes the whole image, the others stay empty
    expected = torch.zeros(2, 3, 6)
    for b in range(2):
        for y in range(4):
            for x in range(5):
                nearest = max(range(6), key=lambda n: float(logits[b, n, y, x]))
                expected[b, :, nearest] += values[b, :, y, x]
    torch.testing.assert_close(cluster_sums(values, logits), expected)
    assert cluster_sums(values.bfloat16(), logits).dtype == torch.float32


def test_cluster_sums_pass_gradients_to_values_only():
    values = torch.randn(1, 2, 3, 3, requires_grad=True)
    logits = torch.randn(1, 4, 3, 3, requires_grad=True)
    cluster_sums(values, logits).sum().backward()
    torch.testing.assert_close(values.grad, torch.ones_like(values))
    assert logits.grad is None


@torch.no_grad()
def layer_by_the_book(layer, pixels, centers):
    """The layer's equations with dense one-hot assignment and einsum."""
    gelu = F.gelu
    bn = layer.pixel_in.norm, layer.query_in.norm
    p = gelu(bn[0](F.conv2d(pixels, layer.pixel_in.conv.weight)))
    c = gelu(bn[1](torch.einsum("oc,bcn->bon", layer.query_in.conv.weight[..., 0], centers)))
    v = layer.pixel_value.norm(F.conv2d(p, layer.pixel_value.conv.weight)).flatten(2)
    output = layer.predictor(p, c, c)
    logits = output.mask_logits.flatten(2)
    one_hot = F.one_hot(logits.argmax(1), logits.shape[1]).float()
    update = layer.kmeans_norm(torch.einsum("bpn,bcp->bcn", one_hot, v))
    update = layer.kmeans_out(update)

    heads = layer.attention.num_heads
    width = centers.shape[1]
    q, k, values = layer.attention.qkv(c).split([width // 2, width // 2, width], dim=1)
    out = torch.empty_like(values)
    similarity = torch.stack(
        [torch.einsum("bdl,bdm->blm", q.chunk(heads, 1)[h], k.chunk(heads, 1)[h]) for h in range(heads)],
        dim=1,
    )
    weights = layer.attention.norm_similarity(similarity).softmax(-1)
    for h, rows in enumerate(torch.arange(width).chunk(heads)):
        out[:, rows] = torch.einsum("blm,bdm->bdl", weights[:, h], values[:, rows])
    attended = layer.attention_out(gelu(layer.attention.norm_retrieved(out)))
    moved = gelu(centers + update + attended)
    return gelu(moved + layer.ffn(moved)), output


def test_layer_against_its_equations():
    torch.manual_seed(0)
    layer = KMaXLayer(12, TINY, 3).eval()
    with torch.no_grad():
        randomise(layer)
    pixels, centers = torch.randn(2, 12, 5, 6), torch.randn(2, 16, 7)
    expected, expected_output = layer_by_the_book(layer, pixels, centers)
    with torch.no_grad():
        actual, output = layer(pixels, centers, True)
        silent, nothing = layer(pixels, centers, False)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(silent, expected)
    assert nothing is None
    torch.testing.assert_close(output.mask_logits, expected_output.mask_logits)
    p = layer.pixel_in(pixels)
    torch.testing.assert_close(output.pixel_feature, p)


def test_mask_logits_come_from_the_embeddings():
    torch.manual_seed(0)
    predictor = Predictor(6, TINY, 3).eval()
    with torch.no_grad():
        randomise(predictor)
        output = predictor(torch.randn(2, 6, 4, 5), torch.randn(2, 16, 7), torch.randn(2, 16, 7))
    torch.testing.assert_close(output.pixel_embed.norm(dim=1), torch.ones(2, 4, 5))
    norm = predictor.mask_norm
    products = torch.einsum("bnd,bdhw->bnhw", output.query_embed, output.pixel_embed)
    expected = (products - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    torch.testing.assert_close(output.mask_logits, expected)


def test_mask_norm_has_one_channel_for_all_masks_in_training():
    torch.manual_seed(0)
    predictor = Predictor(6, TINY, 3).train()
    output = predictor(torch.randn(2, 6, 4, 5), torch.randn(2, 16, 7), torch.randn(2, 16, 7))
    assert output.mask_logits.mean().abs() < 1e-5
    products = torch.einsum("bnd,bdhw->bnhw", output.query_embed, output.pixel_embed)
    expected = 0.1 * (products - products.mean()) / (products.var(unbiased=False) + predictor.mask_norm.eps).sqrt()
    torch.testing.assert_close(output.mask_logits, expected)


@pytest.mark.parametrize(("num_classes", "constant"), [(133, 7.0876), (19, 5.1417), (150, 7.2079)])
def test_no_object_prior(num_classes, constant):
    torch.manual_seed(0)
    predictor = Predictor(6, TINY, num_classes).eval()
    torch.nn.init.zeros_(predictor.classifier.conv.weight)
    with torch.no_grad():
        logits = predictor(torch.randn(1, 6, 4, 4), torch.randn(1, 16, 7), torch.randn(1, 16, 7)).class_logits
    torch.testing.assert_close(logits.softmax(-1)[..., -1], torch.full((1, 7), 0.9))
    assert float(logits[0, 0, -1]) == pytest.approx(constant, abs=1e-4)
    assert "class_prior" not in predictor.state_dict()


def test_new_model_believes_in_no_object():
    torch.manual_seed(0)
    with torch.no_grad():
        output = create_model(TINY, 20).train()(torch.rand(2, 3, 65, 65))
    for prediction in (output, *output.layers):
        assert (prediction.class_logits.softmax(-1)[..., -1] - 0.9).abs().max() < 0.05


def test_initialisation():
    torch.manual_seed(0)
    model = create_model(replace(kmax_nano_config(), query_channels=128, num_queries=64), 20)
    layer = model.layers[0]
    zero = [layer.kmeans_out.norm, layer.attention_out.norm, layer.ffn[1].norm]
    zero += [block.expand.norm for stage in model.pixel_decoder.stages for block in stage]
    assert all((norm.weight == 0).all() for norm in zero)
    assert model.predictor.mask_norm.weight.item() == pytest.approx(0.1)
    truncation = 0.8796  # std of a unit normal cut at two
    for weight, std in (
        (model.cluster_centers, 1.0),
        (layer.query_in.conv.weight, math.sqrt(2 / 128)),
        (layer.pixel_value.conv.weight, 128**-0.5),
        (layer.attention.qkv.conv.weight, 128**-0.5),
        (layer.predictor.classifier.conv.weight, 0.01),
        (layer.predictor.pixel_embed.conv.weight, 0.01),
        (model.pixel_decoder.stages[2][0].spatial.conv.weight, math.sqrt(2 / 32)),  # 3x3: no kernel area
    ):
        assert weight.std().item() == pytest.approx(truncation * std, rel=0.06)


def test_drop_path_drops_whole_branches_of_single_images():
    torch.manual_seed(0)
    layer = KMaXLayer(12, replace(TINY, drop_path=0.5), 3)
    with torch.no_grad():
        randomise(layer)
    for module in layer.modules():
        if module is not layer.drop_path:
            module.training = False
    pixels, centers = torch.randn(1, 12, 5, 6).expand(64, -1, -1, -1), torch.randn(1, 16, 7).expand(64, -1, -1)
    with torch.no_grad():
        moved, _ = layer(pixels, centers, False)
        layer.drop_path.training = False
        plain, _ = layer(pixels, centers, False)
    outcomes = {tuple(row) for row in (moved.flatten(1) * 1000).round().int().tolist()}
    assert len(outcomes) == 8  # three independent draws
    untouched = F.gelu(F.gelu(centers[:1]))
    assert (moved - untouched).flatten(1).abs().max(1).values.min() < 1e-6
    assert (plain - plain[:1]).abs().max() < 1e-5


def test_layer_outputs_do_not_change_the_prediction():
    torch.manual_seed(0)
    model = create_model(TINY, 3).eval()
    with torch.no_grad():
        randomise(model)
    images = torch.rand(1, 3, 65, 65)
    with torch.no_grad():
        with_layers, without = model(images, layer_outputs=True), model(images)
    assert len(with_layers.layers) == 3
    assert with_layers.semantic_logits is None
    assert_same(replace(with_layers, layers=()), without)


def test_eval_computes_class_logits_once():
    model = create_model(TINY, 3).eval()
    calls = []
    for predictor in (model.predictor, *(layer.predictor for layer in model.layers)):
        predictor.classifier.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model(torch.rand(1, 3, 65, 65))
    assert len(calls) == 1


def test_steering_replaces_the_assignment_and_nothing_else():
    torch.manual_seed(0)
    model = create_model(TINY, 3).eval()
    with torch.no_grad():
        randomise(model)
    images = torch.rand(2, 3, 65, 65)
    seen = []

    def own_logits(index, output):
        seen.append((index, tuple(output.mask_logits.shape)))
        return output.mask_logits

    def one_cluster(index, output):
        return F.one_hot(torch.tensor(2), output.num_queries)[None, :, None, None] * torch.ones_like(output.mask_logits)

    with torch.no_grad():
        free = model(images, layer_outputs=True)
        model.steer = own_logits
        same = model(images, layer_outputs=True)
        assert_same(model(images), replace(free, layers=()))
        model.steer = one_cluster
        moved = model(images, layer_outputs=True)
    assert seen[:3] == [(0, (2, 7, 3, 3)), (1, (2, 7, 5, 5)), (2, (2, 7, 9, 9))]
    assert_same(free, same)
    assert_same(free.layers[0], moved.layers[0])  # predicted before the assignment
    assert not torch.equal(free.layers[1].mask_logits, moved.layers[1].mask_logits)
    assert not torch.equal(free.mask_logits, moved.mask_logits)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decoder_blocks": (1, 1, 1)}, "decoder_blocks"),
        ({"decoder_widths": (8, 8, 8)}, "decoder_widths"),
        ({"num_heads": 3}, "num_heads"),
        ({"backbone": "resnet5"}, "resnet5"),
        ({"architecture": "kmx"}, "architecture"),
    ],
)
def test_bad_configs_are_told_in_one_sentence(changes, words):
    with pytest.raises(UserError, match=words) as error:
        create_model(replace(TINY, **changes), 3)
    assert "\n" not in str(error.value)


def test_zero_classes_is_an_error():
    with pytest.raises(UserError, match="at least one class"):
        create_model(TINY, 0)
