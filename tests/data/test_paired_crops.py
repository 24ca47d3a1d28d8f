"""Paired crops: the stream, the scale and the window against naive statements of the paper's section 4.2."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.augment_config import AugmentConfig, PairConfig
from pantile.data.loading import training_loader
from pantile.data.paired_crops import PairedCropSampler
from pantile.data.sampler import Draw, Focus
from pantile.data.scenes import Scenes
from pantile.data.segment_index import SegmentIndex, segment_index
from pantile.data.training_samples import TrainingSample, TrainingSamples
from pantile.data.windows import FocusBox, draw_window, focus_scale

INDEX = SegmentIndex((1, 2, 6), (np.array([0, 3, 4, 9]), np.array([7]), np.array([3, 5])))
SIZES = (32, 64, 128)
PLAIN = AugmentConfig(
    crop=(65, 97), ssd_jitter=False, copy_paste=0.0, redraws=0, flip=0.0, scale_range=(1.0, 1.0), pairs=PairConfig()
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def take(count: int, **options) -> list[Draw]:
    return list(islice(PairedCropSampler(INDEX, SIZES, **options), count))


def test_partners_share_class_and_size() -> None:
    stream = take(600, seed=2)
    assert [draw.number for draw in stream] == list(range(600))
    for first, second in zip(stream[::2], stream[1::2], strict=True):
        assert first.focus == second.focus
        assert first.focus.target_size in SIZES
        images = INDEX.images[INDEX.classes.index(first.focus.class_index)]
        assert {first.dataset_index, second.dataset_index} <= set(images.tolist())


def test_each_round_shuffles_the_classes() -> None:
    classes = [draw.focus.class_index for draw in take(600)[::2]]
    rounds = [tuple(classes[k : k + 3]) for k in range(0, 300, 3)]
    assert all(sorted(one) == [1, 2, 6] for one in rounds)
    assert set(Counter(rounds)) == {(1, 2, 6), (1, 6, 2), (2, 1, 6), (2, 6, 1), (6, 1, 2), (6, 2, 1)}


def test_images_and_sizes_are_uniform_and_independent() -> None:
    """Every (first image, second image, size) of a class with four images is as likely as every other."""
    stream = list(islice(PairedCropSampler(SegmentIndex((1,), INDEX.images[:1]), SIZES, seed=1), 2 * 2400))
    counts = Counter(
        (a.dataset_index, b.dataset_index, a.focus.target_size) for a, b in zip(stream[::2], stream[1::2], strict=True)
    )
    assert len(counts) == 4 * 4 * 3
    assert all(15 < count < 86 for count in counts.values())  # 50, five deviations of 7
    chi_square = sum((count - 50) ** 2 / 50 for count in counts.values())
    assert 10 < chi_square < 95  # 47 degrees of freedom: 47 +- 10


def test_one_image_is_its_own_partner() -> None:
    pairs = [draw for draw in take(60) if draw.focus.class_index == 2]
    assert {draw.dataset_index for draw in pairs} == {7}
    assert len({draw.number for draw in pairs}) == len(pairs)


def test_seed_decides() -> None:
    assert take(40, seed=1) == take(40, seed=1) != take(40, seed=2)


@pytest.mark.parametrize("start", [0, 2, 6, 58])
def test_start_continues_the_same_stream(start: int) -> None:
    assert take(20, seed=3, start=start) == take(80, seed=3)[start : start + 20]


@pytest.mark.parametrize(("world_size", "batch", "start"), [(2, 4, 0), (2, 2, 8), (3, 6, 18)])
def test_processes_see_the_effective_batches_of_one(world_size: int, batch: int, start: int) -> None:
    steps, effective = 4, world_size * batch
    alone = take(steps * effective, seed=5, start=start)
    shares = [take(steps * batch, seed=5, start=start, rank=rank, world_size=world_size) for rank in range(world_size)]
    for step in range(steps):
        batches = [share[step * batch : (step + 1) * batch] for share in shares]
        for own in batches:  # partners stay together, at 2i and 2i + 1
            assert all(b.number == a.number + 1 and a.number % 2 == 0 for a, b in zip(own[::2], own[1::2], strict=True))
        assert sorted(draw for own in batches for draw in own) == sorted(
            alone[step * effective : (step + 1) * effective]
        )


def test_half_a_pair_and_a_wrong_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="start 3"):
        take(1, start=3)
    with pytest.raises(ValueError, match="rank 2"):
        take(1, rank=2, world_size=2)


@pytest.mark.parametrize("center", [(0, 0), (39, 59), (7, 30), (20, 52), (39, 0)])
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.9])
def test_windows_are_uniform_among_those_with_the_center(center: tuple[int, int], scale: float) -> None:
    """Every window of the image is tried; those that contain the centre are drawn equally often."""
    source, crop, rng = (40, 60), (12, 20), np.random.default_rng(0)
    drawn = Counter()
    count = 6000
    for _ in range(count):
        window = draw_window(source, crop, scale, rng, center)
        drawn[window.top, window.left] += 1
        assert window.out_size == crop
    height, width = window.height, window.width
    legal = [
        (top, left)
        for top in range(source[0] - height + 1)
        for left in range(source[1] - width + 1)
        if top <= center[0] < top + height and left <= center[1] < left + width
    ]
    assert set(drawn) <= set(legal)
    for axis in (0, 1):
        marginal, places = Counter(), {place[axis] for place in legal}
        for place, times in drawn.items():
            marginal[place[axis]] += times
        assert set(marginal) == places
        mean = count / len(places)
        assert all(abs(times - mean) < 5 * mean**0.5 for times in marginal.values())


def test_offsets_are_the_published_range() -> None:
    """Offset in [max(c - crop, 0), min(size - crop, c - 1)], where c counts the centre's pixel from 1."""
    rng = np.random.default_rng(0)
    for center in range(50):
        offsets = {draw_window((1, 50), (1, 16), 1.0, rng, (0, center)).left for _ in range(200)}
        c = center + 1
        assert (min(offsets), max(offsets)) == (max(c - 16, 0), min(50 - 16, c - 1))


def test_an_axis_that_fits_is_kept_whole() -> None:
    window = draw_window((20, 60), (30, 30), 1.0, np.random.default_rng(0), (3, 59))
    assert (window.top, window.height, window.left, window.width) == (0, 20, 30, 30)


@pytest.mark.parametrize("size", [(1024, 2048), (2048, 1024), (300, 200)])
def test_scale_by_the_naive_statement(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    limited = Counter()
    for _ in range(300):
        h, w = int(rng.integers(1, size[0])), int(rng.integers(1, size[1]))
        s = int(rng.choice([32, 64, 128, 256, 512]))
        pairs = PairConfig(min_short_side=512, max_short_side=3096, max_long_side=5000)
        scale = focus_scale(size, FocusBox(0, 0, h, w, s), AugmentConfig(crop=(512, 1024), pairs=pairs), rng)
        r = s / np.sqrt(w * h)
        short, long = min(size) * r, max(size) * r
        if short < 512:
            short, long = 512, 512 * long / short
        if short > 3096:
            short, long = 3096, 3096 * long / short
        if long > 5000:
            short, long = 5000 * short / long, 5000
        assert (min(size) * scale, max(size) * scale) == pytest.approx((short, long))
        limited[round(short) if abs(short / min(size) - r) > 1e-9 else "free"] += 1
    assert limited["free"] > 20
    assert len(limited) >= 3


def test_limits_follow_the_crop() -> None:
    tiny, huge = FocusBox(0, 0, 2, 2, 512), FocusBox(0, 0, 900, 900, 32)
    config, rng = AugmentConfig(crop=(512, 1024), pairs=PairConfig()), np.random.default_rng(0)
    assert focus_scale((1024, 2048), huge, config, rng) * 1024 == pytest.approx(512)
    assert focus_scale((1024, 2048), tiny, config, rng) * 1024 == pytest.approx(6 * 512)


def test_stuff_takes_the_scale_of_the_recipe() -> None:
    config = AugmentConfig(crop=(50, 50), short_side=(60, 75, 90), pairs=PairConfig())
    rng = np.random.default_rng(0)
    sides = {round(80 * focus_scale((80, 120), FocusBox(0, 0, 3, 3), config, rng)) for _ in range(60)}
    assert sides == {60, 75, 90}
    above = replace(config, pairs=PairConfig(min_short_side=70, max_short_side=80))
    assert {round(80 * focus_scale((80, 120), FocusBox(0, 0, 3, 3), above, rng)) for _ in range(60)} == {70, 75, 80}


class OneCat:
    """A 160x240 image of sky with a 24x54 cat, as large a crowd of cats elsewhere, and a diagonal line of grass."""

    taxonomy = plain_taxonomy(["cat", "sky", "grass", "dog"], things=["cat", "dog"])

    def __len__(self) -> int:
        return 1

    def name_of(self, index: int) -> str:
        return "one.png"

    def load(self, index: int):
        ids = np.full((160, 240), 7, np.int32)
        ids[np.arange(160), np.arange(160) * 239 // 159] = 3
        ids[40:64, 100:154] = 5
        ids[130:154, 180:234] = 9
        image = np.stack([np.broadcast_to(np.arange(160)[:, None], ids.shape), np.tile(np.arange(240), (160, 1)), ids])
        segments = (Segment(9, 0, is_crowd=True), Segment(7, 1), Segment(5, 0), Segment(3, 2))
        return image.transpose(1, 2, 0).astype(np.uint8), PanopticMap(ids, segments)


def box_size(sample: TrainingSample, class_index: int) -> float:
    """Root of the area of the box of the class's one row without crowd."""
    row = int(torch.nonzero((sample.classes == class_index) & ~sample.crowd))
    rows, columns = torch.nonzero(sample.ids == row + 1, as_tuple=True)
    return float((rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)) ** 0.5


@pytest.mark.parametrize("target", [18, 36, 60])
def test_a_thing_gets_its_size(target: int) -> None:
    """The cat's box of 24x54 has the root 36; the crop is so large that it shows the cat whole."""
    config = replace(PLAIN, crop=(400, 600), pairs=PairConfig(min_short_side=1, max_short_side=400))
    sample = TrainingSamples(OneCat(), config)[Draw(0, 0, Focus(0, target))]
    assert box_size(sample, 0) == pytest.approx(target, rel=0.04)


def test_stuff_is_not_made_to_fit_a_size() -> None:
    """Red tells the row of the source: 64 rows of a crop at scale 1, whatever the size."""
    config = replace(PLAIN, crop=(65, 65), scale_relative_to="native", pairs=PairConfig(max_short_side=1000))
    samples = TrainingSamples(OneCat(), config)
    for target in (18, 36, 72):
        for class_index, scale in ((0, target / 36), (1, 1.0), (2, 1.0)):
            red = samples[Draw(0, target, Focus(class_index, target))].image[0].int()
            assert int(red[64, 0] - red[0, 0]) == pytest.approx(64 / scale, abs=2)


def test_limits_beat_the_size() -> None:
    config = replace(PLAIN, crop=(400, 600), pairs=PairConfig(min_short_side=240, max_short_side=320))
    samples = TrainingSamples(OneCat(), config)
    assert box_size(samples[Draw(0, 0, Focus(0, 18))], 0) == pytest.approx(36 * 240 / 160, rel=0.04)
    assert box_size(samples[Draw(0, 0, Focus(0, 200))], 0) == pytest.approx(36 * 320 / 160, rel=0.04)


def test_crops_contain_the_center_and_never_aim_at_crowd() -> None:
    """The image's red and green tell each pixel's row and column; a crowd of cats would lead elsewhere."""
    config = replace(PLAIN, crop=(65, 65), pairs=PairConfig())
    samples = TrainingSamples(OneCat(), config)
    corners = set()
    for number in range(60):
        sample = samples[Draw(0, number, Focus(0, 36))]  # scale 1: source pixels survive
        top, left = int(sample.image[0, 0, 0]), int(sample.image[1, 0, 0])
        assert top <= 52 < top + 65
        assert left <= 127 < left + 65
        corners.add((top, left))
    assert len(corners) > 40


def test_an_image_smaller_than_the_crop_is_enlarged_or_padded() -> None:
    focus = Draw(0, 1, Focus(0, 36))
    enlarged = TrainingSamples(OneCat(), replace(PLAIN, crop=(320, 320)))[focus]
    assert (enlarged.ids > 0).all()
    padded = TrainingSamples(OneCat(), replace(PLAIN, crop=(320, 320), pairs=PairConfig(min_short_side=1)))[focus]
    assert int((padded.ids > 0).sum()) == 160 * 240


def test_a_redraw_keeps_the_class() -> None:
    """Every sample has too few labelled pixels; the image stays the drawn one, though others would do."""

    class Two(OneCat):
        loads: list[int] = []

        def __len__(self) -> int:
            return 2

        def load(self, index: int):
            self.loads.append(index)
            return super().load(index)

    data = Two()
    config = replace(PLAIN, redraws=6, min_labelled_pixels=10**6)
    sample = TrainingSamples(data, config)[Draw(1, 0, Focus(0, 36))]
    assert data.loads == [1] * 7
    assert 0 in sample.classes[~sample.crowd].tolist()


def test_labels_that_changed_meanwhile_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^one\.png shows no 'dog', though .* start it anew\.$"):
        TrainingSamples(OneCat(), PLAIN)[Draw(0, 0, Focus(3, 32))]


def scenes_loader(**options):
    config = AugmentConfig(crop=(65, 65), scale_range=(0.8, 1.6), copy_paste=0.0, pairs=PairConfig((16, 32)))
    return training_loader(Scenes(6, size=(64, 80), crowd_probability=1.0), config, seed=4, **options)


def parts(batches) -> list[tuple]:
    """Each image of the batches: pixels, ids, name."""
    return [(images[k], targets.ids[k], targets.names[k]) for images, targets in batches for k in range(len(images))]


def assert_same(first: list[tuple], second: list[tuple]) -> None:
    for (image, ids, name), (image_again, ids_again, name_again) in zip(first, second, strict=True):
        assert torch.equal(image, image_again)
        assert torch.equal(ids, ids_again)
        assert name == name_again


def test_batches_depend_on_neither_workers_nor_restart_nor_processes() -> None:
    whole = parts(islice(scenes_loader(batch_size=4), 4))
    assert_same(whole, parts(islice(scenes_loader(batch_size=4, workers=2), 4)))
    assert_same(whole[8:], parts(islice(scenes_loader(batch_size=4, start=8, workers=1), 2)))
    shares = [parts(islice(scenes_loader(batch_size=2, rank=rank, world_size=2), 4)) for rank in range(2)]
    together = [image for k in range(0, 8, 2) for share in shares for image in share[k : k + 2]]
    assert_same(whole, together)


def test_partners_of_a_batch_show_the_class() -> None:
    """Stuff and most things; the box's centre need not lie on the segment, so a few crops may miss it."""
    scenes = Scenes(6, size=(64, 80))
    config = AugmentConfig(crop=(65, 65), copy_paste=0.0, pairs=PairConfig((16, 32)))
    draws = list(islice(PairedCropSampler(segment_index(scenes), (16, 32), seed=4), 48))
    batches = islice(training_loader(scenes, config, 4, seed=4), 12)
    shown = []
    for draw, classes in zip(draws, [row for _, targets in batches for row in targets.classes], strict=True):
        shown.append(draw.focus.class_index in classes.tolist())
    assert sum(shown) >= 45


def test_an_odd_batch_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^augment\.pairs .* takes 3 at once: .*training\.device_batch"):
        scenes_loader(batch_size=3)


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        (PairConfig(()), "target_sizes"),
        (PairConfig((0, 32)), "target_sizes"),
        (PairConfig(max_long_side=0), "max_long_side"),
        (PairConfig(min_short_side=500), "max_short_side >= min_short_side"),
    ],
)
def test_senseless_values_are_refused(pairs: PairConfig, field: str) -> None:
    with pytest.raises(UserError, match=field):
        AugmentConfig(crop=(65, 65), pairs=pairs).check()
