"""Mask2Former for video: the original's recorded decoder, and what clips are to an image model."""

import math
from dataclasses import replace

import pytest
import torch
from model_contract import ModelContract, assert_same, randomise

from pantile.contracts.errors import UserError
from pantile.layers.position_encoding import sine_positions, sine_times
from pantile.models import create_model
from pantile.models.mask2former import mask2former_nano_config
from pantile.models.mask2former_video import mask2former_video_nano_config
from rankseg_blocks import Recording
from recorded_decoders import decoder_model, loss_of

TINY = replace(
    mask2former_video_nano_config(),
    num_queries=7, channels=32, embed_channels=16, num_heads=2, encoder_layers=1, encoder_ffn_channels=48,
    decoder_ffn_channels=64,
)  # fmt: skip


class TestContract(ModelContract):
    # Mask2Former's, which take long
    test_compiles_without_a_graph_break = test_exports = test_training_in_bfloat16_has_finite_gradients = None
    test_shapes_with_one_class_and_other_bands = None

    def config(self):
        return TINY

    def check_shapes(self, output, num_classes, images):
        size = tuple(math.ceil(side / 4) for side in images.shape[2:])
        assert output.class_logits.shape == (len(images), 7, num_classes + 1)
        assert output.mask_logits.shape == (len(images), 7, *size)


def test_positions_of_the_original(real_data):
    """(B, T, C, h, w) of a clip in which nothing is padding."""
    expected = Recording(real_data, "position_3d")["pos"][0]
    frames, channels, height, width = expected.shape
    device = torch.device("cpu")
    places = sine_positions(((height, width),), channels, device).T.view(channels, height, width)
    actual = sine_times(frames, channels, device)[:, :, None, None] + places
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["m2f_decoder_video_train", "m2f_decoder_video_test", "m2f_rank_decoder_video"])
def test_decoder_of_the_original(real_data, name):
    recording = Recording(real_data, name)
    clips, frames = recording.told["B"], recording.told["frames"]
    model = decoder_model(recording, mask2former_video_nano_config())
    blank = torch.zeros(clips * frames, 3, 64, 64, dtype=torch.float64)
    output = model(blank, layer_outputs=True, frames=frames)
    outputs = (*output.layers, output)
    last = len(outputs) - 1
    for index, each in enumerate(outputs):
        assert each.frames == frames
        logits = each.class_logits.unflatten(0, (clips, frames))
        for frame in range(frames):
            torch.testing.assert_close(logits[:, frame], recording[f"pred_logits_{index}"], rtol=0, atol=1e-5)
    masks = {index: outputs[index].mask_logits.unflatten(0, (clips, frames)).transpose(1, 2) for index in (0, last)}
    for index, each in masks.items():  # recorded in single precision
        torch.testing.assert_close(each, recording[f"pred_masks_{index}"], rtol=1e-6, atol=1e-5)
    loss_of(recording, output.class_logits[::frames], masks[last]).backward()
    for name in ("x0", "mask_features"):
        gradient = model.pixel_decoder.inputs[name].grad
        torch.testing.assert_close(gradient, recording[f"grad_{name}"], rtol=1e-6, atol=1e-5)
    expected = recording.told["grad_norm"]
    for ours, theirs in (("level_embed", "level_embed.weight"), ("query_content", "query_feat.weight")):
        assert float(getattr(model, ours).grad.norm()) == pytest.approx(expected[theirs], rel=1e-5)
    if name == "m2f_rank_decoder_video":
        middle = output.middle_queries[::frames].transpose(0, 1)
        torch.testing.assert_close(middle, recording["query_feature_2"], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = create_model(TINY, 5).eval()
    with torch.no_grad():
        randomise(made)
    return made


@torch.no_grad()
def test_weights_are_an_image_models_and_an_image_is_a_clip_of_one_frame(model):
    images = torch.rand(3, 3, 64, 96)
    assert_same(model(images), model(images, frames=1))
    plain = create_model(replace(mask2former_nano_config(), **vars(TINY) | {"architecture": "mask2former"}), 5).eval()
    plain.load_state_dict(model.state_dict())
    constant = sine_times(1, TINY.channels, torch.device("cpu"))
    moved = type(plain).key_positions
    plain.key_positions = lambda pixels, frames: [place + constant for place in moved(plain, pixels, frames)]
    assert_same(plain(images), model(images), 1e-5)


@torch.no_grad()
def test_clips_of_a_batch_do_not_see_each_other_and_frames_do(model):
    images = torch.rand(4, 3, 64, 64)
    both, second = model(images, frames=2), model(images[2:], frames=2)
    torch.testing.assert_close(both.class_logits[2:], second.class_logits)
    torch.testing.assert_close(both.mask_logits[2:], second.mask_logits)
    assert torch.equal(both.class_logits[0], both.class_logits[1])
    assert torch.equal(both.query_embed[0], both.query_embed[1])
    changed = images.clone()
    changed[1] = 0
    assert not torch.allclose(model(changed, frames=2).class_logits[0], both.class_logits[0])
    swapped = model(images[[1, 0, 3, 2]], frames=2)
    assert not torch.allclose(swapped.class_logits, both.class_logits)  # the order of time counts


@torch.no_grad()
def test_steering_sees_frames_and_confines_each(model):
    images = torch.rand(4, 3, 65, 65)
    free = model(images, layer_outputs=True, frames=2)
    model.steer = lambda index, output: output.mask_logits
    try:
        assert_same(model(images, layer_outputs=True, frames=2), free, 1e-4)
    finally:
        model.steer = None


def test_images_that_make_no_clips_are_told(model):
    with pytest.raises(UserError, match="5 images are no clips of 2 frames"):
        model(torch.rand(5, 3, 64, 64), frames=2)
