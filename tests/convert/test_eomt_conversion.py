"""EoMT's files: of the authors against timm's blocks run by hand, DINOv3 deltas, folders of transformers, bad input."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from transformers import DINOv3ViTConfig, DINOv3ViTModel

import pantile
from models.huggingface import huggingface_eomt, randomised
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.convert.eomt import ENCODER, export_original_eomt, import_original_eomt, original_eomt_config
from pantile.convert.foreign_checkpoint import load_foreign
from pantile.data import FitConfig
from pantile.inference.windows import Windows
from pantile.merge.query_votes_config import QueryVotesConfig
from pantile.models.eomt import EoMT

WIDTH, PATCH, QUERIES, BLOCKS, CLASSES = 64, 8, 5, 2, 19
RANDOM = torch.Generator().manual_seed(4)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=RANDOM) / shape[-1] ** 0.5


def heads() -> dict[str, torch.Tensor]:
    """What the authors' repository has beside the encoder."""
    state = {"network.q.weight": numbers(QUERIES, WIDTH), "network.attn_mask_probs": torch.ones(BLOCKS)}
    shapes = {"class_head": (CLASSES + 1, WIDTH), **{f"mask_head.{k}": (WIDTH, WIDTH) for k in (0, 2, 4)}}
    for name, shape in shapes.items():
        state |= {f"network.{name}.weight": numbers(*shape), f"network.{name}.bias": numbers(shape[0])}
    upscale = "network.upscale.0."
    state |= {f"{upscale}conv1.weight": numbers(WIDTH, WIDTH, 2, 2), f"{upscale}conv1.bias": numbers(WIDTH)}
    state |= {f"{upscale}conv2.weight": numbers(WIDTH, 1, 3, 3)}
    state |= {f"{upscale}norm.weight": 1 + numbers(WIDTH), f"{upscale}norm.bias": numbers(WIDTH)}
    mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    pixels = {"pixel_mean": mean, "pixel_std": std}
    state |= {f"network.encoder.{n}": torch.tensor(v).view(1, 3, 1, 1) for n, v in pixels.items()}
    return state | {"criterion.empty_weight": torch.ones(CLASSES + 1)}


@pytest.fixture(scope="module")
def vit() -> VisionTransformer:
    """timm's, as the authors build it."""
    return randomised(
        VisionTransformer(
            img_size=64, patch_size=PATCH, embed_dim=WIDTH, depth=3, num_heads=1, reg_tokens=4, no_embed_class=True,
            init_values=1.0, num_classes=0, global_pool="",
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def file(vit, tmp_path_factory):
    """As Lightning saves it."""
    state = heads() | {ENCODER + name: tensor for name, tensor in vit.state_dict().items()}
    path = tmp_path_factory.mktemp("authors") / "eomt.ckpt"
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 1e-4}}, path)
    return path


@torch.no_grad()
def by_hand(vit, state, images):
    """Mask and class logits of the authors' equations, on timm's blocks, without masked attention."""
    linear = torch.nn.functional.linear
    x = vit._pos_embed(vit.patch_embed(images))
    for index, block in enumerate(vit.blocks):
        if index == len(vit.blocks) - BLOCKS:
            x = torch.cat([state["network.q.weight"].expand(len(x), -1, -1), x], dim=1)
        x = block(x)
    x = vit.norm(x)
    q, patches = x[:, :QUERIES], x[:, QUERIES + 5 :].transpose(1, 2).unflatten(2, vit.patch_embed.grid_size)
    classes = linear(q, state["network.class_head.weight"], state["network.class_head.bias"])
    for k in (0, 2, 4):
        q = linear(q, state[f"network.mask_head.{k}.weight"], state[f"network.mask_head.{k}.bias"])
        q = torch.nn.functional.gelu(q) if k < 4 else q
    up = {n.removeprefix("network.upscale.0."): t for n, t in state.items() if n.startswith("network.upscale.0.")}
    y = torch.nn.functional.conv_transpose2d(patches, up["conv1.weight"], up["conv1.bias"], stride=2)
    y = torch.nn.functional.conv2d(torch.nn.functional.gelu(y), up["conv2.weight"], padding=1, groups=WIDTH)
    y = torch.nn.functional.layer_norm(y.permute(0, 2, 3, 1), (WIDTH,), up["norm.weight"], up["norm.bias"], 1e-6)
    return torch.einsum("bqc,bhwc->bqhw", q, y), classes


def test_outputs_of_the_authors_file(vit, file):
    state = torch.load(file, weights_only=True)["state_dict"]
    checkpoint = load_foreign(file)
    model = EoMT(checkpoint.config.model, CLASSES).eval()
    model.load_state_dict(checkpoint.part("model"))
    images = torch.randn(2, 3, 64, 64, generator=RANDOM)
    masks, classes = by_hand(vit, state, images)
    output = model(images)
    assert (output.mask_logits - masks).abs().max() < 1e-4
    assert (output.class_logits - classes).abs().max() < 1e-4
    assert checkpoint.taxonomy.names[:2] == ("road", "sidewalk")
    exported = export_original_eomt(checkpoint.config.model, model.state_dict())
    assert exported.keys() == state.keys()
    buffers = {"network.attn_mask_probs", "criterion.empty_weight"}
    assert all(torch.equal(exported[name], state[name]) for name in state.keys() - buffers if "pixel" not in name)
    torch.testing.assert_close(exported["network.encoder.pixel_mean"], state["network.encoder.pixel_mean"])
    assert not exported["network.attn_mask_probs"].any()


@pytest.fixture(scope="module")
def deltas(tmp_path_factory):
    """(file of deltas, DINOv3's folder, the whole weights)."""
    folder = tmp_path_factory.mktemp("dinov3")
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 1, "intermediate_size": 96}
    base = randomised(DINOv3ViTModel(DINOv3ViTConfig(**sizes, patch_size=PATCH, num_register_tokens=4)))
    base.save_pretrained(folder / "base")
    names = {
        name: ENCODER + name.replace("model.layer", "blocks").replace("embeddings.", "patch_embed.", 1)
        for name in base.state_dict()
    }
    difference = {names[name]: 0.02 * numbers(*tensor.shape) for name, tensor in base.state_dict().items()}
    rest = heads()
    whole = rest | {names[name]: tensor + difference[names[name]] for name, tensor in base.state_dict().items()}
    torch.save(rest | difference, folder / "deltas.bin")
    torch.save(whole, folder / "whole.bin")
    return folder, whole


def test_deltas_need_their_base(deltas, tmp_path, capsys):
    folder, whole = deltas
    out = tmp_path / "ours.safetensors"
    assert main(["convert", "eomt", str(folder / "deltas.bin"), "--out", str(out)]) == 2
    assert "holds deltas" in (error := capsys.readouterr().err) and "--base DINOV3" in error and not out.exists()
    command = ["convert", "eomt", str(folder / "deltas.bin"), "--out", str(out), "--base", str(folder / "base")]
    assert main(command) == 0
    model = original_eomt_config(whole)
    wanted = import_original_eomt(model, whole)
    state = pantile.load(out, device="cpu").task.model.state_dict()
    assert all(torch.allclose(state[name], wanted[name], atol=1e-6) for name in wanted)
    with pytest.raises(UserError, match="leave --base out"):
        load_foreign(folder / "whole.bin", base=folder / "base")
    assert (
        load_foreign(folder / "whole.bin").config.model
        == load_foreign(folder / "deltas.bin", base=folder / "base").config.model
    )
    with pytest.raises(UserError, match="--base does not fit"):
        load_foreign(folder / "deltas.bin", base=folder / "whole.bin")


@pytest.fixture
def folder(tmp_path):
    """As the hub has them: panoptic of COCO, at 64 pixels."""
    huggingface_eomt("eomt", 133).save_pretrained(tmp_path / "hf")
    return tmp_path / "hf"


def test_recipe_and_preparation_of_a_folder(folder):
    config = load_foreign(folder).config
    assert (config.recipe, config.evaluation_size, config.pad_value) == ("eomt_b_coco", (64, 64), 0)
    processor = {"do_split_image": True, "image_mean": [0.5, 0.5, 0.5], "size": {"shortest_edge": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    assert load_foreign(folder).config.model.image_mean == (127.5, 127.5, 127.5)


def test_windows_of_a_semantic_folder(tmp_path):
    huggingface_eomt("eomt_dinov3", 150, num_queries=100).save_pretrained(tmp_path / "hf")
    config = load_foreign(tmp_path / "hf").config
    assert config.recipe == "eomt_dinov3_l_ade20k_semantic"
    assert config.windows == Windows((64, 64), average="votes", spread=True) and config.merge == QueryVotesConfig()
    assert config.evaluation_size == FitConfig(short_side=64, multiple=1)


def refused(path, match):
    with pytest.raises(UserError, match=match) as error:
        load_foreign(path)
    assert "\n" not in str(error.value)


def test_bad_folders_are_told(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    for field, value, told in (
        ("patch_size", 16, "says that patch_size is 8, config.json that it is 16"),
        ("num_register_tokens", 2, "says that num_register_tokens is 4"),
        ("image_size", 96, "have another number"),
        ("hidden_act", "relu", "hidden_act is 'relu'"),
    ):
        (folder / "config.json").write_text(json.dumps(config | {field: value}))
        refused(folder, told)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text("{")
    refused(folder, "preprocessor_config.json cannot be read")
    other = tmp_path / "depth"
    other.mkdir()
    save_file({"head.weight": torch.zeros(1)}, other / "model.safetensors")
    (other / "config.json").write_text(json.dumps({"architectures": ["DPTForDepthEstimation"]}))
    refused(other, "are those of DPTForDepthEstimation, not of eomt or ")


def test_a_videomt_is_told(tmp_path):
    state = huggingface_eomt("eomt", 133).state_dict() | {"query_updater.weight": torch.zeros(32, 32)}
    save_file(state, tmp_path / "video.safetensors")
    with pytest.raises(UserError, match="are those of videomt, not of eomt"):
        load_foreign(tmp_path / "video.safetensors", "eomt")


def test_an_unknown_width_is_told(file, tmp_path):
    state = torch.load(file, weights_only=True)["state_dict"]
    del state["network.attn_mask_probs"]
    torch.save(state, tmp_path / "odd.pth")
    refused(tmp_path / "odd.pth", "none of S, B, L and g")


@pytest.mark.parametrize("form", ["eomt", "eomt_swiglu", "eomt_dinov3"])
def test_export_of_what_was_read(form, tmp_path):
    import transformers

    theirs = huggingface_eomt(form, 133)
    theirs.save_pretrained(tmp_path / "hf")
    assert main(["convert", "eomt", str(tmp_path / "hf"), "--out", str(tmp_path / "ours.safetensors")]) == 0
    assert main(["export-hf", str(tmp_path / "ours.safetensors"), "--out", str(tmp_path / "back")]) == 0
    back, told = transformers.AutoModelForUniversalSegmentation.from_pretrained(
        tmp_path / "back", output_loading_info=True
    )
    assert type(back) is type(theirs)
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in back.state_dict().items())
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "back")
    assert processor.do_pad and not processor.do_split_image
    assert (
        replace(load_foreign(tmp_path / "back").config.model, backbone_drop_path=0.0)
        == load_foreign(tmp_path / "hf").config.model
    )
