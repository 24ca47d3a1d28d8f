"""Panoptic FCN: published parameter counts, naive loops over positions, and the contract of all models."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from model_contract import ModelContract, randomise

from pantile.backbones import create_backbone
from pantile.backbones.resnet_variants import stride_in_first_conv
from pantile.contracts.errors import UserError
from pantile.data.classes import cityscapes, coco, mapillary
from pantile.losses import PanopticFCNCriterionConfig
from pantile.models import PanopticFCN, PanopticFCNConfig, create_model, panoptic_fcn_nano_config
from pantile.models.panoptic_fcn_queries import find_peaks

TINY = replace(panoptic_fcn_nano_config(), embed_channels=16, candidates=6)
THINGS = (False, True, True, False, True)  # of the five classes of the contract
STAR = {"embed_channels": 256, "deformable_encoder": True}


def flags(taxonomy):
    return tuple(taxonomy.is_thing().tolist())


def tiny_model(is_thing=THINGS, **changes):
    torch.manual_seed(0)
    model = PanopticFCN(replace(TINY, **changes), len(is_thing), is_thing)
    with torch.no_grad():
        randomise(model)
        for name, parameter in model.named_parameters():  # logits and kernels that differ between positions
            if name.startswith(("position_head.things.w", "position_head.stuff.w", "kernel_head.out")):
                parameter.mul_(8)
    return model


def level_sizes(size, levels):
    return [tuple(math.ceil(side / stride) for side in size) for stride in (8, 16, 32, 64, 128)[:levels]]


class TestContract(ModelContract):
    graphs_apart = "tracing it takes a third of a minute of a core"

    def config(self):
        return TINY

    def model(self, num_classes=None, **changes):
        classes = num_classes or self.num_classes
        torch.manual_seed(0)
        return PanopticFCN(replace(self.config(), **changes), classes, self.is_thing(classes))

    def is_thing(self, classes):
        return THINGS if classes == 5 else (True,) * classes

    def check_shapes(self, output, num_classes, images):
        config = self.config()
        batch, _, *size = images.shape
        fine = (math.ceil(size[0] / 4), math.ceil(size[1] / 4))
        levels = level_sizes(size, config.levels)
        things = sum(self.is_thing(num_classes))
        stuff = num_classes - things
        queries = 0
        if output.positions is None:
            queries = sum(min(config.candidates, h * w) for h, w in levels) * bool(things)
            queries += len(levels) * (stuff + (num_classes > 1))
        else:
            maps = output.positions
            regions = num_classes if config.thing_regions == "by_class" and things != 1 else 1 + stuff
            for of_level, channels in (
                (maps.thing_logits, things),
                (maps.stuff_logits, regions),
                (maps.thing_kernels, config.embed_channels),
                (maps.stuff_kernels, config.embed_channels),
            ):
                assert [level.shape for level in of_level] == [(batch, channels, h, w) for h, w in levels]
            assert maps.stuff_bias.shape == (config.embed_channels,)
            assert maps.chosen is None
        assert output.layers == ()
        assert output.class_logits.shape == (batch, queries, num_classes + 1)
        assert output.mask_logits.shape == (batch, queries, *fine)
        assert output.query_embed.shape == (batch, queries, config.embed_channels)
        assert output.pixel_embed.shape == (batch, config.embed_channels, *fine)
        assert output.pixel_feature.shape == (batch, config.channels, *fine)

    def test_one_class_of_stuff(self):
        images = self.images()
        model = PanopticFCN(self.config(), 1, (False,))
        assert model.train()(images).positions.thing_logits[0].shape[1] == 0
        with torch.no_grad():
            assert model.eval()(images).class_logits.shape == (2, self.config().levels, 2)


class TestContractOfAllLevels(TestContract):
    test_compiles_without_a_graph_break = test_exports = None  # slow, and the code is the same

    def config(self):
        return replace(TINY, levels=5, thing_regions="by_class", deformable_encoder=True)

    def criterion(self):
        return PanopticFCNCriterionConfig()


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("taxonomy", "changes", "count"),
    [
        (coco.TAXONOMY, {}, 36_999_511),
        (coco.TAXONOMY, {"frozen_batch_norm": False, "frozen_stages": 0}, 36_999_511 + 53_120),
        (coco.TAXONOMY, STAR, 38_837_710),
        (cityscapes.TAXONOMY, {"embed_channels": 256, "thing_regions": "by_class"}, 38_403_884),
        (mapillary.TAXONOMY, {"embed_channels": 256}, 38_493_779),
    ],
)
def test_parameters(taxonomy, changes, count):
    with torch.device("meta"):
        model = PanopticFCN(PanopticFCNConfig(**changes), len(taxonomy), flags(taxonomy))
    assert parameters(model) == count


def test_parameters_of_the_parts():
    with torch.device("meta"):
        model = PanopticFCN(PanopticFCNConfig(), 133, flags(coco.TAXONOMY))
    assert parameters(model.pyramid) == 4_524_544
    assert parameters(model.semantic_pyramid) == 4_132_352
    assert parameters(model.position_head) == 2_266_583
    assert parameters(model.kernel_head) == 2_365_696
    assert parameters(model.encoder) == 222_528
    assert parameters(model.thing_generator) == parameters(model.stuff_generator) == 16_448
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 36_777_111


def test_nano_is_small():
    assert parameters(PanopticFCN(panoptic_fcn_nano_config(), 20, (True,) * 20)) <= 2_000_000


def test_the_registry_makes_it_and_wants_thing_flags():
    model = create_model(TINY, 5, list(THINGS))
    assert isinstance(model, PanopticFCN) and model.is_thing == THINGS
    for wrong in (None, THINGS[:4]):
        with pytest.raises(UserError, match="a flag for each of the 5 classes"):
            create_model(TINY, 5, wrong)


def naive_queries(model, positions, image):
    """(kernel, class, score) of every query as the original finds them, one position after the other.

    Class -1 is the region of all things. Kernels come from the maps that training gives, already as embeddings.
    """
    things = [k for k, thing in enumerate(model.is_thing) if thing]
    stuff = [k for k, thing in enumerate(model.is_thing) if not thing]
    by_class = model.config.thing_regions == "by_class"
    found, regions = [], []
    for level, side in zip(range(model.config.levels), (3, 3, 3, 5, 5), strict=False):
        heat = positions.thing_logits[level][image].sigmoid()
        kernels = positions.thing_kernels[level][image]
        height, width = heat.shape[1:]
        half = side // 2
        padded = F.pad(heat, (half, half, half, half))
        smooth = torch.zeros_like(heat)
        for i in range(height):
            for j in range(width):
                around = padded[:, i : i + side, j : j + side].sum((1, 2)) / side**2
                smooth[:, i, j] = (heat[:, i, j] + around) / 2
        peaks = []
        for t in range(len(things)):
            for i in range(height):
                for j in range(width):
                    near = smooth[t, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
                    if smooth[t, i, j] == near.max():
                        peaks.append((float(smooth[t, i, j]), things[t], kernels[:, i, j]))
        peaks.sort(key=lambda peak: -peak[0])
        found.append(peaks[: min(model.config.candidates, height * width)])

        scores = positions.stuff_logits[level][image].sigmoid()
        owners = list(range(len(model.is_thing))) if by_class else [-1, *stuff]
        owners = [-1 if k in things else k for k in owners]
        sums = {k: [torch.zeros_like(kernels[:, 0, 0]), 0.0, 0] for k in [-1, *stuff]}
        for i in range(height):
            for j in range(width):
                best = int(scores[:, i, j].argmax())
                entry = sums[owners[best]]
                entry[0] += positions.stuff_kernels[level][image][:, i, j] / (height * width)
                entry[1] += float(scores[best, i, j])
                entry[2] += 1
        regions.append([(s / n if n else 0.0, k, kernel + positions.stuff_bias) for k, (kernel, s, n) in sums.items()])
    return found, regions


@pytest.mark.parametrize("changes", [{"levels": 5, "candidates": 4}, {"thing_regions": "by_class", "candidates": 50}])
@torch.no_grad()
def test_inference_against_loops_over_positions(changes):
    model = tiny_model(**changes)
    images = torch.randn(2, 3, 97, 65, generator=torch.Generator().manual_seed(3))
    output = model.eval()(images)
    model.training = True  # the model itself only, so that its batch norms do as in inference
    positions = model(images).positions
    sizes = level_sizes((97, 65), model.config.levels)
    counts = [min(model.config.candidates, h * w) for h, w in sizes]
    some_region_is_empty = False
    for image in range(2):
        found, regions = naive_queries(model, positions, image)
        probability = output.class_logits[image].softmax(dim=-1)
        start = 0
        for peaks, count in zip(found, counts, strict=True):
            assert peaks
            for offset in range(count):
                query = start + offset
                if offset < len(peaks):
                    score, class_index, kernel = peaks[offset]
                    assert int(probability[query, :-1].argmax()) == class_index
                    assert float(probability[query, class_index]) == pytest.approx(score, abs=1e-5)
                    assert float(probability[query, -1]) == pytest.approx(1 - score, abs=1e-5)
                    torch.testing.assert_close(output.query_embed[image, query], kernel, atol=1e-5, rtol=1e-4)
                else:
                    assert probability[query, :-1].max() < 2e-6
            start += count
        for of_level in regions:
            for score, class_index, kernel in of_level:
                own = probability[start]
                if class_index < 0:
                    assert bool((own[:-1] == own[0]).all())
                    assert float(own[-1]) == pytest.approx(max(score, 1e-6), abs=1e-5)
                else:
                    assert float(own[class_index]) == pytest.approx(score, abs=1e-5)
                    assert sorted(own[:-1].tolist())[-2] < 1e-9
                torch.testing.assert_close(output.query_embed[image, start], kernel, atol=1e-5, rtol=1e-4)
                some_region_is_empty |= score == 0
                start += 1
        assert start == output.num_queries
    assert some_region_is_empty
    masks = torch.einsum("bnd,bdhw->bnhw", output.query_embed, output.pixel_embed)
    torch.testing.assert_close(output.mask_logits, masks, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_queries_do_not_depend_on_the_mode_of_the_layers_argument():
    model = tiny_model().eval()
    images = torch.randn(1, 3, 65, 97)
    output = model(images, layer_outputs=True)
    assert output.positions is None and output.layers == ()
    assert torch.equal(output.class_logits, model(images).class_logits)


def test_peaks_of_a_plateau_and_of_few_positions():
    flat = torch.zeros(1, 2, 2, 2)
    flat[0, 1, 0, 0] = 5
    peaks = find_peaks(flat, 3, 50)
    assert peaks.score.shape == (1, 4)  # four positions, though there are eight scores
    assert (int(peaks.channel[0, 0]), int(peaks.position[0, 0])) == (1, 0)
    assert (peaks.score[0, 1:] > 0).sum() == 3  # all of the flat class


def test_frozen_stages_have_no_gradient_and_keep_their_statistics():
    model = PanopticFCN(replace(TINY, frozen_stages=2), 5, THINGS).train()
    body = model.backbone.model
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    model(torch.randn(2, 3, 64, 64)).pixel_embed.sum().backward()
    frozen = {name for name, p in body.named_parameters() if not p.requires_grad}
    assert frozen == {name for name in frozen if name.startswith(("conv1", "layer1"))}
    assert "conv1.0.weight" in frozen and "layer1.0.conv1.weight" in frozen
    assert all(p.grad is None for name, p in body.named_parameters() if name in frozen)
    assert all(p.grad is not None for name, p in body.named_parameters() if name not in frozen)
    changed = {name for name, tensor in body.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and not any(name.startswith(("bn1", "layer1")) for name in changed)


@torch.no_grad()
def test_stride_in_the_first_convolution_is_what_the_original_resnet_has():
    torch.manual_seed(0)
    plain, moved = create_backbone("resnet50").eval(), create_backbone("resnet50").eval()
    for block in plain.model.layer2:
        torch.nn.init.normal_(block.bn3.weight)  # timm starts with zeros
    stride_in_first_conv(moved)
    moved.load_state_dict(plain.state_dict())
    x = torch.randn(1, 256, 12, 12)
    block, original = moved.model.layer2[0], plain.model.layer2[0]
    hidden = F.relu(original.bn1(F.conv2d(x, original.conv1.weight, stride=2)))
    hidden = F.relu(original.bn2(F.conv2d(hidden, original.conv2.weight, padding=1)))
    expected = F.relu(original.bn3(F.conv2d(hidden, original.conv3.weight)) + original.downsample(x))
    torch.testing.assert_close(block(x), expected)
    assert not torch.allclose(original(x), expected)
    assert [moved.model.layer1[0].conv1.stride, moved.model.layer3[1].conv1.stride] == [(1, 1), (1, 1)]


def test_rows_of_class_heads():
    model = PanopticFCN(TINY, 5, THINGS)
    rows = model.class_rows(THINGS)
    assert rows.keys() == model.class_heads()
    assert rows["position_head.things.weight"] == (1, 2, 4)
    assert rows["position_head.stuff.bias"] == (-1, 0, 3)
    state = model.state_dict()
    assert all(len(state[name]) == len(of) for name, of in rows.items())
    by_class = PanopticFCN(replace(TINY, thing_regions="by_class"), 5, THINGS)
    assert by_class.class_rows(THINGS)["position_head.stuff.weight"] == (0, 1, 2, 3, 4)
    assert by_class.class_rows((True, False))["position_head.stuff.weight"] == (-1, 1)
    assert model.class_rows((False, False)).keys() == {"position_head.stuff.weight", "position_head.stuff.bias"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 48}, "model.channels: 48"),
        ({"channels": 32}, "at least 64"),
        ({"levels": 6}, "model.levels: 6"),
        ({"candidates": 0}, "model.candidates"),
        ({"frozen_stages": 6}, "model.frozen_stages is 6"),
        ({"stride_in_1x1": True}, "model.stride_in_1x1"),
        ({"backbone": "test_convnext", "frozen_stages": 1}, "only ResNets"),
    ],
)
def test_bad_configs_are_told_in_one_sentence(changes, words):
    with pytest.raises(UserError, match=words) as error:
        PanopticFCN(replace(TINY, **changes), 5, THINGS)
    assert "\n" not in str(error.value)
