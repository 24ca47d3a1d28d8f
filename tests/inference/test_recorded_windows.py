"""Windows of the original Segmenter, recorded: a small network with the original's weights at three scales."""

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer

from pantile.backbones.timm_vit import ViTBackbone
from pantile.convert.segmenter import import_segmenter
from pantile.inference.views import Views, forward_views
from pantile.inference.windows import Windows, forward_windows
from pantile.merge.views import View, average_views
from pantile.models.segmenter import Segmenter, SegmenterConfig
from rankseg_blocks import Recording


@pytest.fixture(scope="module")
def recording(real_data):
    return Recording(real_data, "segmenter_mask")


@pytest.fixture(scope="module")
def windowed(recording):
    """From images to outputs averaged over windows."""
    told = recording.told
    side, patch, heads = told["pretrain_size"], told["patch"], told["heads"]
    vit = VisionTransformer(
        img_size=side, patch_size=patch, embed_dim=told["d_model"], depth=told["layers"], num_heads=heads
    )
    config = SegmenterConfig(
        backbone=ViTBackbone(vit, (side, side)),
        image_size=(side, side),
        decoder_layers=told["decoder_layers"],
        num_heads=heads,
    )
    model = Segmenter(config, told["n_cls"]).double().eval()
    model.load_state_dict(import_segmenter(config, recording.state()))
    window, stride = told["slide"]["window"], told["slide"]["stride"]
    windows = Windows((window, window), (stride, stride))
    return lambda images: forward_windows(model, images, windows)


@pytest.fixture(scope="module")
def image(recording):
    return recording["slide_image"].double()[None] / 127.5 - 1


@torch.no_grad()
def test_one_scale_and_its_mirror_image_alone(recording, windowed, image):
    probability = forward_views(windowed, image, Views()).dense().class_logits.softmax(dim=1)
    assert (probability[0] - recording["slide_prob"]).abs().max() < 1e-5
    mirrored = windowed(image.flip(-1)).dense().class_logits.softmax(dim=1).flip(-1)
    assert (mirrored[0] - recording["slide_prob_flip"]).abs().max() < 1e-5
    both = forward_views(windowed, image, Views(flip=True)).class_logits.softmax(dim=1)
    assert (both - (probability + mirrored) / 2).abs().max() < 1e-6


@torch.no_grad()
def test_three_scales_and_their_mirror_images(recording, windowed, image):
    """The smallest is enlarged to the window. The sizes are the recording's, which rounds halves to even numbers."""
    first, others = windowed(image), []
    for scale in recording.told["slide"]["scales"]:
        size = [round(length * scale) for length in image.shape[2:]]
        scaled = F.interpolate(image, size=size, mode="bilinear")
        output = windowed(scaled)
        assert list(output.grid.size) == recording.told["slide"]["resized"][str(scale)]
        others += [View(output, False)] if scale != 1 else []
        others.append(View(windowed(scaled.flip(-1)), True))
    probability = average_views(first, others, aligned=False).class_logits.softmax(dim=1)
    assert (probability[0] - recording["slide_prob_multiscale_flip"]).abs().max() < 1e-5
