"""Backbones against timm's own feature extraction and the published channel counts."""

import math

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from pantile.backbones import create_backbone
from pantile.contracts.errors import UserError

CHANNELS = {
    "resnet50": {"stem": 64, "res2": 256, "res3": 512, "res4": 1024, "res5": 2048},
    "resnet18": {"stem": 64, "res2": 64, "res3": 128, "res4": 256, "res5": 512},
    "mobilenetv3_small_100": {"stem": 16, "res2": 16, "res3": 88, "res4": 144, "res5": 576},
    "mobilenetv3_large_100": {"stem": 16, "res2": 72, "res3": 120, "res4": 672, "res5": 960},
    "convnext_tiny": {"stem": 96, "res2": 96, "res3": 192, "res4": 384, "res5": 768},
    "convnext_base": {"stem": 128, "res2": 128, "res3": 256, "res4": 512, "res5": 1024},
    "swin_tiny_patch4_window7_224": {"res2": 96, "res3": 192, "res4": 384, "res5": 768},
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_strides_and_sizes(name):
    with torch.device("meta"):
        backbone = create_backbone(name).eval()
        height, width = (224, 224) if "swin" in name else (641, 417)
        features = backbone(torch.empty(2, 3, height, width))
    assert backbone.channels == CHANNELS[name]
    assert features.keys() >= backbone.channels.keys()
    for feature, stride in backbone.strides.items():
        expected = (2, backbone.channels[feature], math.ceil(height / stride), math.ceil(width / stride))
        assert tuple(features[feature].shape) == expected, feature


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("resnet50", ["res5", "res4", "res3", "stem", "res2"]),
        ("convnext_tiny", ["res5", "res4", "res3", "res2", "stem"]),
    ],
)
def test_decoder_order(name, order):
    with torch.device("meta"):
        assert list(create_backbone(name).channels) == order


@pytest.mark.parametrize("name", ["resnet50", "convnext_tiny", "mobilenetv3_large_100", "mobilenetv3_small_100"])
def test_every_parameter_is_used(name):
    torch.manual_seed(0)
    backbone = create_backbone(name)
    features = backbone(torch.randn(1, 3, 65, 65))
    sum(feature.square().mean() for feature in features.values()).backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None] == []


DILATED = ["resnet18", "convnext_atto", "mobilenetv3_small_100", "mobilenetv3_large_100", "regnetx_002"]


@pytest.mark.parametrize("name", DILATED)
def test_sizes_at_output_stride_16(name):
    with torch.device("meta"):
        backbone = create_backbone(name, output_stride=16).eval()
        plain = create_backbone(name)
    assert backbone.channels == plain.channels
    assert backbone.strides == plain.strides | {"res5": 16}
    for size in ((641, 417), (65, 97), (64, 96)):
        features = backbone(torch.empty(2, 3, *size, device="meta"))
        for feature, stride in backbone.strides.items():
            expected = (2, backbone.channels[feature], *(math.ceil(length / stride) for length in size))
            assert tuple(features[feature].shape) == expected, (feature, size)


@pytest.mark.parametrize("name", DILATED)
def test_output_stride_16_samples_the_same_function_twice_as_densely(name):
    """Every second pixel of the dense map is the coarse map, borders included, once nothing averages over pixels."""
    torch.manual_seed(0)
    coarse, dense = create_backbone(name).eval().double(), create_backbone(name, output_stride=16).eval().double()
    dense.load_state_dict(coarse.state_dict())
    for module in (*coarse.modules(), *dense.modules()):
        if hasattr(module, "se"):
            module.se = torch.nn.Identity()
    for size in ((65, 97), (97, 65)):
        x = torch.randn(1, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            expected, features = coarse(x), dense(x)
        torch.testing.assert_close(features.pop("res5")[:, :, ::2, ::2], expected.pop("res5"))
        torch.testing.assert_close(features, expected)


def test_weights_and_drop_path_reach_the_dilated_blocks(tmp_path):
    torch.manual_seed(0)
    source = timm.create_model("mobilenetv3_small_100")
    path = tmp_path / "small.safetensors"
    save_file(source.state_dict(), path)
    options = {"weights_file": str(path), "drop_path": 0.5}
    coarse = create_backbone("mobilenetv3_small_100", **options)
    dense = create_backbone("mobilenetv3_small_100", **options, output_stride=16)
    expected = {name: t for name, t in source.state_dict().items() if name.startswith(("blocks", "conv_stem", "bn1"))}
    torch.testing.assert_close(dict(dense.model.state_dict()), expected, rtol=0, atol=0)
    rates = [
        [getattr(block.drop_path, "drop_prob", 0.0) for stage in backbone.model.blocks for block in stage]
        for backbone in (coarse, dense)
    ]
    assert rates[0] == rates[1]
    assert rates[1][-2] > 0.3


def test_resnet_is_timms():
    torch.manual_seed(0)
    backbone = create_backbone("resnet18").eval()
    reference = timm.create_model("resnet18", features_only=True).eval()
    reference.load_state_dict(backbone.model.state_dict())
    x = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        ours, theirs = backbone(x), reference(x)
    for name, expected in zip(("res2", "res3", "res4", "res5"), theirs[1:], strict=True):
        torch.testing.assert_close(ours[name], expected)
    torch.testing.assert_close(ours["stem"], F.max_pool2d(theirs[0], 3, 2, 1))


def test_mobilenet_taps_are_inputs_of_squeeze_and_excitation():
    torch.manual_seed(0)
    backbone = create_backbone("mobilenetv3_large_100").eval()
    reference = timm.create_model("mobilenetv3_large_100").eval()
    reference.load_state_dict(backbone.model.state_dict(), strict=False)
    taps = {}
    last_blocks = {"res2": reference.blocks[1][-1], "res3": reference.blocks[2][-1], "res4": reference.blocks[4][-1]}
    for name, block in last_blocks.items():
        block.se.register_forward_pre_hook(lambda _, args, name=name: taps.update({name: args[0].clone()}))
    x = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        ours, res5 = backbone(x), reference.blocks(reference.bn1(reference.conv_stem(x)))
    torch.testing.assert_close(ours["res5"], res5)
    for name, expected in taps.items():
        torch.testing.assert_close(ours[name], expected)
    assert taps.keys() == last_blocks.keys()


def test_convnext_pads_as_documented():
    """By hand: zeros around the image, and to the right and bottom before each downsampling."""
    torch.manual_seed(0)
    backbone = create_backbone("convnext_atto").eval()
    model = backbone.model
    x = torch.randn(1, 3, 65, 65)
    padded = torch.zeros(1, 3, 68, 68)
    padded[:, :, 1:66, 1:66] = x
    with torch.no_grad():
        features = backbone(x)
        y = model.stem(padded)
        torch.testing.assert_close(features["stem"], y)
        y = model.stages[0].blocks(y)
        torch.testing.assert_close(features["res2"], y)
        wider = torch.zeros(1, y.shape[1], 18, 18)
        wider[:, :, :17, :17] = y
        y = model.stages[1].blocks(model.stages[1].downsample(wider))
    torch.testing.assert_close(features["res3"], y)


def test_weights_from_a_file(tmp_path):
    torch.manual_seed(0)
    source = timm.create_model("resnet18")
    save_file(source.state_dict(), tmp_path / "r18.safetensors")
    backbone = create_backbone("resnet18", weights_file=str(tmp_path / "r18.safetensors"), in_channels=3)
    torch.testing.assert_close(backbone.model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)
    gray = create_backbone("resnet18", weights_file=str(tmp_path / "r18.safetensors"), in_channels=1)
    torch.testing.assert_close(gray.model.conv1.weight, source.conv1.weight.sum(1, keepdim=True))


def test_drop_path_reaches_the_blocks():
    backbone = create_backbone("convnext_atto", drop_path=0.5)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for stage in backbone.model.stages for block in stage.blocks]
    assert rates[0] == 0.0
    assert rates[-1] == pytest.approx(0.5)
    assert rates == sorted(rates)


def test_drop_path_reaches_whatever_timm_gives_it_to():
    for name in ("resnet18", "regnety_002", "tf_efficientnet_lite0", "swin_nano_patch4_window7_224"):
        with torch.device("meta"):
            backbone = create_backbone(name, drop_path=0.3)
        assert max(getattr(module, "drop_prob", 0.0) for module in backbone.modules()) > 0.25, name


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet51", {}, "no model named 'resnet51'"),
        ("ghostnet_050", {"drop_path": 0.1}, r"model\.backbone_drop_path: timm's ghostnet_050 has no stochastic depth"),
        ("resnet18", {"weights_file": "/nowhere/r18.pth"}, "no file /nowhere/r18.pth"),
        ("xcit_nano_12_p8_224", {}, r"xcit_nano_12_p8_224 .*docs/backbones\.md"),
        ("test_vit", {"output_stride": 16}, r"model\.output_stride: the pyramid of a vision transformer ends at 32"),
        ("resnet18", {"image_size": (64, 64)}, r"model\.image_size is for vision transformers"),
        ("resnet18.no_such_weights", {}, "no_such_weights"),
        ("swin_tiny_patch4_window7_224", {"output_stride": 16}, "cannot build swin_tiny_patch4_window7_224 at 16"),
        ("dla34", {"output_stride": 16}, r"model\.output_stride: timm cannot build dla34 at 16; set it to 32"),
        ("resnet18", {"output_stride": 4}, "model.output_stride is 4; give 32 or 16"),
        ("convnext_atto", {"output_stride": 8}, "which only ResNets can have"),
    ],
)
def test_errors_name_the_remedy(name, options, words):
    with pytest.raises(UserError, match=words) as error:
        create_backbone(name, **options)
    assert "\n" not in str(error.value)


def test_no_network_is_told(monkeypatch):
    def unreachable(*_, **__):
        raise ConnectionError("no route to host")

    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: unreachable() if k.get("pretrained") else real(*a, **k))
    with pytest.raises(UserError, match=r"resnet18.*set model\.pretrained to false"):
        create_backbone("resnet18", pretrained=True)


def test_broken_weights_file_is_told(tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match=r"bad\.pth"):
        create_backbone("resnet18", weights_file=str(tmp_path / "bad.pth"))


@pytest.mark.parametrize("name", ["regnety_002", "resnet26", "mobilenetv3_small_050"])
def test_weights_of_another_network_are_refused(name, tmp_path):
    """Of a network whose features alone are built, timm would load none of them without a word."""
    torch.save(timm.create_model("resnet18").state_dict(), tmp_path / "resnet18.pth")
    with pytest.raises(UserError, match=f"could not load weights of {name} from .*resnet18.pth"):
        create_backbone(name, weights_file=str(tmp_path / "resnet18.pth"))


def test_weights_of_a_network_of_which_the_features_are_built(tmp_path):
    whole = timm.create_model("regnety_002")
    torch.save(whole.state_dict(), tmp_path / "own.pth")
    own = create_backbone("regnety_002", weights_file=str(tmp_path / "own.pth")).state_dict()
    assert torch.equal(own["model.stem.conv.weight"], whole.state_dict()["stem.conv.weight"])
