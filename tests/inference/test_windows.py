"""Sliding windows against the naive loops of the original Segmenter and of mmseg, with all K maps at full size."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import CenterOutput, MaskOutput, SemanticOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.engine.config import from_dict, override, to_dict
from pantile.inference.windows import Windows, forward_windows
from pantile.merge import QueryMergeConfig, QueryVotesConfig, merge
from pantile.merge.tile_layout import lay_windows
from pantile.merge.window_mosaic import WindowMosaic, as_taken
from tiny_runs import make_recipe

CLASSES, SELECTED, STRIDE = 7, 3, 8
NOTHING = torch.zeros(1, 1, 1, 1)


def class_maps(images: Tensor) -> Tensor:
    """(B, C, H, W) to (B, K, h, w): a network that knows where it is in its input, so that windows disagree."""
    patches = F.avg_pool2d(F.pad(images, (0, -images.shape[3] % STRIDE, 0, -images.shape[2] % STRIDE)), STRIDE)
    weight = (1.7 * torch.arange(CLASSES * images.shape[1])).sin().view(CLASSES, images.shape[1], 1, 1).to(images)
    maps = F.conv2d(patches, weight)
    return maps + torch.linspace(0, 1, maps.shape[3]).to(maps) * torch.arange(CLASSES).sin()[:, None, None]


def network(images: Tensor) -> SemanticOutput:
    return SemanticOutput(class_maps(images), NOTHING, NOTHING[0], CLASSES)


def selecting(images: Tensor) -> SemanticOutput:
    """Of each image, the classes that score most, best first."""
    maps = class_maps(images)
    classes = maps.mean(dim=(2, 3)).topk(SELECTED).indices
    return SemanticOutput(
        maps.gather(1, classes[..., None, None].expand(-1, -1, *maps.shape[2:])), NOTHING, NOTHING[0], CLASSES, classes
    )


def every_map(output: SemanticOutput | WindowMosaic) -> Tensor:
    """(B, K, h, w), -100 for what is not selected, as the port of RankSeg gives it."""
    output = as_taken(output, SemanticOutput)
    if output.classes is None:
        return output.class_logits
    full = torch.full((len(output.classes), CLASSES, *output.class_logits.shape[2:]), -100.0).to(output.class_logits)
    for image, classes in enumerate(output.classes.tolist()):
        for channel, label in enumerate(classes):
            full[image, label] = output.class_logits[image, channel]
    return full


def original(forward, images: Tensor, side: int, stride: int) -> Tensor:
    """Segmenter: enlarge, starts below size - window and the last, sums and counts."""
    height, width = images.shape[2:]
    if min(height, width) < side:
        size = (side, int(width / height * side)) if height < width else (int(height / width * side), side)
        images = F.interpolate(images, size, mode="bilinear")
        height, width = size
    rows, columns = ([*range(0, n - side, stride), n - side] for n in (height, width))
    total, count = 0 * images[:, :1].repeat(1, CLASSES, 1, 1), 0 * images[:, :1]
    for top in rows:
        for left in columns:
            part = (..., slice(top, top + side), slice(left, left + side))
            total[part] += F.interpolate(every_map(forward(images[part])), (side, side), mode="bilinear")
            count[part] += 1
    return total / count


def port(forward, images: Tensor, side: int, stride: int, probabilities: bool = False) -> Tensor:
    """mmseg: a whole number of strides, moved back inside; windows may be smaller."""
    height, width = images.shape[2:]
    total, count = 0 * images[:, :1].repeat(1, CLASSES, 1, 1), 0 * images[:, :1]
    for row in range(max(height - side + stride - 1, 0) // stride + 1):
        for column in range(max(width - side + stride - 1, 0) // stride + 1):
            bottom, right = min(row * stride + side, height), min(column * stride + side, width)
            part = (..., slice(max(bottom - side, 0), bottom), slice(max(right - side, 0), right))
            crop = images[part]
            maps = F.interpolate(every_map(forward(crop)), crop.shape[2:], mode="bilinear")
            total[part] += maps.softmax(dim=1) if probabilities else maps
            count[part] += 1
    return total / count


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Smooth, so that windows select different classes."""
    coarse = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return F.interpolate(coarse, size=(45, 61), mode="bilinear")


@pytest.mark.parametrize("forward", [network, selecting])
@pytest.mark.parametrize(("side", "stride"), [(32, 24), (32, 32), (45, 9), (50, 40), (64, 64)])
def test_logits_are_averaged_as_in_the_originals(images, forward, side, stride):
    for smaller, oracle in (("enlarge", original), ("shrink", port)):
        windows = Windows((side, side), (stride, stride), smaller_images=smaller)
        output = forward_windows(forward, images, windows)
        torch.testing.assert_close(every_map(output), oracle(forward, images, side, stride), atol=1e-12, rtol=0)


@pytest.mark.parametrize("forward", [network, selecting])
def test_probabilities_are_averaged_as_such(images, forward):
    windows = Windows((32, 32), (20, 20), "probabilities")
    output = forward_windows(forward, images, windows)
    expected = port(forward, images, 32, 20, probabilities=True)
    probability = output.class_logits.softmax(dim=1)
    torch.testing.assert_close(every_map(replace(output, class_logits=probability)).clamp(min=0), expected)


def test_only_classes_that_some_window_selects_have_maps(images):
    left, right = (selecting(images[:1, ..., part]).classes[0].tolist() for part in (slice(32), slice(29, 61)))
    union = sorted({*left, *right})
    assert SELECTED < len(union) < CLASSES
    output = forward_windows(selecting, images[:1], Windows((45, 32), (45, 29))).dense()
    assert output.classes.tolist() == [union]
    assert output.class_logits.shape == (1, len(union), 45, 61)


def test_a_channel_of_no_class_counts_for_none(images):
    def with_a_gap(images: Tensor) -> SemanticOutput:
        output = selecting(images)
        classes, logits = F.pad(output.classes, (0, 1), value=-1), F.pad(output.class_logits, (0, 0, 0, 0, 0, 1))
        return replace(output, classes=classes, class_logits=logits)

    one, other = (forward_windows(f, images, Windows((32, 32))) for f in (selecting, with_a_gap))
    assert torch.equal(one.classes, other.classes)
    torch.testing.assert_close(one.class_logits, other.class_logits)


def test_presence_is_the_mean_probability_of_the_windows(images):
    def with_presence(images: Tensor) -> SemanticOutput:
        return replace(network(images), presence_logits=class_maps(images).amax(dim=(2, 3)))

    output = forward_windows(with_presence, images, Windows((45, 32), (45, 29)))
    left, right = (class_maps(images[..., part]).amax(dim=(2, 3)).sigmoid() for part in (slice(32), slice(29, 61)))
    torch.testing.assert_close(output.presence_logits.sigmoid(), (left + right).float() / 2)


def test_starts_of_windows():
    assert lay_windows((70, 90), (64, 64), (48, 48)).rows == ((0, 64), (6, 70))
    assert lay_windows((88, 112), (64, 64), (48, 48)).columns == ((0, 64), (48, 112))
    assert lay_windows((64, 50), (64, 64), (48, 48)).windows == ((0, 0, 64, 50),)
    assert lay_windows((10, 10), (4, 4), (3, 3)).rows == ((0, 4), (3, 7), (6, 10))


def test_enlarged_sizes():
    assert Windows((64, 64)).input_size((52, 68)) == (64, 83)
    assert Windows((64, 64)).input_size((68, 52)) == (83, 64)
    assert Windows((64, 64)).input_size((64, 65)) == (64, 65)
    assert Windows((32, 64)).input_size((40, 48)) == (53, 64)
    assert Windows((64, 64), smaller_images="shrink").input_size((52, 68)) == (52, 68)


def test_models_of_things_are_told_to_use_tiles(images):
    def centers(images: Tensor) -> CenterOutput:
        return CenterOutput(NOTHING, NOTHING, NOTHING)

    with pytest.raises(UserError, match="a CenterOutput tells things apart by centres"):
        forward_windows(centers, images, Windows((32, 32)))


def queries(images: Tensor) -> MaskOutput:
    """Three queries, whose classes depend on the window's first pixel and whose masks on its pixels; stride 4."""
    masks = F.avg_pool2d(images, 4)
    classes = torch.linspace(-2, 2, 12).view(1, 3, 4) * (1 + images[:, 0, 0, 0].view(-1, 1, 1))
    return MaskOutput(classes, masks, classes, NOTHING, NOTHING, presence_logits=classes[:, 0, :3])


def test_queries_vote_in_their_windows_and_the_votes_are_averaged(images):
    """Against the sums as Mask2Former's semantic inference has them, window by window."""
    layout = lay_windows(tuple(images.shape[2:]), (32, 32), (16, 29))
    expected = images.new_zeros(len(images), 3, *layout.size)
    seen = torch.zeros(layout.size)
    for window in layout.windows:
        output = queries(images[..., *window.slices])
        masks = F.interpolate(output.mask_logits, window.size, mode="bilinear").sigmoid()
        expected[..., *window.slices] += torch.einsum(
            "bqc,bqhw->bchw", output.class_logits.softmax(-1)[..., :-1], masks
        )
        seen[window.slices] += 1
    found = forward_windows(queries, images, Windows((32, 32), (16, 29), average="votes"))
    torch.testing.assert_close(found.class_logits, (expected / seen).log())
    assert found.classes is None and found.num_classes == 3 and found.presence_logits.shape == (len(images), 3)


def test_queries_of_selected_classes(images):
    """Every window another pair: classes that none selects have no map, the others no vote where they are not."""
    turn = itertools.cycle([torch.tensor([2, 0]), torch.tensor([0, 2]), torch.tensor([2, 0])])

    def ranked(images: Tensor) -> MaskOutput:
        output = queries(images)
        chosen = next(turn).expand(len(images), -1)
        hidden = output.class_logits.index_fill(2, torch.tensor([1]), -100.0)
        return replace(output, class_logits=hidden, classes=chosen)

    def hidden(images: Tensor) -> MaskOutput:
        return replace(ranked(images), classes=None)

    windows = Windows((32, 32), (16, 29), average="votes")
    some, every = forward_windows(ranked, images, windows), forward_windows(hidden, images, windows)
    assert some.classes.tolist() == [[0, 2]] * len(images)
    torch.testing.assert_close(some.class_logits, every.class_logits[:, [0, 2]])
    assert every.class_logits[:, 1].exp().max() < 1e-6


def test_a_merge_of_queries_refuses_what_windows_leave(images):
    taxonomy = plain_taxonomy(["a", "b", "c"], things=[])
    with pytest.raises(UserError, match=r"windows\.average=votes and merge\.kind=query_votes"):
        forward_windows(queries, images, Windows((32, 32)))
    output = forward_windows(queries, images, Windows((32, 32), average="votes"))
    placements = [Placement.whole(tuple(images.shape[2:]))] * len(images)
    with pytest.raises(UserError, match=r"merge\.kind=query_argmax takes a MaskOutput"):
        merge(output, taxonomy, QueryMergeConfig(), placements)
    first = merge(output, taxonomy, QueryVotesConfig(), placements, frozenset({"semantic"}))[0]
    assert first.per_class and (first.semantic == output.class_logits[0].argmax(dim=0).numpy()).all()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(((0, 4),), "windows.size"), (((8, 8), (9, 8)), "windows.stride"), (((8, 8), (8, 0)), "windows.stride")],
)
def test_numbers_that_make_no_sense_are_refused_in_one_sentence(arguments, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        Windows(*arguments)
    assert "\n" not in str(error.value)


def test_a_run_says_its_windows():
    config = override(make_recipe("mask2former_nano"), ["windows.size=[480, 480]", "windows.stride=[320, 320]"])
    assert config.windows == Windows((480, 480), (320, 320))
    assert from_dict(to_dict(config)).windows == config.windows
    with pytest.raises(UserError, match=r"windows\.stride is"):
        override(config, ["windows.stride=[500, 500]"])
    assert override(config, ["windows=null"]).windows is None
