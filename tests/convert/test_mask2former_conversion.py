"""Mask2Former and MaskFormer of the original repository and of Hugging Face: every tensor arrives, and goes back."""

import json
import pickle
import warnings
from dataclasses import replace

import pytest
import torch
from detectron2_layouts import (
    layout_of_mask2former,
    layout_of_maskformer,
    original_mask2former,
    original_maskformer,
    window_index,
)

import pantile
from models.huggingface import SWIN_TINY, huggingface_mask2former, huggingface_maskformer
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.convert.foreign_checkpoint import FAMILIES, load_foreign
from pantile.convert.huggingface_mask2former import import_mask2former as import_known_config
from pantile.convert.huggingface_maskformer import import_maskformer as import_known_maskformer
from pantile.convert.mask2former import import_mask2former
from pantile.convert.maskformer import import_maskformer
from pantile.data.classes import cityscapes, coco
from pantile.engine.checkpoint import load_checkpoint
from pantile.models import Mask2FormerConfig, MaskFormerConfig, create_model

SMALL = {"num_queries": 10, "channels": 64, "embed_channels": 32}
MASK2FORMER = Mask2FormerConfig(
    **SMALL, encoder_layers=2, encoder_ffn_channels=96, decoder_layers=3, decoder_ffn_channels=128, num_heads=4
)
MASKFORMER = MaskFormerConfig(**SMALL, encoder_layers=0, decoder_layers=2, ffn_channels=96)
MODELS = [
    (replace(config, backbone=backbone, backbone_drop_path=0.3 if backbone == SWIN_TINY else 0.0))
    for config in (MASK2FORMER, MASKFORMER)
    for backbone in ("resnet18", SWIN_TINY)
]
IMPORTS = {"mask2former": import_mask2former, "maskformer": import_maskformer}
THEIRS = {"mask2former": huggingface_mask2former, "maskformer": huggingface_maskformer}
TO_ORIGINAL = {"mask2former": original_mask2former, "maskformer": original_maskformer}
WITH_KNOWN_CONFIG = {"mask2former": import_known_config, "maskformer": import_known_maskformer}

# (our config, classes, layout, published number of parameters)
PUBLISHED = {
    "Mask2Former R50 COCO": (
        Mask2FormerConfig(backbone="resnet50"), 133, lambda: layout_of_mask2former("resnet50", 133), 43_983_878,
    ),
    "Mask2Former Swin-T COCO": (
        Mask2FormerConfig(backbone=SWIN_TINY), 133, lambda: layout_of_mask2former("swin_tiny", 133), 47_435_264,
    ),
    "Mask2Former R50 Cityscapes": (
        Mask2FormerConfig(backbone="resnet50", frozen_batch_norm=False), 19,
        lambda: layout_of_mask2former("resnet50", 19, counters=True), 44_007_700,
    ),
    "MaskFormer R50 + 6 Enc COCO": (
        MaskFormerConfig(backbone="resnet50"), 133, lambda: layout_of_maskformer("resnet50", 133, 6), 45_012_038,
    ),
    "MaskFormer R101c ADE20K": (
        MaskFormerConfig(backbone="resnet101s", encoder_layers=0), 150,
        lambda: layout_of_maskformer("resnet101s", 150, 0), 60_318_039,
    ),
    "MaskFormer Swin-T COCO": (
        MaskFormerConfig(backbone=SWIN_TINY, encoder_layers=0), 133,
        lambda: layout_of_maskformer("swin_tiny", 133, 0), 41_752_640,
    ),
}  # fmt: skip


def is_learned(name, shapes):
    """Frozen norms learn nothing; they are told by missing counters."""
    if name.endswith(("running_mean", "running_var", "batches_tracked", "position_index", "empty_weight")):
        return False
    frozen = f"{name.rpartition('.')[0]}.running_mean" in shapes
    return not frozen or f"{name.rpartition('.')[0]}.num_batches_tracked" in shapes


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_original_layout_is_the_published_one(name):
    config, classes, make_layout, parameters = PUBLISHED[name]
    layout = make_layout()
    assert sum(torch.Size(shape).numel() for key, shape in layout.items() if is_learned(key, layout)) == parameters
    with torch.device("meta"):
        state = create_model(config, classes).state_dict()
    exported = FAMILIES[config.architecture].to_original(config, state)
    assert {key: tuple(tensor.shape) for key, tensor in exported.items()} == layout


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_config_follows_from_the_shapes(name):
    config, classes, make_layout, _ = PUBLISHED[name]
    foreign = {key: torch.empty(shape, device="meta") for key, shape in make_layout().items()}
    found, state = IMPORTS[config.architecture](foreign, None)
    assert replace(found, backbone_drop_path=0.0) == config
    assert len(state["classifier.bias"]) == classes + 1


@pytest.fixture(scope="module", params=MODELS, ids=lambda c: f"{c.architecture} {c.backbone[:8]}")
def case(request):
    """(config, Hugging Face's model, our state dict by the conversion that the models' own tests prove)."""
    config = request.param
    theirs = THEIRS[config.architecture](config, 19)
    return config, theirs, WITH_KNOWN_CONFIG[config.architecture](config, theirs.state_dict())


def pickled(path, state):
    path.write_bytes(pickle.dumps({"model": {name: t.numpy() for name, t in state.items()}, "__author__": "x"}))
    return path


def test_the_original_file_arrives_and_goes_back(case, tmp_path):
    config, theirs, expected = case
    original = TO_ORIGINAL[config.architecture](theirs.state_dict())
    pickled(tmp_path / "model.pkl", original)
    ours, back = tmp_path / "ours.safetensors", tmp_path / "back.pkl"
    assert main(["convert", config.architecture, str(tmp_path / "model.pkl"), "--out", str(ours)]) == 0
    checkpoint = load_checkpoint(ours)
    assert checkpoint.config.model == config and checkpoint.taxonomy == cityscapes.TAXONOMY
    state = checkpoint.part("model")
    assert state.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())

    assert main(["convert", config.architecture, str(ours), "--to", "original", "--out", str(back)]) == 0
    returned = pickle.loads(back.read_bytes())["model"]
    assert returned.keys() == original.keys()
    for name, tensor in original.items():
        assert returned[name].dtype == tensor.numpy().dtype, name
        assert (returned[name] == tensor.numpy()).all(), name


@pytest.mark.parametrize("version_4_names", [True, False])
def test_a_folder_of_hugging_face_predicts_the_same(case, tmp_path, version_4_names):
    config, theirs, expected = case
    theirs.save_pretrained(tmp_path / "hf", save_original_format=version_4_names)
    predictor = pantile.load(tmp_path / "hf", device="cpu")
    assert predictor.task.config.model == config and predictor.taxonomy == cityscapes.TAXONOMY
    state = load_foreign(tmp_path / "hf").part("model")
    assert state.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state.items())
    images = torch.randint(0, 256, (1, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()
    with torch.no_grad():
        output, wanted = predictor.task(images), theirs((images - predictor.task.mean) / predictor.task.std)
    torch.testing.assert_close(output.mask_logits, wanted.masks_queries_logits, atol=1e-4, rtol=0)
    torch.testing.assert_close(output.class_logits, wanted.class_queries_logits, atol=1e-4, rtol=0)


def test_what_old_hub_files_have_more_or_less_does_not_matter():
    config = replace(MASK2FORMER, backbone=SWIN_TINY)
    theirs = huggingface_mask2former(config, 3).state_dict()
    root = "model.pixel_level_module.encoder."
    old = {name: t for name, t in theirs.items() if not name.startswith((f"{root}swin.layernorm", "criterion."))}
    old[f"{root}encoder.layers.0.blocks.0.attention.self.relative_position_index"] = window_index(7)
    assert len(old) == len(theirs) - 2
    _, state = import_mask2former(old, None)
    expected = import_known_config(config, theirs)
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_categories_and_recipe_can_be_given(original, tmp_path):
    path, ours = pickled(tmp_path / "model.pkl", original), tmp_path / "ours.safetensors"
    taxonomy = plain_taxonomy(["grass", "tree", "cow", "sheep", "sky"], things=["cow", "sheep"])
    (tmp_path / "categories.json").write_text(json.dumps({"categories": taxonomy.to_coco()}))
    options = ["--categories", str(tmp_path / "categories.json"), "--recipe", "mask2former_r50_ade20k"]
    assert main(["convert", "mask2former", str(path), "--out", str(ours), *options]) == 0
    checkpoint = load_checkpoint(ours)
    assert (checkpoint.taxonomy, checkpoint.config.recipe) == (taxonomy, "mask2former_r50_ade20k")
    assert checkpoint.config.evaluation_size.short_side == 640


@pytest.fixture(scope="module")
def original():
    """A small Mask2Former in the original layout."""
    config = replace(MASK2FORMER, backbone="resnet18")
    return original_mask2former(huggingface_mask2former(config, 5).state_dict())


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # five classes have no names
        yield


def test_names_of_the_first_release_are_known(original, tmp_path):
    old = {
        name.replace("query_feat", "static_query").replace("sem_seg_head.pixel_decoder.", "sem_seg_head."): tensor
        for name, tensor in original.items()
    }
    assert len(old.keys() - original.keys()) > 30
    torch.save({"model": old, "iteration": 3}, tmp_path / "old.pth")
    torch.save({"model": original}, tmp_path / "new.pth")
    expected = load_foreign(tmp_path / "new.pth").state
    state = load_foreign(tmp_path / "old.pth").state
    assert state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in state)


def test_window_tables_are_made_anew():
    config = replace(MASK2FORMER, backbone=SWIN_TINY)
    with torch.device("meta"):
        state = create_model(config, 3).state_dict()
    exported = FAMILIES["mask2former"].to_original(config, state)
    index = exported["backbone.layers.3.blocks.1.attn.relative_position_index"]
    assert torch.equal(index, window_index(7)) and index.dtype == torch.int64
    assert exported["criterion.empty_weight"].tolist() == pytest.approx([1, 1, 1, 0.1])


def test_half_precision_becomes_single(original, tmp_path):
    halves = {name: t.half() if t.is_floating_point() else t for name, t in original.items()}
    torch.save(halves, tmp_path / "half.pth")
    assert {t.dtype for t in load_foreign(tmp_path / "half.pth").state.values()} == {torch.float32}


def test_trained_batch_norms_stay_trainable():
    config = replace(MASK2FORMER, backbone="resnet18", frozen_batch_norm=False)
    state = {
        name: torch.tensor(7) if name.endswith("batches_tracked") else t
        for name, t in create_model(config, 3).state_dict().items()
    }
    for convert in (FAMILIES["mask2former"].to_original, FAMILIES["mask2former"].to_huggingface):
        found, back = import_mask2former(convert(config, state), None)
        assert found == config
        assert all(torch.equal(tensor, state[name]) for name, tensor in back.items())


class TestMistakes:
    def refused(self, tmp_path, state, words, **options):
        path = pickled(tmp_path / "model.pkl", state)
        with pytest.raises(UserError, match=words) as error:
            load_foreign(path, **options)
        assert str(path) in str(error.value)

    def test_a_layer_of_another_shape_is_named_with_both_shapes(self, original, tmp_path):
        name = "sem_seg_head.predictor.transformer_ffn_layers.1.linear2.weight"
        broken = original | {name: torch.zeros(64, 127)}
        self.refused(tmp_path, broken, rf"{name}.* has shape \(64, 127\) .* makes it \(64, 128\)")
        name = "sem_seg_head.predictor.transformer_self_attention_layers.0.self_attn.in_proj_weight"
        self.refused(tmp_path, original | {name: torch.zeros(190, 64)}, rf"{name}.*\(190, 64\).*\(192, 64\)")
        name = "sem_seg_head.predictor.class_embed.weight"
        self.refused(tmp_path, original | {name: torch.zeros(6)}, rf"{name} has shape \(6,\)")

    def test_missing_and_left_over_tensors_are_named(self, original, tmp_path):
        missing = {name: t for name, t in original.items() if name != "backbone.res3.1.conv2.weight"}
        self.refused(tmp_path, missing, r"1 tensors are missing \(first: backbone.res3.1.conv2.weight\)")
        self.refused(tmp_path, original | {"extra": torch.zeros(1)}, r"1 are left over \(first: extra\)")
        missing = {name: t for name, t in original.items() if "query_feat" not in name}
        self.refused(tmp_path, missing, "query_feat.weight is missing")

    def test_other_architectures_are_told(self, original, tmp_path):
        self.refused(tmp_path, original, "those of mask2former, not of maskformer", architecture="maskformer")
        self.refused(tmp_path, {"a": torch.zeros(1)}, "those of another architecture")
        other = {name.replace("backbone.res4", "backbone.res9"): t for name, t in original.items()}
        self.refused(tmp_path, other, "neither a ResNet .* nor a Swin")

    def test_another_class_count_is_told(self, original, tmp_path):
        self.refused(tmp_path, original, "has 5 classes, the categories are 133", taxonomy=coco.TAXONOMY)

    def test_a_recipe_of_another_architecture_is_told(self, original, tmp_path):
        path = pickled(tmp_path / "model.pkl", original)
        with pytest.raises(UserError, match="kmax_nano: is for kmax, the file is of mask2former"):
            load_foreign(path, recipe="kmax_nano")

    @pytest.mark.parametrize("suffix", [".pkl", ".pth", ".bin"])
    def test_a_file_with_code_in_it_is_refused(self, suffix, tmp_path):
        ran = tmp_path / "ran"

        class Evil:
            def __reduce__(self):
                return (ran.touch, ())

        path = tmp_path / f"evil{suffix}"
        if suffix == ".pkl":
            path.write_bytes(pickle.dumps({"model": Evil()}))
        else:
            torch.save({"model": Evil()}, path)
        with pytest.raises(UserError, match="cannot be read as plain tensors"):
            load_foreign(path)
        assert not ran.exists()

    def test_files_that_are_none(self, tmp_path):
        for name, words in (("absent.pkl", "no such file"), ("absent.safetensors", "no such file")):
            with pytest.raises(UserError, match=words):
                load_foreign(tmp_path / name)
        (tmp_path / "cut.safetensors").write_bytes(b"1234")
        with pytest.raises(UserError, match="cannot be read as safetensors"):
            load_foreign(tmp_path / "cut.safetensors")
        with pytest.raises(UserError, match=r"holds no config.json"):
            load_foreign(tmp_path)

    def test_wrong_suffixes_of_out(self, original, tmp_path, capsys):
        path = pickled(tmp_path / "model.pkl", original)
        ours = str(tmp_path / "ours.safetensors")
        assert main(["convert", "mask2former", str(path), "--out", str(tmp_path / "ours.bin")]) == 2
        assert main(["convert", "mask2former", str(path), "--out", ours]) == 0
        assert main(["convert", "mask2former", ours, "--to", "original", "--out", str(tmp_path / "a.bin")]) == 2
        assert main(["convert", "maskformer", ours, "--to", "original", "--out", str(tmp_path / "a.pkl")]) == 2
        told = capsys.readouterr().err
        assert "end the name in .safetensors" in told and ".pkl and .pth" in told
        assert "is of mask2former, not of maskformer" in told
