"""``pantile export-hf``: what transformers loads from the folder gives our outputs, and we load it back."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

import pantile
from models.huggingface import SWIN_TINY, randomised
from pantile.cli.main import main
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.checkpoint import load_checkpoint, save_weights
from pantile.models import Mask2FormerConfig, MaskFormerConfig, create_model
from pantile.recipes import make_recipe

TAXONOMY = plain_taxonomy(["sky", "person", "car"], things=["person", "car"])
MASK2FORMER = Mask2FormerConfig(
    num_queries=9,
    channels=64,
    embed_channels=32,
    num_heads=4,
    encoder_layers=1,
    encoder_ffn_channels=96,
    decoder_layers=3,
    decoder_ffn_channels=128,
    image_mean=(100.0, 110.0, 120.0),
)
MASKFORMER = MaskFormerConfig(
    num_queries=9, channels=64, embed_channels=32, num_heads=4, encoder_layers=0, decoder_layers=2, ffn_channels=96
)


def saved(path, model_config, recipe="mask2former_r50_coco"):
    """A weights file of ours with random weights."""
    torch.manual_seed(0)
    config = make_recipe(recipe)
    config.model = model_config
    state = randomised(create_model(model_config, len(TAXONOMY))).state_dict()
    save_weights(path, {f"model.{name}": t for name, t in state.items()}, config, TAXONOMY, step=1)
    return path


@pytest.mark.parametrize("backbone", ["resnet18", SWIN_TINY])
@pytest.mark.parametrize("config", [MASK2FORMER, MASKFORMER], ids=lambda config: config.architecture)
def test_transformers_gives_our_outputs(config, backbone, tmp_path):
    path = saved(tmp_path / "ours.safetensors", replace(config, backbone=backbone))
    folder = tmp_path / "hf"
    assert main(["export-hf", str(path), "--out", str(folder)]) == 0
    assert {f.name for f in folder.iterdir()} == {"config.json", "model.safetensors", "preprocessor_config.json"}

    theirs, told = transformers.AutoModelForUniversalSegmentation.from_pretrained(folder, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    inputs = processor(image, size={"height": 64, "width": 96}, return_tensors="pt")
    ours = pantile.load(path, device="cpu").task
    with torch.no_grad():
        wanted = theirs.eval()(**inputs)
        output = ours(torch.from_numpy(image).permute(2, 0, 1)[None])
    torch.testing.assert_close(output.mask_logits, wanted.masks_queries_logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(output.class_logits, wanted.class_queries_logits, atol=1e-4, rtol=0)
    assert theirs.config.id2label == {0: "sky", 1: "person", 2: "car"}
    if config.architecture == "mask2former":
        assert type(theirs) is transformers.Mask2FormerForUniversalSegmentation

    back, original = pantile.load(folder, device="cpu").task, load_checkpoint(path)
    assert back.taxonomy.names == TAXONOMY.names and back.taxonomy.thing_indices == (1, 2)
    assert replace(back.config.model, image_mean=(0,), backbone_drop_path=0.0) == replace(
        original.config.model, image_mean=(0,)
    )


def test_names_and_sizes_that_the_processor_needs(tmp_path):
    path = saved(tmp_path / "ours.safetensors", replace(MASK2FORMER, backbone="resnet18"))
    assert main(["export-hf", str(path), "--out", str(tmp_path / "hf")]) == 0
    processor = json.loads((tmp_path / "hf" / "preprocessor_config.json").read_text())
    assert processor["size"] == {"shortest_edge": 800, "longest_edge": 1333}
    assert processor["image_mean"] == pytest.approx([100 / 255, 110 / 255, 120 / 255])
    assert processor["image_processor_type"].startswith("Mask2FormerImageProcessor")


def refused(capsys, arguments):
    capsys.readouterr()
    assert main([str(a) for a in arguments]) == 2
    return capsys.readouterr().err


def test_without_transformers_the_extra_is_named(tmp_path, monkeypatch, capsys):
    path = saved(tmp_path / "ours.safetensors", replace(MASK2FORMER, backbone="resnet18"))
    monkeypatch.setattr(sys.modules["transformers"], "__version__", "4.57.1")
    assert "transformers 4.57.1 is too old" in refused(capsys, ["export-hf", path, "--out", tmp_path / "hf"])
    monkeypatch.setitem(sys.modules, "transformers", None)
    error = refused(capsys, ["export-hf", path, "--out", tmp_path / "hf"])
    assert "transformers is not installed" in error and "pip install 'pantile[hf]'" in error
    assert not (tmp_path / "hf").exists()


def test_what_has_no_counterpart_is_told(tmp_path, capsys):
    out = tmp_path / "hf"
    with_encoder = saved(tmp_path / "a.safetensors", replace(MASKFORMER, backbone="resnet18", encoder_layers=1))
    assert "has no encoder" in refused(capsys, ["export-hf", with_encoder, "--out", out])
    odd = saved(tmp_path / "b.safetensors", replace(MASK2FORMER, backbone="test_resnet", frozen_batch_norm=False))
    assert "test_resnet has no counterpart" in refused(capsys, ["export-hf", odd, "--out", out])
    nano = make_recipe("kmax_nano")
    state = {f"model.{k}": t for k, t in create_model(nano.model, 3).state_dict().items()}
    save_weights(tmp_path / "c.safetensors", state, nano, TAXONOMY, step=1)
    error = refused(capsys, ["export-hf", tmp_path / "c.safetensors", "--out", out])
    assert "is of kmax; only eomt, mask2former, maskformer and videomt" in error
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    fine = saved(tmp_path / "d.safetensors", replace(MASK2FORMER, backbone="resnet18"))
    assert "has content" in refused(capsys, ["export-hf", fine, "--out", out])
