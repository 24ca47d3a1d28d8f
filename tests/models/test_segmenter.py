"""Segmenter against recordings of the original code and its port, and the published counts."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from model_contract import ModelContract
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer

from pantile.backbones.timm_vit import ViTBackbone, create_vit
from pantile.contracts.errors import UserError
from pantile.convert.foreign_checkpoint import load_foreign
from pantile.convert.segmenter import (
    export_segmenter,
    import_segmenter,
    is_segmenter,
    segmenter_classes,
    segmenter_config,
)
from pantile.data.classes import coco_stuff
from pantile.layers.position_table import resize_positions
from pantile.models.cost import count_cost
from pantile.models.segmenter import MaskDecoder, Segmenter, SegmenterConfig, segmenter_nano_config
from pantile.models.semantic_model import AllClasses
from rankseg_blocks import Recording

TINY = replace(segmenter_nano_config(), image_size=(32, 48), channels=32, ffn_channels=48, dropout=0.1)


class TestContract(ModelContract):
    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 8) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), num_classes, *size)
        assert output.pixel_embed.shape == (len(images), 32, *size)
        assert output.class_embed.shape == (len(images), num_classes, 32)
        assert (output.num_classes, output.classes, output.auxiliary) == (num_classes, None, ())


class TestContractOfLinearDecoder(TestContract):
    test_compiles_without_a_graph_break = test_exports = None  # slow, and the backbone is the same

    def config(self):
        return replace(TINY, decoder="linear")

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 8) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), num_classes, *size)
        assert output.class_embed.shape == (len(images), num_classes, 64)


@pytest.mark.parametrize(
    "name", ["segmenter_mask", "segmenter_linear", "segmenter_mask_odd", "segmenter_mask_distilled"]
)
def test_outputs_are_the_originals(name, real_data):
    recording = Recording(real_data, name)
    model, odd_positions = recorded_model(recording)
    for kind in ("square", "odd"):
        image = recording[f"{kind}_image"].double()[None] / 127.5 - 1
        height, width = image.shape[2:]
        with torch.no_grad():
            tokens, output = model.backbone(image), model(image)
        expected = recording[f"{kind}_tokens"][:, -tokens.shape[2] * tokens.shape[3] :]
        assert (tokens.flatten(2).transpose(1, 2) - expected).abs().max() < 1e-5
        assert (output.class_logits - recording[f"{kind}_logits_patch"]).abs().max() < 1e-5
        padded = [side + -side % model.backbone.stride for side in (height, width)]
        logits = F.interpolate(output.class_logits, size=padded, mode="bilinear")[:, :, :height, :width]
        assert (logits - recording[f"{kind}_logits"]).abs().max() < 1e-5
    assert (odd_positions - recording["odd_pos_embed_resized"]).abs().max() < 1e-5


def recorded_model(recording):
    """The model, and its positions for the image called odd."""
    told = recording.told
    cls = VisionTransformerDistilled if told["distilled"] else VisionTransformer
    side, patch, heads = told["pretrain_size"], told["patch"], told["heads"]
    vit = cls(img_size=side, patch_size=patch, embed_dim=told["d_model"], depth=told["layers"], num_heads=heads)
    config = SegmenterConfig(
        backbone=ViTBackbone(vit, (side, side)),
        image_size=(side, side),
        decoder=told["decoder"],
        decoder_layers=told["decoder_layers"],
        num_heads=heads,
    )
    model = Segmenter(config, told["n_cls"]).double().eval()
    model.load_state_dict(import_segmenter(config, recording.state()))
    backbone = model.backbone
    size = tuple(math.ceil(side / patch) for side in recording["odd_image"].shape[1:])
    return model, resize_positions(backbone.model.pos_embed.detach(), backbone.grid, size, "bilinear")


def test_state_dict_there_and_back(real_data):
    recording = Recording(real_data, "segmenter_mask_distilled")
    model, _ = recorded_model(recording)
    exported = export_segmenter(model.config, model.state_dict())
    assert exported.keys() == recording.state().keys()
    for name, tensor in recording.state().items():
        assert name.startswith("encoder.head") or torch.equal(exported[name], tensor), name


def test_head_of_the_port_with_loss_and_gradients(real_data):
    recording = Recording(real_data, "head_baseline")
    told = recording.told
    config = SegmenterConfig(channels=32, num_heads=told["n_heads"], ffn_channels=told["d_ff"], dropout=0.0)
    model = torch.nn.Module()
    model.decoder = MaskDecoder(told["d_encoder"], told["n_cls"], config)
    model.selector = AllClasses(torch.nn.LayerNorm(told["n_cls"]))
    renamed = {f"decoder.{name}": tensor for name, tensor in recording.state().items()}
    model = as_semantic_model(model.double(), told["n_cls"])
    model.load_state_dict(decoder_state(renamed))

    x = recording["x"].requires_grad_()
    logits = model.decoder(x, model).class_logits
    assert (logits - recording["train_logits"]).abs().max() < 1e-5
    assert (logits - recording["test_full_logits"]).abs().max() < 1e-5
    label = recording["label"]
    resized = F.interpolate(logits, size=label.shape[1:], mode="bilinear")
    loss = F.cross_entropy(resized, label, ignore_index=255, reduction="sum") / label.numel()  # ignored pixels count
    assert loss.item() == pytest.approx(told["losses"]["loss_seg"], abs=1e-5)
    loss.backward()
    assert (x.grad - recording["grad_x_seg"]).abs().max() < 1e-5
    assert (model.decoder.class_embed.grad - recording["grad_cls_emb"][0]).abs().max() < 1e-5
    assert (model.decoder.patch_projection.weight.grad - recording["grad_proj_patch"].T).abs().max() < 1e-5
    for part in ("weight", "bias"):
        assert (getattr(model.selector.norm, part).grad - recording[f"grad_mask_norm.{part}"]).abs().max() < 1e-5
    norms = {
        name: norm for name, norm in told["grad_norm"].items() if name.startswith(("blocks", "proj_dec", "decoder"))
    }
    gradients = decoder_state({f"decoder.{name}": name for name in norms}, keep=True)
    for name, parameter in model.named_parameters():
        if name in gradients:
            assert float(parameter.grad.norm()) == pytest.approx(norms[gradients[name]], rel=1e-5), name
    assert len(gradients) == len(norms) == 28


def as_semantic_model(parts, num_classes):
    model = Segmenter(replace(TINY), num_classes)
    del model.backbone
    model.decoder, model.selector = parts.decoder, parts.selector
    return model


def decoder_state(foreign, keep=False):
    """Of a decoder alone, by our names; ``keep`` leaves what the names stand for as it is."""
    names = {
        "decoder.proj_dec.": "decoder.input_projection.",
        "decoder.decoder_norm.": "decoder.norm.",
        "decoder.cls_emb": "decoder.class_embed",
        "decoder.proj_patch": "decoder.patch_projection.weight",
        "decoder.proj_classes": "decoder.class_projection.weight",
        "decoder.mask_norm.": "selector.norm.",
    }
    state = {}
    for name, value in foreign.items():
        theirs = next((prefix for prefix in names if name.startswith(prefix)), None)
        ours = name if theirs is None else names[theirs] + name.removeprefix(theirs)
        if not keep:
            value = value[0] if ours.endswith("class_embed") else value
            value = value.T if "_projection" in ours and "proj_dec" not in name else value
        state[ours] = value
    return state


def test_grids_are_compared_not_numbers_of_patches():
    backbone = create_vit("test_vit", image_size=(64, 64)).eval()
    table = backbone.model.pos_embed
    resized = resize_positions(table, backbone.grid, (2, 8), "bilinear")
    assert resized.shape == table.shape and not torch.equal(resized, table)
    rows = table[0, 1:].unflatten(0, (4, 4))
    # half as many rows: the means of two; twice as many columns: each of the four counts twice
    means = resized[0, 1:].unflatten(0, (2, 8)).mean(1)
    assert torch.allclose(means, rows.unflatten(0, (2, 2)).mean((1, 2)), atol=1e-7)


VIT_B, VIT_L = "vit_base_patch16_384", "vit_large_patch16_384"


@pytest.mark.parametrize(
    ("backbone", "side", "published"),
    [
        (VIT_B, 480, {60: 102_333_048}),
        (VIT_B, 512, {150: 102_497_580, 171: 102_513_750, 847: 103_034_270, 1284: 103_370_760}),
        (VIT_L, 640, {150: 333_234_476, 171: 333_256_022, 1284: 334_397_960}),
    ],
)
def test_published_parameters(backbone, side, published):
    models = published_models(backbone, side, published)
    assert {classes: sum(p.numel() for p in model.parameters()) for classes, model in models.items()} == published


@pytest.mark.parametrize(
    ("backbone", "side", "published"),
    [
        (VIT_B, 512, {150: 78.84, 1284: 102.53}),
        (VIT_L, 640, {171: 378.57}),
    ],
)
def test_published_multiply_adds(backbone, side, published):
    """RankSeg's counter sees nothing of the encoder's attention, neither its linear layers nor its products, and one
    of the two products of the decoder's: what is left of ours is theirs for every size and number of classes."""
    for classes, model in published_models(backbone, side, published).items():
        tokens, channels = (side // 16) ** 2 + 1, model.backbone.channels
        encoder = len(model.backbone.model.blocks) * (4 * channels**2 * tokens + 2 * channels * tokens**2)
        decoder = len(model.decoder.blocks) * channels * (tokens - 1 + classes) ** 2
        seen = count_cost(model, side).multiply_adds - encoder - decoder
        assert seen / 1e9 == pytest.approx(published[classes], rel=0.005)


def published_models(backbone, side, classes):
    """{number of classes: model} on the meta device, with one backbone."""
    with torch.device("meta"):
        vit = create_vit(backbone, image_size=(side, side))
        return {number: Segmenter(SegmenterConfig(backbone=vit), number) for number in classes}


def test_other_transformers_are_told():
    with pytest.raises(UserError, match="not a vision transformer with a class token"):
        create_vit("resnet18", image_size=(64, 64))
    with pytest.raises(UserError, match="timm has no model named"):
        create_vit("vit_huge_nonsense", image_size=(64, 64))
    with pytest.raises(UserError, match=r"model\.num_heads is 5"):
        Segmenter(replace(TINY, num_heads=5), 3)


@pytest.mark.parametrize(
    ("backbone", "changes"),
    [
        ("vit_tiny_patch16_384", {}),
        ("vit_small_patch16_384", {"decoder": "linear"}),
        ("deit_small_distilled_patch16_224", {}),
    ],
)
def test_sizes_of_original_files_are_told_by_their_tensors(backbone, changes):
    config = SegmenterConfig(backbone=backbone, image_size=(64, 64), **changes)
    with torch.device("meta"):
        state = Segmenter(config, 150).state_dict()
    foreign = export_segmenter(config, state)
    told = segmenter_config(foreign)
    assert is_segmenter(foreign)
    assert (told.backbone, told.image_size, told.decoder, segmenter_classes(foreign)) == (
        backbone,
        (64, 64),
        config.decoder,
        150,
    )
    assert import_segmenter(told, foreign).keys() == state.keys()
    with pytest.raises(UserError, match="tensors are missing"):
        import_segmenter(told, {name: t for name, t in foreign.items() if "blocks.1." not in name})


def test_an_original_file_becomes_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    config = SegmenterConfig(backbone="vit_tiny_patch16_384", image_size=(32, 32))
    model = Segmenter(config, 171).eval()
    torch.save({"model": export_segmenter(config, model.state_dict())}, tmp_path / "checkpoint.pth")
    checkpoint = load_foreign(tmp_path / "checkpoint.pth")
    assert checkpoint.taxonomy == coco_stuff.TAXONOMY
    assert checkpoint.config.recipe == "segmenter_ti_coco_stuff10k"
    loaded = Segmenter(checkpoint.config.model, 171).eval()
    loaded.load_state_dict(checkpoint.part("model"))
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        assert torch.equal(loaded(images).class_logits, model(images).class_logits)
