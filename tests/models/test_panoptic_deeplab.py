"""Panoptic-DeepLab against the counts of SWideRNet's tables, the network written out, and its contract."""

import math
import os
from dataclasses import replace

import pydantic
import pytest
import torch
import torch.nn.functional as F
from model_contract import ModelContract, assert_same, randomise
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from pantile.backbones import SWideRNetConfig
from pantile.contracts.errors import UserError
from pantile.models import PanopticDeepLabConfig, create_model, fold_batch_norms, panoptic_deeplab_nano_config
from pantile.models.cost import count_cost

TINY = replace(
    panoptic_deeplab_nano_config(),
    semantic_width=16,
    semantic_projections=(6, 4),
    instance_width=12,
    instance_decoder_width=8,
    instance_projections=(4, 2),
    head_width=6,
)


class TestContract(ModelContract):
    def config(self):
        return replace(TINY, backbone="test_resnet")

    def check_shapes(self, output, num_classes, images):
        batch, _, height, width = images.shape
        fine = (math.ceil(height / 4), math.ceil(width / 4))
        assert output.semantic_logits.shape == (batch, num_classes, *fine)
        assert output.center_heatmap.shape == (batch, 1, *fine)
        assert output.center_offset.shape == (batch, 2, *fine)
        assert output.num_classes == num_classes


class TestContractWithSWideRNet(TestContract):
    test_compiles_without_a_graph_break = test_exports = None  # slow, and the code is the same

    def config(self):
        return replace(TINY, regime="strong", decoder_kernels=(3, 3))


class WithoutInitialisation(TorchFunctionMode):
    """In-place operations do nothing: they change no shape, and take half of the time on the meta device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        if name.endswith("_") and not name.endswith("__"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


MODELS = {}


def meta_model(num_classes=133, **changes):
    """Not to be changed: tests with the same config share it."""
    config = PanopticDeepLabConfig(**changes)
    key = num_classes, repr(config)
    if key not in MODELS:
        with torch.device("meta"), WithoutInitialisation():
            MODELS[key] = create_model(config, num_classes)
    return MODELS[key]


def parameters(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


FAST = {"regime": "fast"}
NO_SE = SWideRNetConfig(squeeze_excite=False)
MULTI_GRID = SWideRNetConfig(multi_grid=True)
COCO, CITYSCAPES = (641, 641), (1025, 2049)
ROWS = {
    # name: (config, input size, paper's parameters in millions, exact ones with 133 and 19 classes where another count
    # of them exists, plain convolution multiply-adds in billions)
    "WR-41": ({"backbone": "wr41"}, COCO, 147.32, (147_299_272, 147_269_974), 635.32),
    "+MG": ({"backbone": "wr41", "swidernet": MULTI_GRID}, COCO, 147.32, (147_299_272, 147_269_974), 635.32),
    "+SAC": ({"backbone": "swidernet_1_1_1", "swidernet": NO_SE}, COCO, 151.26, (151_237_579, 151_208_281), 659.12),
    "+SAC+SE": ({"backbone": "swidernet_1_1_1"}, COCO, 168.77, (168_748_747, 168_719_449), 659.14),
    "+SAC+SE+sep": ({"backbone": "swidernet_1_1_1", **FAST}, COCO, 136.92, (136_900_187, 136_870_889), 495.83),
    "(1,1.5,1)": ({"backbone": "swidernet_1_1.5_1"}, COCO, 345.75, (345_731_915,), 1171.69),
    "(1,2,1)": ({"backbone": "swidernet_1_2_1"}, COCO, 587.35, (587_333_579,), 1877.55),
    "(1,1,2)": ({"backbone": "swidernet_1_1_2"}, COCO, 302.33, (), 1095.29),
    "(1,1,3)": ({"backbone": "swidernet_1_1_3"}, COCO, 435.90, (435_879_121,), 1531.44),
    "(1,1,4)": ({"backbone": "swidernet_1_1_4"}, COCO, 569.46, (569_444_308,), 1967.59),
    "(1,1,5)": ({"backbone": "swidernet_1_1_5"}, COCO, 703.03, (), 2403.73),
    "(1,1,5.5)": ({"backbone": "swidernet_1_1_5.5"}, COCO, 752.53, (752_514_520,), 2580.08),
    "(1,1,6)": ({"backbone": "swidernet_1_1_6"}, COCO, 836.59, (), 2839.88),
    "(1,1.5,2)": ({"backbone": "swidernet_1_1.5_2"}, COCO, 646.22, (), 2153.02),
    "(1,1.5,3)": ({"backbone": "swidernet_1_1.5_3"}, COCO, 946.69, (), 3134.35),
    "(1,1,3) 1025": ({"backbone": "swidernet_1_1_3"}, (1025, 1025), 435.90, (435_879_121,), 3877.83),
    "(1,1,4) 1025": ({"backbone": "swidernet_1_1_4"}, (1025, 1025), 569.46, (569_444_308,), 4981.46),
}
#: rows that differ from others in depth or size alone; `make sizes` counts them too
DEEP_ROWS = ("(1,1,4)", "(1,1,5)", "(1,1,6)", "(1,1.5,2)", "(1,1.5,3)", "(1,1,4) 1025")
FAST_ROWS = {
    # name: (backbone, parameters with 133 and 19 classes, multiply-adds on COCO with 201 and Cityscapes with 19)
    "(.25,.25,.75)": ("swidernet_0.25_0.25_0.75", 7_757_482, 7_728_184, 31.13, 151.09),
    "(.25,.35,.75)": ("swidernet_0.25_0.35_0.75", 13_367_774, 13_338_476, 46.48, 228.25),
    "(.25,.35,1)": ("swidernet_0.25_0.35_1", 18_813_002, 18_783_704, 64.20, 317.53),
    "(.25,.5,1)": ("swidernet_0.25_0.5_1", 36_169_515, 36_140_217, 115.21, 574.15),
    "(.25,.75,1)": ("swidernet_0.25_0.75_1", 77_949_291, 77_919_993, 238.54, 1194.61),
}


@pytest.mark.parametrize("name", [name for name in ROWS if name not in DEEP_ROWS or os.environ.get("PANTILE_SIZES")])
def test_parameters_and_multiply_adds_of_tables_3_and_4(name):
    """The paper's counts imply 201 classes (the raw ids of COCO), to its printed digits; a class has 257 parameters."""
    config, size, millions, exact, giga = ROWS[name]
    cost = count_cost(meta_model(201, **config), size)
    assert round(cost.parameters / 1e6, 2) == millions
    assert cost.training_only_parameters == 0
    with_133_and_19 = [cost.parameters - fewer * 257 for fewer in (201 - 133, 201 - 19)]
    assert with_133_and_19[0] == pytest.approx(millions * 1e6, rel=2e-4)
    assert with_133_and_19[: len(exact)] == list(exact)
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, rel=2e-4)


@pytest.mark.parametrize("name", FAST_ROWS)
def test_parameters_and_multiply_adds_of_table_5(name):
    """One model for both data sets: a class costs 257 parameters, and 256 multiply-adds per pixel at stride 4."""
    backbone, coco, cityscapes, giga_coco, giga_cityscapes = FAST_ROWS[name]
    model = meta_model(19, backbone=backbone, **FAST)
    count = parameters(model)
    assert (count + (133 - 19) * 257, count) == (coco, cityscapes)
    with_201 = count_cost(model, COCO).multiply_adds + (201 - 19) * 256 * 161**2
    assert with_201 / 1e9 == pytest.approx(giga_coco, rel=2e-4)
    assert count_cost(model, CITYSCAPES).multiply_adds / 1e9 == pytest.approx(giga_cityscapes, rel=2e-4)


def test_exact_parameters_of_the_cityscapes_backbone():
    assert parameters(meta_model(backbone="swidernet_1_1_4.5")) == 618_949_333


def test_parameters_of_every_part():
    """ResNet-50's features have the channels of SWideRNet-(1, 1, l)."""
    model = meta_model()
    assert parameters(model) - parameters(model.backbone) == 38_285_192
    assert parameters(model.semantic_decoder.aspp) == parameters(model.instance_decoder.aspp) == 15_535_104
    assert parameters(model.semantic_decoder) == 19_468_480
    assert parameters(model.semantic_head) == 1_673_093
    assert parameters(model.instance_decoder) == 16_938_592
    assert (parameters(model.center_head), parameters(model.offset_head)) == (102_497, 102_530)


def test_parameters_of_separable_heads():
    fast, with_norm, one_more = meta_model(**FAST), meta_model(separable_norm=True, **FAST), meta_model(134, **FAST)
    head = parameters(fast) - parameters(fast.backbone)
    assert head == 6_436_632
    assert parameters(with_norm) - parameters(fast) == 27_680
    assert parameters(one_more) - parameters(fast) == 257


def test_parameters_of_the_semantic_branch_in_kmax_deeplab():
    """kMaX-DeepLab's auxiliary head is this branch with an ordinary ASPP and one more class, void."""
    model = meta_model(134, separable_norm=True, separable_aspp=False, **FAST)
    assert parameters(model.semantic_decoder) + parameters(model.semantic_head) == 15_856_742


def test_parameters_of_detectron2s_ordinary_convolutions():
    model = meta_model(decoder_kernels=(3, 3), instance_projections=(64, 32), head_width=128)

    def block(inputs, outputs, size):
        return inputs * outputs * size**2 + 2 * outputs

    fusions = block(320, 128, 3) + block(128, 128, 3) + block(160, 128, 3) + block(128, 128, 3)
    assert parameters(model.instance_decoder) == 15_535_104 + block(512, 64, 1) + block(256, 32, 1) + fusions
    assert parameters(model.offset_head) == 2 * block(128, 128, 3) + 2 * 129


@torch.no_grad()
def by_the_book(model, features):
    """The network from its weights with bare functions; batch norms in eval mode."""

    def block(x, part, dilation=1, act=True):
        conv, norm = part.conv, getattr(part, "norm", None)
        padding = dilation * (conv.kernel_size[0] // 2)
        x = F.conv2d(x, conv.weight, None, 1, padding, dilation, conv.groups)
        if norm is not None:
            scale = norm.weight / (norm.running_var + 1e-3).sqrt()
            x = scale[:, None, None] * (x - norm.running_mean[:, None, None]) + norm.bias[:, None, None]
        return x.clamp(min=0) if act else x

    def wide(x, part, dilation=1):
        if model.config.regime == "strong":
            return block(x, part, dilation)
        middle = model.config.separable_norm
        return block(block(x, part.depthwise, dilation, act=middle), part.pointwise)

    def decoder(part):
        x, aspp = features["res5"], part.aspp
        rates = model.config.aspp_rates
        pooled = block(x.mean((2, 3), keepdim=True), aspp.pool).expand(-1, -1, *x.shape[2:])
        branches = [block(x, aspp.point), *(wide(x, conv, r) for conv, r in zip(aspp.atrous, rates, strict=True))]
        x = block(torch.cat([*branches, pooled], 1), aspp.project)
        for low, project, fuse in (
            (features["res3"], part.project_res3, part.fuse_res3),
            (features["res2"], part.project_res2, part.fuse_res2),
        ):
            x = F.interpolate(x, low.shape[2:], mode="bilinear", align_corners=True)
            x = wide(torch.cat([x, block(low, project)], 1), fuse[0])
        return x

    def head(x, part):
        return F.conv2d(wide(x, part.hidden[0]), part.predictor.weight, part.predictor.bias)

    instance = decoder(model.instance_decoder)
    return head(decoder(model.semantic_decoder), model.semantic_head), *(
        head(instance, part) for part in (model.center_head, model.offset_head)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"regime": "strong", "decoder_kernels": (5,)},
        {"regime": "fast", "decoder_kernels": (3,), "separable_norm": True, "aspp_rates": (1, 2)},
        {"regime": "fast", "separable_norm": False},
    ],
)
def test_network_against_its_description(changes):
    torch.manual_seed(0)
    model = create_model(replace(TINY, **changes), 5).eval()
    with torch.no_grad():
        randomise(model)
        for head in (model.semantic_head, model.center_head, model.offset_head):
            head.predictor.weight.mul_(100)
        images = torch.rand(2, 3, 65, 98)
        output = model(images)
        expected = by_the_book(model, model.backbone(images))
    assert all(theirs.std() > 0.01 for theirs in expected)
    assert_same(maps_of(output), expected, 1e-4)


def maps_of(output):
    return output.semantic_logits, output.center_heatmap, output.center_offset


@pytest.mark.parametrize("size", [(641, 641), (1025, 1025), (1025, 2049), (640, 427)])
def test_shapes_at_full_size(size):
    model = meta_model(7, backbone="swidernet_0.25_0.25_0.75", **FAST)
    output = model(torch.empty(1, 3, *size, device="meta"))
    fine = tuple(math.ceil(side / 4) for side in size)
    assert [tuple(map_.shape) for map_ in maps_of(output)] == [(1, n, *fine) for n in (7, 1, 2)]


@pytest.mark.parametrize("output_stride", [16, 32])
@pytest.mark.parametrize(
    "backbone", ["resnet50", "mobilenetv3_small_100", "mobilenetv3_large_100", "convnext_tiny", "swidernet_0.25_0.25_1"]
)
def test_backbones(backbone, output_stride):
    model = meta_model(4, backbone=backbone, output_stride=output_stride)
    coarse = {}
    model.semantic_decoder.aspp.register_forward_hook(lambda _, inputs, __: coarse.update(size=inputs[0].shape[2:]))
    output = model(torch.empty(1, 3, 129, 161, device="meta"))
    assert output.semantic_logits.shape == (1, 4, 33, 41)
    assert tuple(coarse["size"]) == tuple(math.ceil(side / output_stride) for side in (129, 161))


def test_offsets_keep_their_precision_under_autocast():
    torch.manual_seed(0)
    model = create_model(TINY, 3).eval()
    with torch.no_grad():
        model.offset_head.predictor.bias.fill_(100.3)
        model.offset_head.predictor.weight.zero_()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(torch.rand(1, 3, 65, 65))
    assert all(map_.dtype == torch.float32 for map_ in maps_of(output))
    assert (output.center_offset - 100.3).abs().max() < 1e-4


def test_batch_norms_fold_away():
    """All but the one behind the switchable atrous convolution, which is more than a convolution."""
    torch.manual_seed(0)
    model = create_model(TINY, 3).eval()
    with torch.no_grad():
        randomise(model)
        folded = fold_batch_norms(model)
        images = torch.rand(2, 3, 65, 81)
        assert_same(model(images), folded(images), 1e-4)
    assert sum(isinstance(module, _BatchNorm) for module in folded.modules()) == 1


def test_initialisation():
    torch.manual_seed(0)
    model = create_model(PanopticDeepLabConfig(backbone="test_resnet"), 30)
    truncation = 0.8796  # std of a unit normal cut at two
    for weight, std in (
        (model.semantic_head.predictor.weight, 0.01),
        (model.semantic_decoder.fuse_res2[0].conv.weight, math.sqrt(2 / (288 * 25))),
        (model.semantic_decoder.aspp.atrous[0].conv.weight, math.sqrt(2 / (model.backbone.channels["res5"] * 9))),
    ):
        assert weight.std().item() == pytest.approx(truncation * std, rel=0.03)
    assert (model.center_head.predictor.bias == 0).all()


def test_batch_norms_share_eps_and_momentum():
    norms = [m for m in meta_model().modules() if isinstance(m, _BatchNorm)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}


def test_class_heads_are_the_tensors_with_a_row_per_class():
    model = create_model(TINY, 37)
    state = model.state_dict()
    assert model.class_heads() == {name for name, tensor in state.items() if 37 in tensor.shape[:1]}


def test_nano_is_small():
    assert count_cost(create_model(panoptic_deeplab_nano_config(), 20), 193).parameters <= 2_000_000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decoder_kernels": (4,)}, "decoder_kernels"),
        ({"decoder_kernels": ()}, "decoder_kernels"),
        ({"aspp_rates": ()}, "aspp_rates"),
        ({"aspp_rates": (0, 6)}, "aspp_rates"),
        ({"backbone": "resnet5"}, "resnet5"),
    ],
)
def test_bad_configs_are_told_in_one_sentence(changes, words):
    with pytest.raises(UserError, match=words) as error:
        create_model(replace(TINY, **changes), 3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("field", ["regime", "architecture"])
def test_unknown_choices_are_refused_by_the_config(field):
    with pytest.raises(pydantic.ValidationError, match=r"'strong'|'panoptic_deeplab'"):
        pydantic.TypeAdapter(PanopticDeepLabConfig).validate_python({field: "medium"})


@pytest.mark.parametrize("size", [(16, 65), (65, 1)])
def test_images_below_one_cell_are_refused(size):
    model = create_model(TINY, 3).eval()
    with pytest.raises(UserError, match=f"{size[0]}x{size[1]}.*larger than 16"):
        model(torch.rand(1, 3, *size))
