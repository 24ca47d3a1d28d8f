"""SWideRNet against the published sizes (counted to the last parameter), its formulas, and itself at other strides."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pantile.backbones import SWideRNet, SWideRNetClassifier, SWideRNetConfig, create_backbone, wr41
from pantile.backbones.swidernet import ResidualBlock, blocks_of
from pantile.contracts.errors import UserError
from pantile.layers.switchable_atrous import SwitchableAtrousConv2d

TINY = {"w1": 0.125, "w2": 1 / 64, "drop_path": 0.0}


def meta(config: SWideRNetConfig, **options) -> SWideRNet:
    with torch.device("meta"):
        return SWideRNet(config, **options)


def tiny(**options) -> SWideRNet:
    """Small, with every batch norm in the middle of its range, so that every branch counts."""
    build = {name: options.pop(name) for name in ("output_stride", "in_channels") if name in options}
    torch.manual_seed(0)
    network = SWideRNet(SWideRNetConfig(**TINY | options), **build)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return network


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (wr41(), 109_014_080),
        (SWideRNetConfig(l=3, squeeze_excite=False, switchable_atrous=False), 333_245_504),
        (SWideRNetConfig(l=4.5, squeeze_excite=False, switchable_atrous=False), 487_453_760),
        (SWideRNetConfig(squeeze_excite=False), 112_952_387),
        (SWideRNetConfig(), 130_463_555),
        (SWideRNetConfig(l=3), 397_593_929),
        (SWideRNetConfig(l=4), 531_159_116),
        (SWideRNetConfig(l=4.5), 580_664_141),
        (SWideRNetConfig(l=5.5), 714_229_328),
        (SWideRNetConfig(w2=1.5), 292_211_651),
        (SWideRNetConfig(w2=2), 518_578_243),
        (SWideRNetConfig(0.25, 0.25, 0.75), 5_382_034),
        (SWideRNetConfig(0.25, 0.35, 0.75), 10_452_974),
        (SWideRNetConfig(0.25, 0.35, 1), 15_898_202),
        (SWideRNetConfig(0.25, 0.5, 1), 32_440_339),
        (SWideRNetConfig(0.25, 0.75, 1), 72_866_387),
    ],
    ids=lambda value: f"{value.w1:g}_{value.w2:g}_{value.l:g}" if isinstance(value, SWideRNetConfig) else "",
)
def test_published_sizes(config, expected):
    assert parameters(meta(config)) == expected


@pytest.mark.parametrize("options", [{}, {"squeeze_excite": False, "switchable_atrous": False, "l": 1 / 3}])
def test_layout_and_output_stride_need_no_other_weights(options):
    expected = {name: t.shape for name, t in tiny(**options).state_dict().items()}
    for layout in ("paper", "deeplab2"):
        for output_stride in (16, 32):
            network = tiny(**options, layout=layout, output_stride=output_stride)
            assert {name: t.shape for name, t in network.state_dict().items()} == expected


def test_sizes_of_stages_and_first_blocks():
    network = meta(SWideRNetConfig())
    assert [parameters(getattr(network, f"conv{i}")) for i in range(1, 7)] == [
        *(1_856, 820_992, 3_477_760, 28_852_224, 55_591_936, 41_718_787),
    ]
    blocks = [[parameters(block) for block in getattr(network, f"conv{i}")] for i in range(2, 7)]
    assert blocks == [
        [230_144, 295_424, 295_424],
        [984_832, 1_246_464, 1_246_464],
        [3_935_744, *[4_983_296] * 5],
        [15_735_808, 19_928_064, 19_928_064],
        [14_957_569, 13_380_609, 13_380_609],
    ]


def test_steps_of_the_family():
    """Table 4's and Table 3's differences, which no decoder takes part in."""
    for w2, step in ((1, 133_565_187), (1.5, 300_470_403)):
        sizes = [parameters(meta(SWideRNetConfig(w2=w2, l=l))) for l in (1, 2, 3)]  # noqa: E741
        assert sizes[2] - sizes[1] == sizes[1] - sizes[0] == step
    plain = parameters(meta(wr41()))
    assert parameters(meta(SWideRNetConfig(switchable_atrous=False))) - plain == 17_511_168
    assert parameters(meta(SWideRNetConfig(squeeze_excite=False))) - plain == 3_938_307


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(5.5, (16, 33, 16, 16)), (4.5, (13, 27, 13, 13)), (0.75, (2, 4, 2, 2)), (0.35, (1, 2, 1, 1))],
)
def test_blocks_are_truncated(factor, expected):
    assert blocks_of(SWideRNetConfig(l=factor)) == expected
    network = meta(SWideRNetConfig(0.25, 0.25, factor))
    assert tuple(len(getattr(network, f"conv{i}")) for i in range(3, 7)) == expected
    assert len(network.conv2) == 3


def test_channels_are_truncated():
    network = meta(SWideRNetConfig(0.25, 0.35, 1))
    assert network.channels == {"res5": 716, "res4": 358, "res3": 179, "res2": 89, "stem": 16}


def multiply_adds(config: SWideRNetConfig) -> float:
    counter = FlopCounterMode(display=False)
    network = meta(config, output_stride=16).eval()
    with torch.no_grad(), counter:
        network(torch.empty(1, 3, 641, 641, device="meta"))
    return counter.get_total_flops() / 2e9


def test_multiply_adds_at_output_stride_16():
    """Differences of whole Panoptic-DeepLab models (Tables 3 and 4, dilated convolutions counted plainly, in 1e9)."""
    baseline, full, deeper, wider = map(
        multiply_adds, (wr41(), SWideRNetConfig(), SWideRNetConfig(l=2), SWideRNetConfig(w2=1.5))
    )
    assert full - baseline == pytest.approx(659.14 - 635.32, abs=0.011)
    assert deeper - full == pytest.approx(1095.29 - 659.14, abs=0.011)
    assert multiply_adds(wr41(multi_grid=True)) == baseline
    # a wider backbone makes the decoder's first convolutions dearer: two ASPPs, and the projections of res3 and res2
    aspps = 2 * 1024 * 256 * ((1 + 3 * 9) * 41**2 + 1)
    projections = 256 * (64 + 32) * 81**2 + 128 * (32 + 16) * 161**2
    assert wider - full == pytest.approx(1171.69 - 659.14 - (aspps + projections) / 1e9, abs=0.011)


@pytest.mark.parametrize("layout", ["paper", "deeplab2"])
@pytest.mark.parametrize("output_stride", [16, 32])
def test_feature_sizes(layout, output_stride):
    network = meta(SWideRNetConfig(layout=layout), output_stride=output_stride)
    assert network.channels == {"res5": 2048, "res4": 1024, "res3": 512, "res2": 256, "stem": 64}
    assert network.strides == {"res5": output_stride, "res4": 16, "res3": 8, "res2": 4, "stem": 2}
    for size in ((641, 641), (65, 97), (64, 70)):
        features = network(torch.empty(2, 3, *size, device="meta"))
        assert features.keys() == network.channels.keys()
        for name, stride in network.strides.items():
            expected = (2, network.channels[name], *(math.ceil(length / stride) for length in size))
            assert tuple(features[name].shape) == expected, (name, size)


def strided(network: SWideRNet) -> list[str]:
    """Names of the strided convolutions after the first."""
    convolutions = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    return [name for name, conv in convolutions[1:] if conv.stride != (1, 1)]


def test_where_the_strides_are():
    plain = {"squeeze_excite": False, "switchable_atrous": False, "l": 1}
    paper = [f"conv{i}.{last}.rest.0" for i, last in ((3, 2), (4, 5), (5, 2))]
    assert strided(tiny(**plain)) == paper
    assert strided(tiny(**plain, output_stride=16)) == paper[:2]
    first = [f"conv{i}.0.{part}" for i in (3, 4, 5) for part in ("first.0", "projection.0")]
    bottleneck = ["conv6.0.rest.0", "conv6.0.projection.0"]
    assert strided(tiny(**plain, layout="deeplab2")) == first + bottleneck
    assert strided(tiny(**plain, layout="deeplab2", output_stride=16)) == first


def rates(network: SWideRNet, stage: str) -> list[int]:
    return [
        max(m.dilation[0] for m in block.modules() if isinstance(m, nn.Conv2d)) for block in getattr(network, stage)
    ]


@pytest.mark.parametrize("switchable_atrous", [True, False])
@pytest.mark.parametrize(
    ("options", "output_stride", "expected"),
    [
        ({}, 32, [1, 1, 1]),
        ({}, 16, [2, 2, 2]),
        ({"multi_grid": True}, 16, [2, 4, 8]),
        ({"multi_grid": True}, 32, [1, 2, 4]),
        ({"multi_grid": True, "l": 5 / 3}, 16, [2, 2, 2, 4, 8]),
        ({"layout": "deeplab2"}, 16, [1, 2, 2]),
        ({"layout": "deeplab2"}, 32, [1, 1, 1]),
    ],
)
def test_atrous_rates(options, output_stride, expected, switchable_atrous):
    network = tiny(**options, switchable_atrous=switchable_atrous, output_stride=output_stride)
    assert rates(network, "conv6") == expected
    for stage in ("conv3", "conv4", "conv5"):
        assert set(rates(network, stage)) == {1}
    switches = [type(m) is SwitchableAtrousConv2d for m in network.modules()]
    assert sum(switches) == (len(expected) if switchable_atrous else 0)


@pytest.mark.parametrize("layout", ["paper", "deeplab2"])
@pytest.mark.parametrize("factor", [1, 1 / 3])
def test_output_stride_16_samples_the_same_function_twice_as_densely(layout, factor):
    """Without what averages over pixels, every second pixel of the dense map is the coarse map."""
    plain = {"squeeze_excite": False, "switchable_atrous": False, "layout": layout, "l": factor}
    coarse, dense = tiny(**plain).eval(), tiny(**plain, output_stride=16).eval()
    dense.load_state_dict(coarse.state_dict())
    images = torch.randn(1, 3, 97, 65)
    with torch.no_grad():
        expected, features = coarse(images), dense(images)
    torch.testing.assert_close(features["res5"][:, :, ::2, ::2], expected["res5"])
    torch.testing.assert_close(features["res2"], expected["res2"])
    torch.testing.assert_close(features["res3"], expected["res3"])


def conv_norm(x, conv, norm, stride=1, rate=1):
    pad = rate * (conv.weight.shape[-1] // 2)
    y = F.conv2d(F.pad(x, [pad] * 4), conv.weight, stride=stride, dilation=rate)
    scale = norm.weight / (norm.running_var + 1e-3).sqrt()
    return (y - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def naive_block(block: ResidualBlock, x, stride=1, rate=1):
    """A basic block or a bottleneck (the stride in the second convolution), from its formula."""
    convolutions = [m for m in (*block.first, *block.rest) if isinstance(m, nn.Conv2d)]
    norms = [m for m in (*block.first, *block.rest) if isinstance(m, nn.BatchNorm2d)]
    y = x
    for i, (conv, norm) in enumerate(zip(convolutions, norms, strict=True)):
        if i > 0:
            y = y.clamp(min=0)
        spatial = conv.weight.shape[-1] == 3
        y = conv_norm(y, conv, norm, stride if i == 1 else 1, rate if spatial else 1)
    if hasattr(block.squeeze_excite, "fc"):
        fc = block.squeeze_excite.fc
        gate = y.mean((2, 3)) @ fc.weight[:, :, 0, 0].T + fc.bias
        y = y * ((gate + 3).clamp(0, 6) / 6)[:, :, None, None]
    if block.projection is None:
        shortcut = x[:, :, ::stride, ::stride]
    else:
        shortcut = conv_norm(x, *block.projection, stride)
    return (shortcut + y).clamp(min=0)


@pytest.mark.parametrize("squeeze_excite", [True, False])
def test_the_paper_layout_by_its_formula(squeeze_excite):
    network = tiny(squeeze_excite=squeeze_excite, switchable_atrous=False, output_stride=16, l=0.75).eval()
    network.double()
    for module in network.modules():  # gates on both sides of the hard sigmoid's corners
        if squeeze_excite and hasattr(module, "fc"):
            nn.init.normal_(module.fc.bias, std=3.0)
    images = torch.randn(2, 3, 33, 49, dtype=torch.float64)
    with torch.no_grad():
        x = expected_stem = conv_norm(images, *network.conv1, stride=2).clamp(min=0)
        for block in network.conv2:
            x = naive_block(block, x)
        x = F.max_pool2d(F.pad(x, [1] * 4), 3, 2)  # activated, so zeros do not win
        expected = {"stem": expected_stem}
        for name, stage, stride in (("res2", network.conv3, 2), ("res3", network.conv4, 2), ("res4", network.conv5, 1)):
            for block in stage[:-1]:
                x = naive_block(block, x)
            expected[name] = x
            x = naive_block(stage[-1], x, stride)
        for block in network.conv6:
            x = naive_block(block, x, rate=2)
        features = network(images)
    torch.testing.assert_close(features, expected | {"res5": x})


def test_a_stage_of_one_block():
    """Its first convolution's output is the finest map of the stage's width; the block still has its stride."""
    network = tiny(l=0.35, squeeze_excite=False, switchable_atrous=False).eval().double()
    assert len(network.conv3) == len(network.conv5) == 1
    images = torch.randn(1, 3, 65, 65, dtype=torch.float64)
    with torch.no_grad():
        features = network(images)
        x = F.max_pool2d(network.conv2(F.relu(network.conv1(images))), 3, 2, 1)
        block = network.conv3[0]
        expected = conv_norm(x, block.first[0], block.first[1]).clamp(min=0)
        output = naive_block(block, x, stride=2)
        torch.testing.assert_close(features["res2"], expected)
        torch.testing.assert_close(features["res3"], naive_block(network.conv4[0], output))
    for name, stride in network.strides.items():
        side = math.ceil(65 / stride)
        assert tuple(features[name].shape) == (1, network.channels[name], side, side)


def test_the_deeplab2_layout_reads_the_ends_of_stages():
    network = tiny(layout="deeplab2", switchable_atrous=False, squeeze_excite=False, output_stride=16).eval()
    outputs = {}
    for name, stage in (("res2", network.conv3), ("res3", network.conv4), ("res4", network.conv5)):
        stage[-1].register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
    entering = []
    network.conv3[0].register_forward_pre_hook(lambda _, args: entering.append(args[0].shape[-1]))
    with torch.no_grad():
        features = network(torch.randn(1, 3, 65, 65))
    assert entering == [33]  # no pooling
    for name, expected in outputs.items():
        assert features[name] is expected
    assert outputs.keys() == {"res2", "res3", "res4"}


@pytest.mark.parametrize("layout", ["paper", "deeplab2"])
@pytest.mark.parametrize("factor", [0.35, 1])
def test_gradient_reaches_every_parameter(layout, factor):
    network = tiny(layout=layout, l=factor)
    features = network(torch.randn(2, 3, 97, 97))
    sum(feature.square().mean() for feature in features.values()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_initialisation():
    torch.manual_seed(0)
    network = SWideRNet(SWideRNetConfig(**TINY | {"w2": 0.25}))
    for stage in (network.conv2, network.conv3, network.conv6):
        for block in stage:
            assert (block.rest[-1].weight == 0).all()
            assert (block.first[1].weight == 1).all()
    kernel = network.conv5[1].first[0].weight
    assert kernel.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    gate = network.conv5[1].squeeze_excite.fc
    assert gate.weight.std().item() == pytest.approx((1 / 256) ** 0.5, rel=0.02)
    assert (gate.bias == 0).all()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert not any(m.bias is not None for block in network.conv4 for m in block.first if isinstance(m, nn.Conv2d))


@pytest.mark.parametrize(
    ("schedule", "expected"), [("constant", [0.2, 0.2, 0.2, 0.2]), ("linear", [0.05, 0.1, 0.15, 0.2])]
)
def test_drop_path_rates(schedule, expected):
    network = meta(SWideRNetConfig(drop_path_schedule=schedule))
    assert {block.drop_path.drop_prob for block in network.conv2} == {0.0}
    for stage, rate in zip((network.conv3, network.conv4, network.conv5, network.conv6), expected, strict=True):
        assert [block.drop_path.drop_prob for block in stage] == pytest.approx([rate] * len(stage))


def test_drop_path_drops_whole_branches_in_training_only():
    network = tiny(drop_path=0.5, switchable_atrous=False)
    block = network.conv4[2]
    x = torch.rand(64, network.channels["res3"], 3, 3)
    kept = (block(x) - x).abs().flatten(1).amax(1) > 0
    assert 10 < kept.sum() < 54
    assert (block.eval()(x) - x).abs().flatten(1).amax(1).gt(0).all()
    assert torch.equal(block(x), block(x))


def test_classifier_is_the_average_and_one_layer():
    torch.manual_seed(0)
    classifier = SWideRNetClassifier(SWideRNetConfig(**TINY), num_classes=7).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled = classifier.backbone(x)["res5"].flatten(2).mean(2)
        assert pooled.shape == (2, 32)
        torch.testing.assert_close(classifier(x), pooled @ classifier.fc.weight.T + classifier.fc.bias)
    assert classifier.backbone.strides["res5"] == 32


NAME = "swidernet_0.125_0.015625_1"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("whole", [True, False])
def test_weights_of_the_classifier_or_the_backbone(tmp_path, suffix, whole):
    torch.manual_seed(0)
    classifier = SWideRNetClassifier(SWideRNetConfig(**TINY), num_classes=7)
    state = (classifier if whole else classifier.backbone).state_dict()
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    loaded = create_backbone(NAME, weights_file=str(path), output_stride=16)
    assert loaded.state_dict().keys() == classifier.backbone.state_dict().keys()
    for name, expected in classifier.backbone.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], expected, rtol=0, atol=0)
    gray = create_backbone(NAME, weights_file=str(path), in_channels=1)
    torch.testing.assert_close(gray.conv1[0].weight, classifier.backbone.conv1[0].weight.sum(1, keepdim=True))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"squeeze_excite": False}, "squeeze_excite.fc.weight is missing, the first of 30"),
        ({"w2": 1 / 32}, r"conv3\.0\.first\.0\.weight is \(8, 16, 3, 3\) there and \(4, 16, 3, 3\) here"),
        ({"l": 2}, r"conv3\.3\.first\.0\.weight is unknown, the first of 246"),
    ],
)
def test_weights_that_do_not_fit(tmp_path, options, words):
    torch.manual_seed(0)
    other = SWideRNet(SWideRNetConfig(**TINY | options))
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=words) as error:
        create_backbone(NAME, weights_file=str(tmp_path / "other.safetensors"))
    assert "other.safetensors does not fit" in str(error.value)


@pytest.mark.parametrize("name", ["bad.pth", "bad.safetensors"])
def test_a_broken_weights_file_is_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="cannot be read as plain tensors"):
        create_backbone(NAME, weights_file=str(tmp_path / name))
    torch.save({"epoch": 3, "state": {}}, tmp_path / "run.pth")
    with pytest.raises(UserError, match=r"run\.pth is not a state dict"):
        create_backbone(NAME, weights_file=str(tmp_path / "run.pth"))


def test_names_and_options():
    with torch.device("meta"):
        plain = create_backbone("wr41", swidernet=SWideRNetConfig(multi_grid=True, drop_path=0.1))
        assert parameters(plain) == 109_014_080
        assert plain.config == wr41(multi_grid=True, drop_path=0.1)
        deep = create_backbone("swidernet_0.25_0.5_1", output_stride=16, swidernet=SWideRNetConfig(layout="deeplab2"))
        assert deep.config == SWideRNetConfig(0.25, 0.5, 1, layout="deeplab2")
        assert deep.strides["res5"] == 16
        alone = create_backbone("swidernet_1_1_4.5", drop_path=0.0, in_channels=5)
        assert alone.config == SWideRNetConfig(l=4.5, drop_path=0.0)
        assert alone.conv1[0].in_channels == 5
        assert create_backbone("swidernet_1_1_1", drop_path=0.3).conv6[0].drop_path.drop_prob == 0.3


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("swidernet", {}, "'swidernet' is not of the form swidernet_W1_W2_L"),
        ("swidernet_1_1", {}, "not of the form"),
        ("swidernet_1_1_4,5", {}, "not of the form"),
        ("swidernet_1_-1_1", {}, "not of the form"),
        ("swidernet_0_1_1", {}, "swidernet.w1 = 0 leaves no channels in conv1; give a number from 1/64"),
        ("swidernet_1_0.003_1", {}, "swidernet.w2 = 0.003 leaves no channels in conv3"),
        ("swidernet_1_1_0.3", {}, "swidernet.l = 0.3 leaves no blocks in conv3; give a number from 1/3"),
        ("wr41", {"pretrained": True}, "no public PyTorch weights of wr41; .* model.backbone_weights"),
        ("wr41", {"weights_file": "/nowhere/wr41.pth"}, "no file /nowhere/wr41.pth"),
        ("wr41", {"output_stride": 8}, "model.output_stride is 8; give 32 or 16"),
        ("wr41", {"drop_path": 0.1, "swidernet": SWideRNetConfig()}, "stochastic depth is 0.1 and"),
        ("wr41", {"drop_path": 1.0}, "swidernet.drop_path is 1"),
        ("wr41", {"swidernet": SWideRNetConfig(l=3)}, "swidernet.l = 3 does not agree with the backbone 'wr41'"),
        ("wr41", {"swidernet": SWideRNetConfig(layout="slim")}, "swidernet.layout is 'slim'"),
        ("wr41", {"swidernet": SWideRNetConfig(drop_path_schedule="cosine")}, "drop_path_schedule is 'cosine'"),
        ("swidernet_1_1_0.75", {"swidernet": SWideRNetConfig(multi_grid=True)}, "multi_grid needs three blocks"),
    ],
)
def test_errors_name_the_remedy(name, options, words):
    with pytest.raises(UserError, match=words) as error, torch.device("meta"):
        create_backbone(name, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("factor", ["w1", "w2", "l"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_scale_factors_must_be_positive_numbers(factor, value):
    with pytest.raises(UserError, match=f"swidernet.{factor} = "):
        SWideRNet(SWideRNetConfig(**{factor: value}))
