"""The criterion on clips: the original's recorded numbers, and what a clip of repeated frames must give."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.targets import collate_targets
from pantile.losses import set_criterion
from pantile.losses.set_criterion import SetCriterion, SetCriterionConfig
from rankseg_blocks import Recording

FRAMES = 2


def read_bilinear(masks, points):
    """(M, G, H, W) at (M, P, 2) to (M, G, P)."""
    grid = (2 * points - 1)[:, None]
    return F.grid_sample(masks.to(points.dtype), grid, align_corners=False)[:, :, 0]


def recorded_output(recording, prefix):
    """The original's (B, Q, T, h, w) masks as frames of clips."""
    classes, masks = (recording[f"{prefix}pred_{kind}"].requires_grad_() for kind in ("logits", "masks"))
    none = torch.zeros(4, 1, 1, 1)
    frames = masks.transpose(1, 2).flatten(0, 1)
    output = MaskOutput(classes.repeat_interleave(FRAMES, 0), frames, none[..., 0], none, none, frames=FRAMES)
    return classes, masks, output


def recorded_targets(recording):
    """Dense masks (B T, G, H, W), which overlap and so have no map of ids, and a map by which every row is there."""
    dense, maps, classes = [], [], []
    for clip in range(recording.told["B"]):
        labels, masks = recording[f"gt_labels{clip}"], recording[f"gt_masks{clip}"]
        ids = torch.zeros(recording.told["image"], dtype=torch.int64)
        ids.view(-1)[: len(labels)] = torch.arange(1, len(labels) + 1)
        for frame in range(FRAMES):
            padded = torch.zeros(3, *recording.told["image"])
            padded[: len(masks)] = masks[:, frame]
            dense.append(padded), maps.append(ids), classes.append(labels)
    no = [torch.zeros(len(c), dtype=torch.bool) for c in classes]
    return torch.stack(dense), collate_targets(maps, classes, no, ["a0", "a1", "b0", "b1"], frames=FRAMES)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_equals_the_original_on_its_points(real_data, monkeypatch, number):
    recording = Recording(real_data, "m2f_video_loss")
    told = recording.told
    dense, targets = recorded_targets(recording)
    prefix, suffix = ("", "") if number == 0 else (f"aux{number - 1}_", f"_{number - 1}")
    classes, masks, output = recorded_output(recording, prefix)
    queries, rows = told["matching"]["pairs"][number][0]
    loss_points = recording[f"loss_points{number}"].view(len(rows), FRAMES, told["num_points"], 2)
    in_our_order = loss_points[torch.tensor(rows).argsort()].transpose(0, 1).flatten(0, 1)
    of_clips = torch.stack([recording[f"matcher_points{2 * number + clip}"] for clip in range(2)])
    monkeypatch.setattr(set_criterion, "draw_points", lambda *_: of_clips)
    monkeypatch.setattr(set_criterion, "draw_uncertain_points", lambda *_: in_our_order)
    monkeypatch.setattr(set_criterion, "sample_all_rows", lambda _, __, points: read_bilinear(dense, points))
    monkeypatch.setattr(
        set_criterion,
        "sample_own_rows",
        lambda _, image, row, points: read_bilinear(dense[image, row][:, None], points)[:, 0],
    )
    result = SetCriterion(SetCriterionConfig(points=told["num_points"]))(output, targets)
    for frame in range(FRAMES):
        assert {int(q): int(r) for q, r in enumerate(result.assignment.rows[frame]) if r >= 0} == dict(
            zip(queries, rows, strict=True)
        )
    expected = told["unweighted_losses"]
    for term, name, weight in (("class", "ce", 2), ("mask", "mask", 5), ("dice", "dice", 5)):
        assert result.losses[term].item() == pytest.approx(weight * expected[f"loss_{name}{suffix}"], abs=1e-5)
    assert int(result.counts["segments"]) == 3 and int(result.counts["dropped_segments"]) == 0
    torch.stack(list(result.losses.values())).sum().backward()
    torch.testing.assert_close(classes.grad, recording[f"grad_{prefix}pred_logits"], rtol=0, atol=1e-5)
    torch.testing.assert_close(masks.grad, recording[f"grad_{prefix}pred_masks"], rtol=0, atol=1e-5)


def repeated(frames, config):
    """Losses of an image that stands still for so many frames, with the same points everywhere."""
    g = torch.Generator().manual_seed(3)
    classes = torch.randn(1, 4, 4, generator=g, dtype=torch.float64).repeat(frames, 1, 1)
    masks = torch.randn(1, 4, 5, 6, generator=g, dtype=torch.float64).repeat(frames, 1, 1, 1)
    ids = torch.randint(0, 4, (10, 12), generator=g)
    none = torch.zeros(frames, 1, 1, 1)
    table = [torch.tensor([2, 0, 1])] * frames
    targets = collate_targets(
        [ids] * frames, table, [torch.zeros(3, dtype=torch.bool)] * frames, "abc"[:frames], frames=frames
    )
    output = MaskOutput(classes, masks, none[..., 0], none, none, frames=frames)
    return SetCriterion(config)(output, targets), output, targets


@pytest.mark.parametrize("form", ["points_bce", "focal"])
def test_mask_terms_grow_with_the_number_of_frames_and_the_matching_stays(form, monkeypatch):
    points = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)).double()
    monkeypatch.setattr(set_criterion, "draw_points", lambda sets, *_: points.expand(sets, -1, -1))
    monkeypatch.setattr(set_criterion, "draw_uncertain_points", lambda logits, *_: points.expand(len(logits), -1, -1))
    config = SetCriterionConfig(points=40, mask_loss=form)
    one, three = repeated(1, config)[0], repeated(3, config)[0]
    assert torch.equal(three.assignment.rows, one.assignment.rows.repeat(3, 1))
    torch.testing.assert_close(three.losses["class"], one.losses["class"])
    for term in ("mask", "dice"):
        torch.testing.assert_close(three.losses[term], 3 * one.losses[term])


def test_one_query_answers_for_a_segment_in_all_frames_and_is_asked_where_it_is_not_seen():
    """Frames that would match otherwise one by one; segment 1 is in the first frame only."""
    ids = torch.zeros(2, 8, 8, dtype=torch.int64)
    ids[0, :4], ids[0, 4:], ids[1, 4:] = 1, 2, 2
    no = [torch.zeros(2, dtype=torch.bool)] * 2
    targets = collate_targets(list(ids), [torch.tensor([0, 1])] * 2, no, ["a", "b"], frames=2)
    masks = torch.full((2, 2, 8, 8), -6.0)
    masks[0, 0, :4], masks[0, 1, 4:], masks[1, 1, 4:] = 6, 6, 6
    none = torch.zeros(2, 1, 1, 1)
    output = MaskOutput(torch.zeros(2, 2, 3), masks, none[..., 0], none, none, frames=2)
    criterion = SetCriterion(SetCriterionConfig(points=300))
    result = criterion(output, targets)
    assert result.assignment.rows.tolist() == [[0, 1], [0, 1]]
    as_images = criterion(replace(output, frames=1), targets.as_images())
    assert as_images.assignment.rows.tolist() == [[0, 1], [-1, 1]]
    wrong = masks.clone()
    wrong[1, 0, :2] = 6  # seen by query 0 where segment 1 is not
    worse = criterion(replace(output, mask_logits=wrong), targets)
    assert worse.losses["mask"] > result.losses["mask"] + 1
