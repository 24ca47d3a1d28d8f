"""Techniques on clips: RankSeg as the original recorded it, one ranking a clip, areas of a clip, partners of clips."""

from dataclasses import replace

import pytest
import torch
from rankseg_recordings import class_loss, recorded, targets_of

from pantile.contracts.assignment import Assignment
from pantile.contracts.outputs import MaskOutput, MaskSpec
from pantile.contracts.targets import collate_targets
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.techniques import IntraBatchConfig, RankSegConfig
from pantile.techniques.intra_batch import of_frames
from pantile.techniques.reclass import class_coverage

TAXONOMY = plain_taxonomy(["bird", "road", "car", "sky", "tree", "dog"], things=["bird", "car", "dog"])


def targets(ids, classes, frames):
    tables = [torch.tensor(classes)] * len(ids)
    crowd = [torch.zeros(len(classes), dtype=torch.bool)] * len(ids)
    return collate_targets(list(ids), tables, crowd, ["x"] * len(ids), frames=frames)


def test_rankseg_of_clips_is_the_originals(real_data):
    recording, technique, final, given = recorded(real_data, "m2f_rank_video")
    told, frames = recording.told, recording.told["frames"]
    output = technique.rewrite(final)
    assert torch.equal(output.classes[::frames], recording["topk_index"])
    assert torch.equal(output.classes[1::frames], recording["topk_index"])
    torch.testing.assert_close(output.presence_logits[::frames], recording["ml_logits"], rtol=0, atol=1e-5)
    no_object = torch.full((len(output.classes), 1), told["K"])
    columns = torch.cat([output.classes, no_object], dim=1)[:, None].expand(-1, told["Q"], -1)
    ranks = output.class_logits.gather(2, columns)
    torch.testing.assert_close(ranks[::frames], recording["rank_logits"], rtol=0, atol=1e-5)

    truth = targets_of(recording)
    presence = technique.extra_losses(output, truth, None)["presence"]
    assert presence.item() == pytest.approx(told["weighted_losses"]["loss_ml"], abs=1e-5)
    seen = technique.change_targets(output, truth)
    total = presence
    for index, layer in enumerate((output, *output.layers)):
        term = 2 * class_loss(layer, seen.classes, truth, told["matching"]["pairs"][index])
        suffix = f"_{index - 1}" if index else ""
        assert term.item() == pytest.approx(told["weighted_losses"][f"loss_ce{suffix}"], abs=1e-5)
        total = total + term
    total.backward()
    torch.testing.assert_close(given["query_feature2"].grad, recording["grad_query_feature2"], rtol=0, atol=1e-5)
    for prefix in ("", "aux0_", "aux1_"):
        expected = recording[f"grad_{prefix}pred_logits"]
        torch.testing.assert_close(given[f"{prefix}pred_logits"].grad, expected, rtol=0, atol=1e-5)
    norm = technique.host.ranking.norm
    for ours, theirs in ((norm.gain, "weight"), (norm.bias, "bias")):
        assert ours.grad.tolist() == pytest.approx(told["ml_norm_grad"][theirs], abs=1e-5)


class Host(torch.nn.Module):
    mask_spec = MaskSpec(1, 5, 6, 4, 8, query_channels=8)


@pytest.mark.parametrize("reads", ["queries", "pixels"])
def test_the_frames_of_a_clip_share_a_ranking_also_with_dropout(reads):
    torch.manual_seed(0)
    technique = RankSegConfig(selected=3, channels=16, num_heads=2, dropout=0.5, reads=reads).make()
    technique.build(Host(), TAXONOMY)
    technique.train()
    queries = torch.randn(2, 5, 8).repeat_interleave(2, dim=0)
    logits = torch.randn(2, 5, 7).repeat_interleave(2, dim=0)
    pixels = torch.randn(4, 8, 8, 8)
    output = MaskOutput(logits, pixels[:, :5], queries, pixels, pixels, middle_queries=queries, frames=2)
    ranked = technique.rewrite(output)
    assert torch.equal(ranked.classes[::2], ranked.classes[1::2])
    assert torch.equal(ranked.class_logits[::2], ranked.class_logits[1::2])
    assert not torch.equal(ranked.presence_logits[0], ranked.presence_logits[2])


def test_a_class_is_present_in_a_clip_where_any_frame_shows_it():
    ids = torch.zeros(4, 4, 4, dtype=torch.int64)
    ids[0, 0], ids[1, 1], ids[2, 2] = 1, 2, 2
    given = targets(ids, [3, 0], 2)
    assert given.classes_present(6).nonzero().tolist() == [[0, 0], [0, 3], [1, 0], [1, 3], [2, 0], [3, 0]]
    assert given.as_images().classes_present(6).nonzero().tolist() == [[0, 3], [1, 0], [2, 0]]


def test_reclass_takes_a_clip_for_one_larger_image():
    g = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 4, (4, 6, 8), generator=g)
    masks = torch.randn(4, 5, 6, 8, generator=g)
    clips = class_coverage(masks, targets(ids, [2, 0, 2], 2), 6, "sigmoid")
    tall = class_coverage(
        torch.stack([torch.cat(list(masks[k : k + 2]), dim=1) for k in (0, 2)]),
        targets(torch.stack([torch.cat(list(ids[k : k + 2])) for k in (0, 2)]), [2, 0, 2], 1),
        6,
        "sigmoid",
    )
    torch.testing.assert_close(clips, tall.repeat_interleave(2, dim=0))


def test_intra_batch_never_pairs_frames_of_a_clip():
    assert of_frames([1, 0], 2) == [2, 3, 0, 1] and of_frames([2, 0, 1], 1) == [2, 0, 1]
    technique = IntraBatchConfig(points=0, partner="pairs").make()
    technique.build(Host(), TAXONOMY)
    embed = torch.zeros(4, 1, 2)
    embed[:2, 0, 0] = embed[2:, 0, 1] = 3.0  # the query of clip 0 looks for channel 0, that of clip 1 for channel 1
    pixels = torch.zeros(4, 2, 3, 3)
    pixels[:2, 0] = pixels[2:, 1] = 3.0  # each clip shows its own thing in both of its frames
    output = MaskOutput(torch.zeros(4, 1, 7), torch.zeros(4, 1, 3, 3), embed, pixels, pixels, frames=2)
    given = targets(torch.ones(4, 3, 3, dtype=torch.int64), [0], 2)
    rows = torch.zeros(4, 1, dtype=torch.int64)
    assignment = Assignment(rows, torch.ones(4, 1))
    apart = technique.extra_losses(output, given, assignment)["empty"]
    as_images = technique.extra_losses(replace(output, frames=1), given.as_images(), assignment)["empty"]
    assert apart < 0.2 < 5 < as_images
