"""The original kMaX-DeepLab layout, written down here key by key and shape by shape, loads into ours and back."""

import pickle
from pathlib import Path

import pytest
import torch

from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.convert.foreign_checkpoint import FAMILIES, load_foreign
from pantile.convert.foreign_file import read_state
from pantile.convert.foreign_folder import ForeignWeights
from pantile.convert.kmax import export_kmax, import_kmax
from pantile.convert.kmax_names import original_name
from pantile.convert.open_checkpoint import open_checkpoint
from pantile.data.classes import ade20k, cityscapes, coco
from pantile.models import KMaXConfig, create_model
from pantile.recipes import make_recipe

BLOCKS = {"resnet50": (3, 4, 6, 3), "convnext_tiny": (3, 3, 9, 3)}


def batch_norm(name: str, channels: int) -> dict[str, tuple]:
    vectors = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return vectors | {f"{name}.num_batches_tracked": ()}


def conv(name: str, *shape: int, bias: bool = False, norm: bool = True) -> dict[str, tuple]:
    layout = {f"{name}.conv.weight": shape}
    layout |= {f"{name}.conv.bias": (shape[0],)} if bias else {}
    return layout | (batch_norm(f"{name}.norm", shape[0]) if norm else {})


def resnet50() -> dict[str, tuple]:
    layout = {"backbone.stem.conv1.weight": (64, 3, 7, 7)} | batch_norm("backbone.stem.conv1.norm", 64)
    entry = 64
    for stage, (count, mid) in enumerate(zip(BLOCKS["resnet50"], (64, 128, 256, 512), strict=True), start=2):
        for block in range(count):
            name = f"backbone.res{stage}.{block}"
            for i, shape in enumerate(((mid, entry, 1, 1), (mid, mid, 3, 3), (4 * mid, mid, 1, 1)), start=1):
                layout |= {f"{name}.conv{i}.weight": shape} | batch_norm(f"{name}.conv{i}.norm", shape[0])
            if block == 0:
                layout |= {f"{name}.shortcut.weight": (4 * mid, entry, 1, 1)}
                layout |= batch_norm(f"{name}.shortcut.norm", 4 * mid)
            entry = 4 * mid
    return layout


def convnext_tiny() -> dict[str, tuple]:
    widths = (96, 192, 384, 768)
    layout = {}

    def affine(name: str, *shape: int) -> dict[str, tuple]:
        return {f"backbone.{name}.weight": shape, f"backbone.{name}.bias": (shape[0],)}

    layout |= affine("downsample_layers.0.0", 96, 3, 4, 4) | affine("downsample_layers.0.1", 96)
    for i in (1, 2, 3):
        layout |= affine(f"downsample_layers.{i}.0", widths[i - 1])
        layout |= affine(f"downsample_layers.{i}.1", widths[i], widths[i - 1], 2, 2)
    for stage, (width, count) in enumerate(zip(widths, BLOCKS["convnext_tiny"], strict=True)):
        for block in range(count):
            name = f"stages.{stage}.{block}"
            layout |= affine(f"{name}.dwconv", width, 1, 7, 7) | affine(f"{name}.norm", width)
            layout |= affine(f"{name}.pwconv1", 4 * width, width) | affine(f"{name}.pwconv2", width, 4 * width)
            layout |= {f"backbone.{name}.gamma": (width,)}
    return layout


def pixel_decoder(inputs: list[int]) -> dict[str, tuple]:
    """``inputs``: channels of the backbone maps, coarse to fine; five of them on Cityscapes."""
    root = "sem_seg_head.pixel_decoder."
    layout = {}
    for i, channels in enumerate(inputs):
        layout |= {f"{root}_in_norms.{i}.weight": (channels,), f"{root}_in_norms.{i}.bias": (channels,)}
    widths, blocks = (512, 256, 128, 64, 32)[: len(inputs)], (1, 5, 1, 1, 1)
    for i, (d, count) in enumerate(zip(widths, blocks, strict=False)):
        for j in range(count):
            entry = (inputs[0] if i == 0 else d) if j == 0 else 4 * d
            name = f"{root}_stages.{i}._blocks.{j}."
            axial = i < 2
            layout |= conv(f"{name}_conv1_bn_act", 2 * d if axial else d, entry, 1, 1)
            if axial:
                for axis in ("height", "width"):
                    a = f"{name}_attention._{axis}_axis."
                    layout |= {f"{a}qkv_transform.conv.weight": (4 * d, 2 * d, 1)}
                    for what, width in (("query", d // 8), ("key", d // 8), ("value", d // 4)):
                        layout |= {f"{a}_{what}_rpe._embeddings.weight": (509, width)}
                    layout |= batch_norm(f"{a}_batch_norm_qkv", 4 * d)
                    layout |= batch_norm(f"{a}_batch_norm_similarity", 24)
                    layout |= batch_norm(f"{a}_batch_norm_retrieved_output", 4 * d)
            else:
                layout |= conv(f"{name}_conv2_bn_act", d, d, 3, 3)
            layout |= conv(f"{name}_conv3_bn", 4 * d, 2 * d if axial else d, 1, 1)
            if entry != 4 * d:
                layout |= conv(f"{name}_shortcut", 4 * d, entry, 1, 1)
        if i > 0:
            fuse = f"{root}_resized_fuses.{i - 1}."
            layout |= conv(f"{fuse}_conv_bn_low", d, 4 * widths[i - 1], 1, 1)
            layout |= conv(f"{fuse}_conv_bn_high", d, inputs[i], 1, 1) if inputs[i] != d else {}
    return layout


def predictor_head(name: str, channels: int, classes: int) -> dict[str, tuple]:
    return (
        conv(f"{name}._pixel_space_head_conv0bnact", channels, 1, 5, 5)
        | conv(f"{name}._pixel_space_head_conv1bnact", 256, channels, 1, 1)
        | conv(f"{name}._pixel_space_head_last_convbn", 128, 256, 1, 1, bias=True)
        | conv(f"{name}._transformer_mask_head", 128, 256, 1)
        | conv(f"{name}._transformer_class_head", classes + 1, 256, 1, bias=True, norm=False)
        | batch_norm(f"{name}._pixel_space_mask_batch_norm", 1)
    )


def predictor(classes: int, queries: int, final_channels: int) -> dict[str, tuple]:
    root = "sem_seg_head.predictor."
    layout = {f"{root}_cluster_centers.weight": (256, queries)}
    layout |= conv(f"{root}_class_embedding_projection", 256, 256, 1)
    layout |= conv(f"{root}_mask_embedding_projection", 256, 256, 1)
    for i, channels in enumerate((2048, 2048, 1024, 1024, 512, 512)):
        name = f"{root}_kmax_transformer_layers.{i}."
        layout |= conv(f"{name}_query_conv1_bn_act", 256, 256, 1)
        layout |= conv(f"{name}_pixel_conv1_bn_act", 256, channels, 1, 1)
        layout |= conv(f"{name}_query_qkv_conv_bn", 512, 256, 1)
        layout |= conv(f"{name}_pixel_v_conv_bn", 256, 256, 1, 1)
        layout |= batch_norm(f"{name}_query_self_attention._batch_norm_similarity", 8)
        layout |= batch_norm(f"{name}_query_self_attention._batch_norm_retrieved_value", 256)
        layout |= conv(f"{name}_query_conv3_bn", 256, 256, 1)
        layout |= conv(f"{name}_query_ffn_conv1_bn_act", 2048, 256, 1)
        layout |= conv(f"{name}_query_ffn_conv2_bn", 256, 2048, 1)
        layout |= batch_norm(f"{name}_kmeans_query_batch_norm_retrieved_value", 256)
        layout |= conv(f"{name}_kmeans_query_conv3_bn", 256, 256, 1)
        layout |= predictor_head(f"{name}_predcitor", 256, classes)
    return layout | predictor_head(f"{root}_predcitor", final_channels, classes)


def aspp_head(res5: int, res3: int, res2: int, classes: int) -> dict[str, tuple]:
    root = "sem_seg_head.predictor._auxiliary_semantic_predictor."
    layout = conv(f"{root}_aspp._aspp_conv0", 256, res5, 1, 1) | conv(f"{root}_aspp._aspp_pool", 256, res5, 1, 1)
    for i in (1, 2, 3):
        layout |= conv(f"{root}_aspp._aspp_conv{i}", 256, res5, 3, 3)
    layout |= conv(f"{root}_aspp._proj_conv_bn_act", 256, 1280, 1, 1)
    for stride, channels, width in ((8, res3, 64), (4, res2, 32)):
        layout |= conv(f"{root}_low_level_projection_os{stride}", width, channels, 1, 1)
        layout |= conv(f"{root}_low_level_fusion_os{stride}_conv0_bn_act", 256 + width, 1, 5, 5)
        layout |= conv(f"{root}_low_level_fusion_os{stride}_conv1_bn_act", 256, 256 + width, 1, 1)
    layout |= conv(f"{root}conv_block_0", 256, 1, 5, 5) | conv(f"{root}conv_block_1", 256, 256, 1, 1)
    return layout | conv(f"{root}final_conv", classes + 1, 256, 1, 1, bias=True, norm=False)


def plain_head(res5: int, classes: int) -> dict[str, tuple]:
    root = "sem_seg_head.predictor._auxiliary_semantic_predictor."
    layout = conv(f"{root}0", res5, 1, 5, 5) | conv(f"{root}1", 256, res5, 1, 1)
    return layout | conv(f"{root}2", classes, 256, 1, 1, bias=True, norm=False)


LAYOUTS = {
    "R50 COCO": lambda: (
        resnet50() | pixel_decoder([2048, 1024, 512, 256]) | predictor(133, 128, 256) | aspp_head(2048, 512, 256, 133)
    ),
    "R50 Cityscapes": lambda: (
        resnet50() | pixel_decoder([2048, 1024, 512, 64, 256]) | predictor(19, 256, 128) | plain_head(2048, 19)
    ),
    "R50 ADE20K": lambda: (
        resnet50() | pixel_decoder([2048, 1024, 512, 256]) | predictor(150, 128, 256) | aspp_head(2048, 512, 256, 150)
    ),
    "ConvNeXt-T COCO": lambda: (
        convnext_tiny() | pixel_decoder([768, 384, 192, 96]) | predictor(133, 128, 256) | aspp_head(768, 192, 96, 133)
    ),
}


def random_state(layout: dict[str, tuple]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.tensor(7) if name.endswith("num_batches_tracked") else torch.rand(shape, generator=generator)
        for name, shape in layout.items()
    }


def taxonomy_of(classes: int):
    names = [f"class {k}" for k in range(classes)]
    return plain_taxonomy(names, things=names[:5])


def test_the_layout_written_here_is_the_published_one():
    """1417 entries; parameters with the auxiliary head 72,436,862."""
    layout = LAYOUTS["R50 COCO"]()
    assert len(layout) == 1417
    learned = {
        n: s for n, s in layout.items() if not n.endswith(("running_mean", "running_var", "num_batches_tracked"))
    }
    assert sum(torch.Size(shape).numel() for shape in learned.values()) == 72_436_862


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_tensor_arrives_and_goes_back(name):
    foreign = random_state(LAYOUTS[name]())
    classes = len(foreign["sem_seg_head.predictor._predcitor._transformer_class_head.conv.weight"]) - 1
    config, state = import_kmax(foreign, taxonomy_of(classes), KMaXConfig())
    with torch.device("meta"):
        model = create_model(config, classes)
    model.load_state_dict(state, strict=True, assign=True)

    back = export_kmax(config, model.state_dict())
    assert back.keys() == foreign.keys()
    for key, tensor in foreign.items():
        assert back[key].shape == tensor.shape, key
        assert torch.equal(back[key], tensor), key


def test_a_file_opens_as_it_is_and_the_command_line_converts_both_ways(tmp_path):
    foreign = random_state(LAYOUTS["R50 Cityscapes"]())
    torch.save({"model": foreign, "iteration": 3}, tmp_path / "original.pth")
    opened = open_checkpoint(tmp_path / "original.pth")
    assert opened.taxonomy == cityscapes.TAXONOMY

    ours, back = str(tmp_path / "ours.safetensors"), str(tmp_path / "back.pth")
    assert main(["convert", "kmax", str(tmp_path / "original.pth"), "--out", ours]) == 0
    written = open_checkpoint(ours)
    assert (written.config, written.taxonomy) == (opened.config, opened.taxonomy)
    assert all(torch.equal(written.state[name], tensor) for name, tensor in opened.state.items())

    assert main(["convert", "to-kmax", ours, "--out", back]) == 0
    converted = torch.load(back, weights_only=True)["model"]
    assert all(torch.equal(converted[key], tensor) for key, tensor in foreign.items())


OWN = {  # recipe, classes, drop path, backbone drop path, input: the settings of the PyTorch implementation's configs
    "R50 COCO": ("kmax_r50_coco", coco.TAXONOMY, 0.2, 0.0, (1281, 1281)),
    "R50 Cityscapes": ("kmax_r50_cityscapes", cityscapes.TAXONOMY, 0.2, 0.0, (1025, 2049)),
    "R50 ADE20K": ("kmax_r50_ade20k_1281", ade20k.TAXONOMY, 0.0, 0.0, (1281, 1281)),
    "ConvNeXt-T COCO": ("kmax_convnext_tiny_coco", coco.TAXONOMY, 0.2, 0.3, (1281, 1281)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_has_the_settings_and_classes_of_its_own_variant(name):
    recipe, classes, drop_path, backbone_drop_path, size = OWN[name]
    weights = ForeignWeights(Path("original.pth"), random_state(LAYOUTS[name]()), None)
    config, taxonomy, state = FAMILIES["kmax"].read(weights, None, None)
    assert taxonomy == classes
    assert (config.recipe, config.evaluation_size, config.merge) == (recipe, size, make_recipe(recipe).merge)
    assert (config.model.drop_path, config.model.backbone_drop_path) == (drop_path, backbone_drop_path)
    name, tensor = next(iter(state.items()))
    assert torch.equal(tensor, weights.state[original_name(name, config.model)].reshape(tensor.shape))
    with pytest.raises(UserError, match="classes, the categories are 7"):
        FAMILIES["kmax"].read(weights, taxonomy_of(7), None)


def test_numpy_pickles_load_and_code_does_not(tmp_path):
    state = random_state({"a.weight": (2, 3)})
    (tmp_path / "arrays.pkl").write_bytes(pickle.dumps({"model": {k: v.numpy() for k, v in state.items()}}))
    assert torch.equal(read_state(tmp_path / "arrays.pkl")["a.weight"], state["a.weight"])

    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"model": Evil()}))
    with pytest.raises(UserError, match="neither a container nor an array"):
        read_state(tmp_path / "evil.pkl")
    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="cannot be read as plain tensors"):
        read_state(tmp_path / "evil.pth")


def test_mistakes_are_named(tmp_path):
    foreign = random_state(LAYOUTS["R50 Cityscapes"]())
    with pytest.raises(UserError, match="has 19 classes, the categories are 7"):
        import_kmax(foreign, taxonomy_of(7), KMaXConfig())
    del foreign["backbone.res3.1.conv2.weight"]
    torch.save(foreign, tmp_path / "broken.pth")
    with pytest.raises(UserError, match=r"broken.pth: 1 tensors are missing \(first: backbone.res3.1.conv2.weight\)"):
        load_foreign(tmp_path / "broken.pth")
    with pytest.raises(UserError, match="no such file"):
        load_foreign(tmp_path / "absent.pth")
    foreign["backbone.stem.conv1.weight"], foreign["backbone.res4.9.conv1.weight"] = torch.zeros(1), torch.zeros(1)
    with pytest.raises(UserError, match="neither ResNet-50 nor ConvNeXt"):
        import_kmax(foreign, taxonomy_of(19), KMaXConfig())
