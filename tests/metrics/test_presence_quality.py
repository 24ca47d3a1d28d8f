"""Presence of classes: average precisions, and recall and precision of a selection, as recorded and by definition."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.metrics import PresenceQuality
from pantile.metrics.ranking import average_precision

TAXONOMY = plain_taxonomy([f"class {k}" for k in range(10)], things=[])


@pytest.fixture(scope="module")
def recorded(real_data: Path) -> tuple[dict, dict]:
    folder = real_data / "rankseg_blocks"
    return dict(np.load(folder / "multilabel_metrics.npz")), json.loads(
        (folder / "multilabel_metrics.json").read_text()
    )


def measured(logits: np.ndarray, pixels: np.ndarray, k: int | None = None):
    metric = PresenceQuality(TAXONOMY, k=k)
    metric.update(list(logits), list(pixels))
    return metric.compute()


def test_average_precisions_are_the_recorded_ones(recorded: tuple[dict, dict]) -> None:
    arrays, told = recorded
    scores, present = arrays["scores"], arrays["present"]
    per_image = average_precision(scores, present)
    wanted = np.array([math.nan if own is None else own for own in told["per_image_AP"]])
    assert per_image.tolist() == pytest.approx(wanted.tolist(), abs=1e-7, nan_ok=True)  # float32 there
    result = measured(scores, arrays["hist"])
    assert (result.images, result.classes) == (12, 9)
    assert result.image_ap == pytest.approx(np.nanmean(per_image), abs=1e-12)
    assert result.image_ap == pytest.approx(told["mean_over_images"], abs=1e-7)
    assert result.class_ap == pytest.approx(told["restated_mAP_over_classes"], abs=1e-9)
    assert result.pooled_ap == pytest.approx(told["restated_micro_AP"], abs=1e-9)
    wanted = [math.nan if own is None else own for own in told["restated_per_class_AP"]]
    assert list(result.per_class.values()) == pytest.approx(wanted, abs=1e-9, nan_ok=True)
    assert math.isnan(result.class_recall)  # nothing was selected


@pytest.mark.parametrize("k", [3, 5])
def test_recall_and_precision_of_a_selection_are_the_recorded_ones(recorded: tuple[dict, dict], k: int) -> None:
    arrays, told = recorded[0], recorded[1][f"kappa_{k}"]
    by_rank = measured(arrays["scores"], arrays["hist"], k=k)
    metric = PresenceQuality(TAXONOMY)
    metric.update(list(arrays["scores"]), list(arrays["hist"]), list(arrays["order"][:, :k]))
    for result in (by_rank, metric.compute()):
        assert result.pixel_recall == pytest.approx(told["pixel_recall"], abs=1e-7)  # float32 there
        assert result.class_recall == pytest.approx(told["class_recall"], abs=1e-7)
        assert result.precision == pytest.approx(told["precision_named_img_accuracy"], abs=1e-7)
        assert result.selected == k
        for own, name in enumerate(TAXONOMY.names):
            images = np.flatnonzero(arrays["hist"][:, own])
            missed = sum(own not in arrays["order"][image, :k] for image in images)
            assert result.missed.get(name, (len(images), 0)) == (len(images), missed)


def naive(scores: list[float], relevant: list[bool]) -> float:
    """By the definition: a loop over relevant entries and all that rank as high or higher."""
    rank = sorted(range(len(scores)), key=lambda k: (-scores[k], k))
    found = []
    for place, own in enumerate(rank, start=1):
        if relevant[own]:
            found.append(sum(relevant[other] for other in rank[:place]) / place)
    return sum(found) / len(found) if found else math.nan


def random_case(seed: int, images: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 50, (images, 10)) * (rng.random((images, 10)) < 0.3)
    pixels[:, 9] = 0  # a class that nobody shows
    pixels[2] = 0  # an image without labels
    return rng.integers(-9, 10, (images, 10)).astype(float), pixels  # with many equal scores


def test_average_precision_is_the_naive_one() -> None:
    scores, pixels = random_case(3)
    present = pixels > 0
    for rows, relevant in ((scores, present), (scores.T, present.T), (scores.reshape(1, -1), present.reshape(1, -1))):
        wanted = [naive(*pair) for pair in zip(rows.tolist(), relevant.tolist(), strict=True)]
        assert average_precision(rows, relevant).tolist() == pytest.approx(wanted, abs=1e-12, nan_ok=True)


def test_parts_of_the_images_in_any_order_add_up() -> None:
    scores, pixels = random_case(5)
    whole = measured(scores, pixels, k=4)
    first, second = PresenceQuality(TAXONOMY, k=4), PresenceQuality(TAXONOMY, k=4)
    for metric, images in ((first, range(29, 0, -2)), (second, range(0, 30, 2))):
        for image in images:
            metric.update([scores[image]], [pixels[image]], image_ids=[image])
    first.merge_state(second)
    found, wanted = vars(first.compute()), vars(whole)
    assert found.pop("missed") == wanted.pop("missed") != {}
    assert found.pop("per_class") == pytest.approx(wanted.pop("per_class"), abs=1e-12, nan_ok=True)
    assert found == pytest.approx(wanted, abs=1e-12)


def test_images_without_scores_do_not_count() -> None:
    scores, pixels = random_case(7)
    metric = PresenceQuality(TAXONOMY)
    metric.update([None, scores[0]], [pixels[1], pixels[0]])
    assert metric.compute().images == 1
    metric.reset()
    metric.update([None], [pixels[0]])
    result = metric.compute()
    assert result.images == 0 and math.isnan(result.image_ap) and result.to_dict() == {}
    json.dumps(measured(scores, pixels).to_dict(), allow_nan=False)


def test_bad_input() -> None:
    metric = PresenceQuality(TAXONOMY)
    with pytest.raises(UserError, match="scores of 1 images for 2 images"):
        metric.update([np.zeros(10)], [np.zeros(10), np.zeros(10)])
    with pytest.raises(UserError, match="scores of 9 classes and pixels of 10, but the data has 10"):
        metric.update([np.zeros(9)], [np.zeros(10)])
    with pytest.raises(UserError, match="are NaN"):
        metric.update([np.full(10, np.nan)], [np.zeros(10)])
    for k in (0, 11):
        with pytest.raises(UserError, match=f"k is {k}: give a number of classes from 1 to 10"):
            PresenceQuality(TAXONOMY, k=k)


def test_logits_keep_their_precision() -> None:
    """Sigmoids of large logits are all 1; the logits still rank."""
    logits = torch.arange(30, 40, dtype=torch.float32).numpy()
    pixels = np.zeros(10, int)
    pixels[9] = 5
    assert measured(logits[None], pixels[None]).image_ap == 1
