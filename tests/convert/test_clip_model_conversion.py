"""Files of models that read clips: VidEoMT of transformers and of its authors, Mask2Former for video."""

import pytest
import torch

from models.huggingface import huggingface_videomt
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.convert.foreign_checkpoint import FAMILIES, load_foreign
from pantile.models import create_model
from pantile.models.mask2former import Mask2FormerConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("videomt") / "hf"
    huggingface_videomt(40).save_pretrained(path)
    return path


def test_a_folder_of_transformers_there_and_back(folder, tmp_path):
    import transformers

    ours = tmp_path / "ours.safetensors"
    assert main(["convert", "videomt", str(folder), "--out", str(ours)]) == 0
    assert main(["export-hf", str(ours), "--out", str(tmp_path / "back")]) == 0
    back, told = transformers.VideomtForUniversalSegmentation.from_pretrained(
        tmp_path / "back", output_loading_info=True
    )
    assert not any(told[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    wanted = huggingface_videomt(40).state_dict()
    unused = "embeddings.mask_token"
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in back.state_dict().items() if name != unused)
    processor = transformers.AutoVideoProcessor.from_pretrained(tmp_path / "back")
    assert processor.size["height"] == processor.size["width"] == 64
    checkpoint = load_foreign(tmp_path / "back")
    assert checkpoint.config.model.architecture == "videomt"
    assert checkpoint.config.recipe.startswith("videomt_") and checkpoint.config.clips is not None


def test_the_authors_names_there_and_back(folder, tmp_path):
    """Names as their code has them, since no file of theirs is here: a round trip, and what a trainer leaves beside."""
    checkpoint = load_foreign(folder)
    exported = FAMILIES["videomt"].to_original(checkpoint.config.model, checkpoint.part("model"))
    assert {"backbone.q.weight", "backbone.query_updater.weight", "backbone.class_head.bias"} <= exported.keys()
    assert all(name.startswith(("backbone.", "criterion.")) for name in exported)
    torch.save({"model": exported, "iteration": 3}, tmp_path / "theirs.pth")
    again = load_foreign(tmp_path / "theirs.pth")
    assert again.config.model.architecture == "videomt"
    assert again.taxonomy.names[:2] == ("person", "giant_panda")  # nobody names them, and there are forty
    for name, tensor in checkpoint.part("model").items():
        assert torch.equal(again.part("model")[name], tensor), name


def test_mask2former_is_of_clips_where_somebody_says_so(tmp_path):
    config = Mask2FormerConfig(
        backbone="resnet18", num_queries=5, channels=32, embed_channels=16, num_heads=4, encoder_layers=1,
        encoder_ffn_channels=32, decoder_layers=3, decoder_ffn_channels=32,
    )  # fmt: skip
    state = create_model(config, 40).state_dict()
    torch.save({"model": FAMILIES["mask2former"].to_original(config, state)}, tmp_path / "model.pth")
    images = load_foreign(tmp_path / "model.pth", "mask2former")
    assert images.config.model.architecture == "mask2former"
    for clips in (
        load_foreign(tmp_path / "model.pth", "mask2former_video"),
        load_foreign(tmp_path / "model.pth", recipe="mask2former_r50_youtube_vis_2021"),
    ):
        assert clips.config.model.architecture == "mask2former_video"
        create_model(clips.config.model, 40).load_state_dict(clips.part("model"))
    with pytest.raises(UserError, match="not of videomt"):
        load_foreign(tmp_path / "model.pth", "videomt")
