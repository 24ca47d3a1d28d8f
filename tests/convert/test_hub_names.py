"""Names of Hugging Face's hub: from the cache without a network, and what is said where neither has it."""

import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

import pantile
from models.huggingface import huggingface_mask2former
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.convert.foreign_folder import download, is_hub_name
from pantile.models import Mask2FormerConfig

NAME = "somebody/mask2former-tiny"
CONFIG = Mask2FormerConfig(
    backbone="resnet18", num_queries=4, channels=32, embed_channels=16, num_heads=2, encoder_layers=1, decoder_layers=1,
    encoder_ffn_channels=32, decoder_ffn_channels=32,
)  # fmt: skip


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache and no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def put_in_cache(cache: Path, folder: Path) -> None:
    root = cache / ("models--" + NAME.replace("/", "--"))
    revision = "0" * 40
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(revision)
    shutil.copytree(folder, root / "snapshots" / revision)


def test_a_cached_name_loads(cache, tmp_path):
    huggingface_mask2former(CONFIG, 19).save_pretrained(tmp_path / "hf")
    put_in_cache(cache, tmp_path / "hf")
    predictor = pantile.load(NAME, device="cpu")
    assert predictor.task.config.model == CONFIG
    assert predictor.task.config.recipe == "mask2former_r50_cityscapes"
    assert predictor.taxonomy.names[:2] == ("road", "sidewalk")


def test_a_cached_name_is_evaluated_and_trained_on(cache, tmp_path, capfd):
    huggingface_mask2former(CONFIG, 19).save_pretrained(tmp_path / "hf")
    put_in_cache(cache, tmp_path / "hf")
    assert main(["eval", NAME, "--data", "scenes:1"]) == 2
    assert "the data lacks" in capfd.readouterr().err  # it is of Cityscapes
    changed = {name: value for name, value in vars(CONFIG).items() if value != getattr(Mask2FormerConfig(), name)}
    model = [f"model.{name}={value}" for name, value in changed.items()]
    run = ["training.steps=1", "training.effective_batch=2", "training.workers=0", "training.validation_images=1"]
    command = ["train", "mask2former_nano", "--data", "scenes:2", "--init", NAME, "--out", str(tmp_path / "run")]
    assert (
        main(
            [
                *command,
                "--set",
                *run,
                *model,
                "model.frozen_batch_norm=true",
                "augment.crop=[65,65]",
                "evaluation_size=[65,65]",
            ]
        )
        == 0
    )


def test_shards_are_joined(cache, tmp_path):
    huggingface_mask2former(CONFIG, 19).save_pretrained(tmp_path / "hf", max_shard_size="20MB")
    assert len(list((tmp_path / "hf").glob("model-*.safetensors"))) > 1
    put_in_cache(cache, tmp_path / "hf")
    assert pantile.load(NAME, device="cpu").task.config.model == CONFIG


def test_without_network_and_cache_both_are_told(cache):
    with pytest.raises(UserError, match=f"{NAME}: no such file or folder, and Hugging Face's hub .* HF_HOME"):
        pantile.load(NAME)


def test_a_cached_model_without_weights_is_told(cache, tmp_path):
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "config.json").write_text("{}")
    put_in_cache(cache, tmp_path / "hf")
    with pytest.raises(UserError, match="did not give a model"):
        download(NAME)


def test_what_is_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    assert is_hub_name("facebook/mask2former-swin-tiny-coco-panoptic")
    for path in (
        "runs/mine",
        "runs/misspelt",
        "model",
        "runs/mine/last",
        "/somebody/model",
        "runs/a.ckpt",
        "runs/a.safetensors",
        "a/b.pkl",
    ):
        assert not is_hub_name(path), path
