"""VidEoMT against transformers; a film in one clip and in many; its folders, both ways."""

import math
from dataclasses import replace

import pytest
import torch
from model_contract import ModelContract, assert_same, randomise

from models.huggingface import huggingface_videomt
from pantile.contracts.errors import UserError
from pantile.convert.huggingface_eomt import (
    export_huggingface_eomt,
    huggingface_eomt_config,
    import_huggingface_eomt,
)
from pantile.models import create_model
from pantile.models.videomt import VidEoMTConfig, videomt_nano_config

TINY = replace(
    videomt_nano_config(), image_size=(32, 48), channels=32, layers=3, num_heads=2, ffn_channels=48, num_queries=6,
    query_layers=2,
)  # fmt: skip


class TestContract(ModelContract):
    # EoMT's, which take long
    test_compiles_without_a_graph_break = test_exports = test_training_in_bfloat16_has_finite_gradients = None
    test_shapes_with_one_class_and_other_bands = None

    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 4) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), 6, num_classes + 1)
        assert output.mask_logits.shape == (len(images), 6, *size)


@pytest.fixture(scope="module")
def theirs():
    return huggingface_videomt(5)


def ours_of(theirs, dtype=torch.float64):
    foreign = theirs.state_dict()
    config = huggingface_eomt_config(foreign, theirs.config.to_dict())
    assert isinstance(config, VidEoMTConfig)
    model = create_model(config, len(foreign["class_predictor.weight"]) - 1)
    model.load_state_dict(import_huggingface_eomt(config, foreign))
    return model.to(dtype).eval()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
@torch.no_grad()
def test_outputs_are_theirs(theirs, dtype, tolerance):
    """Theirs has frames outermost, ours clips."""
    clips, frames = 2, 3
    films = torch.randn(clips, frames, 3, 64, 64, generator=torch.Generator().manual_seed(2)).to(dtype)
    output = ours_of(theirs, dtype)(films.flatten(0, 1), frames=frames)
    wanted = theirs.to(dtype).eval()(pixel_values_videos=films)
    for ours, name in ((output.mask_logits, "masks_queries_logits"), (output.class_logits, "class_queries_logits")):
        expected = getattr(wanted, name).unflatten(0, (frames, clips)).transpose(0, 1).flatten(0, 1)
        assert (ours - expected).abs().max() < tolerance
        assert expected.std() > 0.1


def test_state_dict_there_and_back(theirs):
    ours = ours_of(theirs)
    state, wanted = export_huggingface_eomt(ours.config, ours.state_dict()), theirs.state_dict()
    assert state.keys() == wanted.keys()
    unused = "embeddings.mask_token"
    assert all(torch.equal(state[n].to(wanted[n].dtype), wanted[n]) for n in wanted if n != unused)


@pytest.mark.parametrize(("letter", "parameters"), [("s", 24_124_166), ("l", 317_746_310)])
def test_published_counts(letter, parameters):
    """Counted with their mask token, which nothing reads."""
    from pantile.recipes import make_recipe

    config = replace(make_recipe(f"videomt_{letter}_youtube_vis_2019").model, pretrained=False)
    with torch.device("meta"):
        model = create_model(config, 133)
    assert sum(p.numel() for p in model.parameters()) == parameters - config.channels


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = create_model(TINY, 4).eval()
    with torch.no_grad():
        randomise(made)
    return made


@torch.no_grad()
def test_a_film_in_one_clip_and_in_many_give_the_same(model):
    film = torch.rand(5, 3, 32, 48)
    whole = model(film, frames=5)
    queries, parts = None, []
    for start, frames in ((0, 2), (2, 1), (3, 2)):
        parts.append(model(film[start : start + frames], frames=frames, queries=queries))
        queries = parts[-1].next_queries
    for name in ("class_logits", "mask_logits", "query_embed"):
        joined = torch.cat([getattr(part, name) for part in parts])
        torch.testing.assert_close(joined, getattr(whole, name), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(queries, whole.next_queries, rtol=1e-4, atol=1e-5)
    alone = model(film[2:3])
    assert not torch.allclose(alone.class_logits, whole.class_logits[2:3], atol=1e-3)


@torch.no_grad()
def test_clips_of_a_batch_and_layers_lie_frame_by_frame(model):
    images = torch.rand(4, 3, 32, 48)
    both = model(images, layer_outputs=True, frames=2)
    second = model(images[2:], layer_outputs=True, frames=2)
    for prediction, alone in zip((both, *both.layers), (second, *second.layers), strict=True):
        assert prediction.frames == 2 and len(prediction.class_logits) == 4
        torch.testing.assert_close(prediction.mask_logits[2:], alone.mask_logits, rtol=1e-4, atol=1e-5)
    assert_same(replace(both, layers=()), model(images, frames=2), 1e-5)


def test_training_obeys_no_mask_and_carries_gradients_over_frames(model):
    model.train()
    try:
        model.set_progress(0.0)
        assert model.mask_probabilities == (0.0, 0.0)
        images = torch.rand(2, 3, 32, 48)
        output = model(images, frames=2)
        assert output.next_queries is None and len(output.layers) == 2
        model.zero_grad()
        output.class_logits[1].sum().backward()
        assert model.query_updater.weight.grad.abs().sum() > 0
    finally:
        model.eval()


def test_images_that_make_no_clips_are_told(model):
    with pytest.raises(UserError, match="3 images are no clips of 2 frames"):
        model(torch.rand(3, 3, 32, 48), frames=2)
