"""The original Panoptic FCN's files into ours: names and shapes from its layout, values by running the original's way.

The network of the original is written down here a second time, on its own names and on BGR images.
"""

import json
import pickle
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from detectron2_layouts import conv_group_norm, norm, resnet
from torchvision.ops import deform_conv2d

import pantile
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.convert.foreign_checkpoint import load_foreign
from pantile.convert.huggingface_folder import write_huggingface_folder
from pantile.convert.panoptic_fcn import export_panoptic_fcn, import_panoptic_fcn
from pantile.data.classes import cityscapes, coco, mapillary
from pantile.engine.checkpoint import load_checkpoint, save_weights
from pantile.models import PanopticFCN, PanopticFCNConfig
from pantile.recipes import make_recipe

ORIGINAL_MEAN = (123.675, 116.28, 103.53)  # subtracted from B, G, R
SMALL = plain_taxonomy(["grass", "cow", "sky", "sheep", "tree"], things=["cow", "sheep"])


def conv(name, out, inner, kernel):
    return {f"{name}.weight": (out, inner, kernel, kernel), f"{name}.bias": (out,)}


def deformable(name, out, inner):
    return conv(f"{name}.offset_mask_conv", 27, inner, 3) | {f"{name}.dcnv2.weight": (out, inner, 3, 3)}


def layout(things, regions, embed=64, star=False, width=256):
    """Names and shapes of a checkpoint with ResNet-50."""
    shapes = {f"backbone.bottom_up.{k.removeprefix('backbone.')}": v for k, v in resnet("resnet50", False).items()}
    for level, inner in zip((2, 3, 4, 5), (256, 512, 1024, 2048), strict=True):
        shapes |= conv(f"backbone.fpn_lateral{level}", width, inner, 1)
        shapes |= conv(f"backbone.fpn_output{level}", width, width, 3)
        for step in range(max(level - 2, 1)):
            shapes |= conv_group_norm(f"semantic_fpn.p{level}.{2 * step}", width, width, 3)
    for level in (6, 7):
        shapes |= conv(f"backbone.top_block.p{level}", width, width, 3)
    for index in (1, 2, 3):
        position = f"position_head.position_head.position_head_head_{index}"
        shapes |= deformable(position, width, width) | norm(f"{position}.dcnv2.norm", width)
        inner = width + 2 if index == 1 else width
        shapes |= conv_group_norm(f"kernel_head.kernel_head.kernel_head_head_{index}", width, inner, 3)
        encoder, inner = f"feature_encoder.encode_head.encode_head_head_{index}", inner if index == 1 else embed
        if star:
            shapes |= deformable(encoder, embed, inner) | {f"{encoder}.dcnv2.bias": (embed,)}
        else:
            shapes |= conv(encoder, embed, inner, 3)
    shapes |= conv("position_head.out_inst", things, width, 3) | conv("position_head.out_sem", regions, width, 3)
    shapes |= conv("kernel_head.out_conv", width, width, 3)
    for kind in ("thing", "stuff"):
        shapes |= conv(f"{kind}_generator.embed_extractor", embed, width, 1)
    return shapes


PUBLISHED = {
    "COCO": (coco.TAXONOMY, {"things": 80, "regions": 54}, {}, 36_999_511),
    "COCO Star": (
        coco.TAXONOMY,
        {"things": 80, "regions": 54, "embed": 256, "star": True},
        {"embed_channels": 256, "deformable_encoder": True},
        38_837_710,
    ),
    "Cityscapes": (
        cityscapes.TAXONOMY,
        {"things": 8, "regions": 19, "embed": 256},
        {"embed_channels": 256, "thing_regions": "by_class", "candidates": 100},
        38_403_884,
    ),
    "Mapillary": (
        mapillary.TAXONOMY,
        {"things": 37, "regions": 29, "embed": 256},
        {"embed_channels": 256, "candidates": 100},
        38_493_779,
    ),
}


def on_meta(shapes):
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layouts_there_and_back(name):
    taxonomy, sizes, fields, parameters = PUBLISHED[name]
    shapes = layout(**sizes)
    learned = [k for k in shapes if not (k.startswith("backbone.bottom_up.") and ".norm." in k)]
    assert sum(torch.Size(shapes[k]).numel() for k in learned) == parameters
    candidates = {"candidates": fields.get("candidates", 50)}
    config, state = import_panoptic_fcn(on_meta(shapes), taxonomy, PanopticFCNConfig(**candidates))
    flipped = {"image_mean": (103.53, 116.28, 123.675), "image_std": (1.0, 1.0, 1.0)}
    assert config == PanopticFCNConfig(backbone="resnet50", **fields, **flipped, stride_in_1x1=True)
    exported = export_panoptic_fcn(config, state)
    assert {key: tuple(tensor.shape) for key, tensor in exported.items()} == shapes


def values(shapes):
    """Random, with variances of one at every layer."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in shapes.items():
        tensor = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            tensor *= (1.5 / tensor[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            tensor = 0.5 + tensor.abs()
        else:
            tensor = 0.2 * tensor + name.endswith("norm.weight")
        state[name] = tensor
    return state


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "star"])
def foreign(request):
    return values(layout(2, 4, embed=48, star=request.param, width=64))


class Original:
    """What the original does in eval mode, on its own tensors; nothing of ours."""

    def __init__(self, state):
        self.state = state

    def conv(self, name, x, stride=1):
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, weight.shape[2] // 2)

    def frozen(self, name, x, stride=1):
        mean, variance, weight, bias = (
            self.state[f"{name}.norm.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (self.conv(name, x, stride) - mean) / (variance + 1e-5).sqrt() * weight + bias

    def grouped(self, name, x):
        return F.relu(F.group_norm(x, 32, self.state[f"{name}.norm.weight"], self.state[f"{name}.norm.bias"]))

    def deform(self, name, x):
        first, second, mask = self.conv(f"{name}.offset_mask_conv", x).chunk(3, dim=1)
        weight, bias = self.state[f"{name}.dcnv2.weight"], self.state.get(f"{name}.dcnv2.bias")
        return deform_conv2d(x, torch.cat([first, second], 1), weight, bias, padding=1, mask=mask.sigmoid())

    def backbone(self, x):
        x = F.max_pool2d(F.relu(self.frozen("backbone.bottom_up.stem.conv1", x, 2)), 3, 2, 1)
        maps = []
        for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True):
            for block in range(blocks):
                name = f"backbone.bottom_up.res{stage}.{block}."
                stride = 2 if block == 0 and stage > 2 else 1
                out = F.relu(self.frozen(f"{name}conv1", x, stride))  # the stride is in the 1x1
                out = self.frozen(f"{name}conv3", F.relu(self.frozen(f"{name}conv2", out)))
                x = F.relu(out + (self.frozen(f"{name}shortcut", x, stride) if block == 0 else x))
            maps.append(x)
        return maps

    def pyramid(self, maps):
        x, levels = None, {}
        for level in (5, 4, 3, 2):
            lateral = self.conv(f"backbone.fpn_lateral{level}", maps[level - 2])
            x = lateral if x is None else lateral + F.interpolate(x, scale_factor=2.0)
            levels[level] = self.conv(f"backbone.fpn_output{level}", x)
        levels[6] = self.conv("backbone.top_block.p6", levels[5], 2)
        levels[7] = self.conv("backbone.top_block.p7", F.relu(levels[6]), 2)
        return levels

    def __call__(self, bgr):
        """(B, 3, H, W) on the 0..255 scale -> thing maps, stuff maps and kernels of each level, and the encoding."""
        levels = self.pyramid(self.backbone(bgr - torch.tensor(ORIGINAL_MEAN)[:, None, None]))
        total = 0
        for level in (2, 3, 4, 5):
            x = levels[level]
            for step in range(max(level - 2, 1)):
                name = f"semantic_fpn.p{level}.{2 * step}"
                x = self.grouped(name, self.conv(name, x))
                x = x if level == 2 else F.interpolate(x, scale_factor=2, mode="bilinear")
            total = total + x
        encoded = placed(total)
        for index in (1, 2, 3):
            name = f"feature_encoder.encode_head.encode_head_head_{index}"
            plain = f"{name}.weight" in self.state
            encoded = F.relu(self.conv(name, encoded) if plain else self.deform(name, encoded))
        things, stuff, kernels = [], [], []
        for level in (3, 4, 5, 6, 7):
            x, y = levels[level], placed(levels[level])
            for index in (1, 2, 3):
                name = f"position_head.position_head.position_head_head_{index}"
                x = self.grouped(f"{name}.dcnv2", self.deform(name, x))
                name = f"kernel_head.kernel_head.kernel_head_head_{index}"
                y = self.grouped(name, self.conv(name, y))
            things.append(self.conv("position_head.out_inst", x))
            stuff.append(self.conv("position_head.out_sem", x))
            kernels.append(self.conv("kernel_head.out_conv", y))
        return things, stuff, kernels, encoded


def placed(x):
    """Two more channels: the first varies along the height, the second along the width."""
    down = torch.linspace(-1, 1, x.shape[2])[:, None].expand(x.shape[2:])
    right = torch.linspace(-1, 1, x.shape[3])[None].expand(x.shape[2:])
    return torch.cat([x, torch.stack([down, right]).expand(len(x), -1, -1, -1)], 1)


@torch.no_grad()
def test_an_rgb_image_through_ours_is_a_bgr_image_through_the_original(foreign):
    config, state = import_panoptic_fcn(foreign, SMALL)
    model = PanopticFCN(config, 5, SMALL.is_thing("cpu").tolist()).eval()
    model.load_state_dict(state)
    rgb = torch.randint(0, 256, (1, 3, 96, 64), generator=torch.Generator().manual_seed(1)).float()
    mean, std = (torch.tensor(values)[:, None, None] for values in (config.image_mean, config.image_std))
    ours = (rgb - mean) / std
    stem = model.backbone.model.conv1(ours)
    torch.testing.assert_close(
        stem,
        F.conv2d(
            rgb.flip(1) - torch.tensor(ORIGINAL_MEAN)[:, None, None],
            foreign["backbone.bottom_up.stem.conv1.weight"],
            stride=2,
            padding=3,
        ),
        atol=1e-3,
        rtol=1e-4,
    )
    things, stuff, kernels, encoded = Original(foreign)(rgb.flip(1))
    model.training = True  # the model itself only: maps instead of queries
    output = model(ours)
    maps = output.positions
    close = {"atol": 2e-3, "rtol": 1e-3}
    torch.testing.assert_close(output.pixel_embed, encoded, **close)
    for level in range(5):
        torch.testing.assert_close(maps.thing_logits[level], things[level], **close)
        torch.testing.assert_close(maps.stuff_logits[level], stuff[level], **close)
        of_things = Original(foreign).conv("thing_generator.embed_extractor", kernels[level])
        of_stuff = Original(foreign).conv("stuff_generator.embed_extractor", kernels[level])
        torch.testing.assert_close(maps.thing_kernels[level], of_things, **close)
        torch.testing.assert_close(maps.stuff_kernels[level] + maps.stuff_bias[:, None, None], of_stuff, **close)
    assert things[0].std() > 0.1 and encoded.std() > 0.1


def pickled(path, state):
    path.write_bytes(pickle.dumps({"model": {name: t.numpy() for name, t in state.items()}, "__author__": "x"}))
    return path


@pytest.mark.parametrize("foreign", [True], indirect=True, ids=["star"])
def test_the_file_arrives_and_goes_back(foreign, tmp_path):
    categories, ours, back = tmp_path / "categories.json", tmp_path / "ours.safetensors", tmp_path / "back.pkl"
    categories.write_text(json.dumps({"categories": SMALL.to_coco()}))
    path = pickled(tmp_path / "model.pkl", foreign)
    command = ["convert", "panoptic_fcn", str(path), "--out", str(ours), "--categories", str(categories)]
    assert main(command) == 0
    checkpoint = load_checkpoint(ours)
    assert checkpoint.config.recipe == "panoptic_fcn_r50_star_3x_coco"
    assert checkpoint.taxonomy == SMALL and checkpoint.config.model.deformable_encoder
    assert main(["convert", "panoptic_fcn", str(ours), "--to", "original", "--out", str(back)]) == 0
    returned = pickle.loads(back.read_bytes())["model"]
    assert returned.keys() == foreign.keys()
    for name, tensor in foreign.items():
        assert (returned[name] == tensor.numpy()).all(), name


def test_the_file_itself_predicts(tmp_path):
    shapes = layout(8, 19, embed=16, width=64)
    state = {name: torch.rand(shape) * 0.01 for name, shape in shapes.items()}
    predictor = pantile.load(pickled(tmp_path / "cityscapes.pkl", state), device="cpu")
    assert predictor.taxonomy == cityscapes.TAXONOMY
    assert predictor.task.config.recipe == "panoptic_fcn_r50_cityscapes"
    kernel = predictor.task.model.get_parameter("kernel_head.out.weight")
    assert torch.equal(kernel, state["kernel_head.out_conv.weight"])


def test_hugging_face_has_no_such_network(tmp_path):
    pytest.importorskip("transformers")
    weights = tmp_path / "ours.safetensors"
    config = make_recipe("panoptic_fcn_nano")
    save_weights(weights, {}, config, SMALL, step=None)
    with pytest.raises(UserError, match="is of panoptic_fcn; only eomt, mask2former, maskformer and videomt have"):
        write_huggingface_folder(load_checkpoint(weights), tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


@pytest.fixture
def lean():
    """Tensors without memory: what is wrong must be found by names and shapes."""
    return on_meta(layout(2, 4, embed=48, width=64))


class TestMistakes:
    def refused(self, state, words, taxonomy=SMALL):
        with pytest.raises(UserError, match=words) as error:
            import_panoptic_fcn(state, taxonomy)
        assert "\n" not in str(error.value)

    def test_a_layer_of_another_shape_is_named_with_both_shapes(self, lean):
        name = "position_head.position_head.position_head_head_2.dcnv2.weight"
        broken = lean | {name: torch.empty(64, 63, 3, 3, device="meta")}
        self.refused(broken, rf"{name}.* has shape \(64, 63, 3, 3\) .* makes it \(64, 64, 3, 3\)")
        name = "backbone.bottom_up.stem.conv1.weight"
        broken = lean | {name: torch.empty(64, 4, 7, 7, device="meta")}
        self.refused(broken, rf"{name}.* has shape \(64, 4, 7, 7\) .* makes it \(64, 3, 7, 7\)")

    def test_missing_and_left_over_tensors_are_named(self, lean):
        name = "semantic_fpn.p5.4.norm.bias"
        missing = {key: t for key, t in lean.items() if key != name}
        self.refused(missing, rf"1 tensors are missing \(first: {name}\)")
        self.refused(lean | {"extra": torch.zeros(1)}, r"1 are left over \(first: extra\)")
        name = "feature_encoder.encode_head.encode_head_head_3.weight"
        self.refused({key: t for key, t in lean.items() if key != name}, f"{name} is missing")

    def test_pixel_statistics_in_the_file_do_not_matter(self, lean):
        import_panoptic_fcn(lean | {"pixel_mean": torch.zeros(3, 1, 1)}, SMALL)

    def test_other_classes_are_told(self, lean):
        self.refused(lean, "2 thing channels and 4 stuff channels, which do not fit 80 things and 53", coco.TAXONOMY)

    def test_files(self, lean, tmp_path):
        few = {name: torch.zeros(1) for name in ("a", "b")}
        with pytest.raises(UserError, match=r"model.pkl: its tensors are those of another architecture"):
            load_foreign(pickled(tmp_path / "model.pkl", few), "panoptic_fcn")
        real = {"position_head.out_inst.weight": torch.zeros(2, 1), "position_head.out_sem.weight": torch.zeros(4, 1)}
        with pytest.raises(UserError, match=r"few.pkl: It has 2 thing .* no known data set; give --categories"):
            load_foreign(pickled(tmp_path / "few.pkl", real))
        with pytest.raises(UserError, match="kmax_nano: is for kmax"):
            load_foreign(tmp_path / "few.pkl", taxonomy=SMALL, recipe="kmax_nano")

    def test_what_the_original_cannot_express_is_not_written(self, lean):
        config, state = import_panoptic_fcn(lean, SMALL)
        for change in ({"image_mean": ORIGINAL_MEAN}, {"stride_in_1x1": False}, {"levels": 4}):
            with pytest.raises(UserError, match=f"model.{next(iter(change))} is .* only"):
                export_panoptic_fcn(replace(config, **change), state)
