"""EoMT against transformers' two implementations and the published counts."""

import math
from dataclasses import replace

import pytest
import torch
from model_contract import ModelContract

from models.huggingface import EOMT_FORMS, huggingface_eomt
from pantile.convert.huggingface_eomt import (
    export_huggingface_eomt,
    huggingface_eomt_config,
    import_huggingface_eomt,
)
from pantile.models.eomt import EoMT, eomt_nano_config
from pantile.recipes import make_recipe

TINY = replace(
    eomt_nano_config(),
    image_size=(32, 48),
    channels=32,
    layers=3,
    num_heads=2,
    ffn_channels=48,
    num_queries=6,
    query_layers=2,
    mask_annealing=((0.2, 0.4), (0.4, 0.6)),
)


class TestContract(ModelContract):
    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 4) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), 6, num_classes + 1)
        assert output.mask_logits.shape == (len(images), 6, *size)
        assert output.pixel_embed.shape == (len(images), 32, *size)


class TestContractOfRotaryPositions(TestContract):
    test_compiles_without_a_graph_break = test_exports = None  # slow, and the blocks are the same

    def config(self):
        return replace(TINY, positions="rotary", gated=True, slow_query_layers=False)


def ours_of(theirs, dtype=torch.float64) -> EoMT:
    foreign = theirs.state_dict()
    config = huggingface_eomt_config(foreign, theirs.config.to_dict())
    model = EoMT(config, len(foreign["class_predictor.weight"]) - 1)
    model.load_state_dict(import_huggingface_eomt(config, foreign))
    return model.to(dtype).eval()


@pytest.fixture(scope="module", params=EOMT_FORMS)
def theirs(request):
    return huggingface_eomt(request.param, 5)


def images(batch=2, dtype=torch.float64):
    return torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(2)).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
@torch.no_grad()
def test_outputs_are_theirs(theirs, dtype, tolerance):
    output = ours_of(theirs, dtype)(images(dtype=dtype))
    wanted = theirs.to(dtype).eval()(pixel_values=images(dtype=dtype))
    assert (output.mask_logits - wanted.masks_queries_logits).abs().max() < tolerance
    assert (output.class_logits - wanted.class_queries_logits).abs().max() < tolerance
    assert wanted.masks_queries_logits.std() > 0.1


@torch.no_grad()
def test_masked_training_is_theirs(theirs):
    """With every mask obeyed, which theirs does in eval mode, too (in float64 only with eager attention)."""
    theirs = theirs.double().eval()
    theirs.set_attn_implementation("eager")
    theirs.attn_mask_probs.fill_(1)
    try:
        wanted = theirs(pixel_values=images())
    finally:
        theirs.attn_mask_probs.zero_()
    ours = ours_of(theirs).train()
    ours.backbone.eval()  # rotary coordinates are drawn in training
    output = ours(images())
    assert (output.mask_logits - wanted.masks_queries_logits).abs().max() < 2e-6  # theirs has a softmax in float32
    assert len(output.layers) == 2
    unmasked = ours.eval()(images())
    assert (output.mask_logits - unmasked.mask_logits).abs().max() > 1e-3


def test_state_dict_there_and_back(theirs):
    ours = ours_of(theirs)
    state, wanted = export_huggingface_eomt(ours.config, ours.state_dict()), theirs.state_dict()
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name].to(wanted[name].dtype), wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [
        ("eomt_s_coco", 23_975_942),
        ("eomt_b_coco", 93_663_110),
        ("eomt_l_coco", 316_695_686),
        ("eomt_g_coco", 1_163_622_022),
        ("eomt_dinov3_l_coco", 315_032_710),
    ],
)
def test_published_counts(recipe, parameters):
    with torch.device("meta"):
        model = EoMT(replace(make_recipe(recipe).model, pretrained=False), 133)
    assert sum(p.numel() for p in model.parameters()) == parameters
