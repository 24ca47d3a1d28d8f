"""RankSeg on Mask2Former against the numbers of the original code: ranking, targets, losses, gradients, decoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pycocotools.mask import area
from rankseg_recordings import class_loss, recorded, targets_of

from pantile.contracts.placement import Placement
from pantile.contracts.targets import collate_targets
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.losses.binary_masks import mask_and_dice_costs, mask_and_dice_losses
from pantile.losses.matching import hungarian
from pantile.losses.point_sampling import sample_maps
from pantile.losses.set_criterion import SetCriterion, SetCriterionConfig
from pantile.merge import QueryMergeConfig, merge
from pantile.models.mask2former import mask2former_nano_config
from pantile.techniques import losses_of
from rankseg_blocks import Recording
from recorded_decoders import decoder_model, loss_of

IMAGES = ["m2f_rank_image", "m2f_rank_image_reorder_only"]


@pytest.mark.parametrize("name", IMAGES)
def test_ranking_classes_and_gradients(real_data, name):
    recording, technique, final, given = recorded(real_data, name)
    told = recording.told
    output = technique.rewrite(final)
    assert torch.equal(output.classes, recording["topk_index"])
    torch.testing.assert_close(output.presence_logits, recording["ml_logits"], rtol=0, atol=1e-5)
    columns = torch.cat([output.classes, torch.full((told["B"], 1), told["K"])], dim=1)[:, None]
    ranks = output.class_logits.gather(2, columns.expand(-1, told["Q"], -1))
    torch.testing.assert_close(ranks, recording["rank_logits"], rtol=0, atol=1e-5)
    assert (output.class_logits == -100).sum() == told["B"] * told["Q"] * (told["K"] - told["kappa"])

    targets = targets_of(recording)
    presence = technique.extra_losses(output, targets, None)["presence"]
    assert presence.item() == pytest.approx(told["weighted_losses"]["loss_ml"], abs=1e-5)
    seen = technique.change_targets(output, targets)
    classes = [0.0, 0.0, 0.0]
    for index, layer in enumerate((output, *output.layers)):
        classes[index] = 2 * class_loss(layer, seen.classes, targets, told["matching"]["pairs"][index])
        suffix = f"_{index - 1}" if index else ""
        assert classes[index].item() == pytest.approx(told["weighted_losses"][f"loss_ce{suffix}"], abs=1e-5)
    (sum(classes) + presence).backward()
    torch.testing.assert_close(given["query_feature2"].grad, recording["grad_query_feature2"], rtol=0, atol=1e-5)
    for prefix in ("", "aux0_", "aux1_"):
        expected = recording[f"grad_{prefix}pred_logits"]
        torch.testing.assert_close(given[f"{prefix}pred_logits"].grad, expected, rtol=0, atol=1e-5)
    norm = technique.host.ranking.norm
    for ours, theirs in ((norm.gain, "weight"), (norm.bias, "bias")):
        assert ours.grad.tolist() == pytest.approx(told["ml_norm_grad"][theirs], abs=1e-5)
    norms = {key.removeprefix("ml_head."): value for key, value in told["ml_grad_norm"].items()}
    assert float(technique.host.ranking.head.class_embed.grad.norm()) == pytest.approx(norms["cls_emb"], rel=1e-5)


@pytest.mark.parametrize("name", IMAGES)
def test_matching_masks_and_their_gradients(real_data, name):
    """The parts of the criterion on masks that overlap, which a map of ids cannot hold, at the recorded points."""
    recording, technique, final, _ = recorded(real_data, name)
    told = recording.told
    output = technique.rewrite(final)
    seen = technique.change_targets(output, targets_of(recording))
    kept = [seen.classes[image][: len(recording[f"gt_labels{image}"])] >= 0 for image in range(told["B"])]
    labels = [recording[f"gt_labels{image}"][mask] for image, mask in enumerate(kept)]
    masks = [recording[f"gt_masks{image}"][mask].double() for image, mask in enumerate(kept)]
    count = max(1, sum(map(len, labels)))
    for index, layer in enumerate((output, *output.layers)):
        suffix = f"_{index - 1}" if index else ""
        pairs = told["matching"]["pairs"][index]
        for image, (queries, rows) in enumerate(pairs):
            points = recording[f"matcher_points{index * told['B'] + image}"][None]
            at = [sample_maps(maps[None], points) for maps in (layer.mask_logits[image], masks[image])]
            mask, dice = mask_and_dice_costs(*at, "cross_entropy")
            chance = layer.class_logits[image].softmax(dim=1)[:, labels[image]]
            valid = torch.ones(1, len(labels[image]), dtype=torch.bool)
            matching = hungarian(5 * mask + 5 * dice - 2 * chance[None], valid)[0]
            assert matching[torch.tensor(rows, dtype=torch.int64)].tolist() == queries
        matched = [
            (layer.mask_logits[image, query], masks[image][row])
            for image, (queries, rows) in enumerate(pairs)
            for query, row in zip(queries, rows, strict=True)
        ]
        predicted, true = (torch.stack(maps)[:, None] for maps in zip(*matched, strict=True))
        points = recording[f"loss_points{index}"]
        mask, dice = mask_and_dice_losses(
            *(sample_maps(maps, points)[:, 0] for maps in (predicted, true)), "cross_entropy"
        )
        terms = {"mask": 5 * mask.sum() / count, "dice": 5 * dice.sum() / count}
        for term, value in terms.items():
            assert value.item() == pytest.approx(told["weighted_losses"][f"loss_{term}{suffix}"], abs=1e-5)
        sum(terms.values()).backward()
        prefix = f"aux{index - 1}_" if index else ""
        torch.testing.assert_close(layer.mask_logits.grad, recording[f"grad_{prefix}pred_masks"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", IMAGES)
@torch.no_grad()
def test_inference(real_data, name):
    """The original's maps and instances, of images that are smaller than they were."""
    recording, technique, final, _ = recorded(real_data, name)
    told = recording.told
    output = technique.eval().rewrite(replace(final, layers=()))
    names = [f"class {index}" for index in range(told["K"])]
    things = [names[index] for index in told["thresholds"]["thing_classes"]]
    classes = plain_taxonomy(names, things=things)
    for image in range(told["B"]):
        scores = recording[f"test_inst_scores{image}"]
        config = QueryMergeConfig(
            object_threshold=told["thresholds"]["object_mask"],
            overlap_threshold=told["thresholds"]["overlap"],
            instances=len(scores),  # theirs are the best of all classes, of which those of stuff are then left out
        )
        original = tuple(recording[f"test_panoptic{image}"].shape)
        alone = replace(output, class_logits=output.class_logits[image : image + 1],
                        mask_logits=output.mask_logits[image : image + 1], classes=output.classes[image : image + 1],
                        presence_logits=output.presence_logits[image : image + 1])  # fmt: skip
        placement = Placement(tuple(told["image"]), tuple(told["image"]), original)
        tasks = frozenset({"panoptic", "semantic", "instance"})
        (prediction,) = merge(alone, classes, config, [placement], tasks)
        best = recording[f"test_sem_seg{image}"].argmax(dim=0).numpy()
        assert np.array_equal(prediction.semantic, best)
        theirs = {row["id"]: row["category_id"] for row in told["test"][image]["segments_info"]}
        ours = {segment.id: segment.class_index for segment in prediction.panoptic.segments}
        assert sorted(theirs.values()) == sorted(ours.values())
        class_of = [np.vectorize(lambda number, table=table: table.get(number, -1)) for table in (theirs, ours)]
        maps = (recording[f"test_panoptic{image}"].numpy(), prediction.panoptic.ids)
        assert np.array_equal(*(look_up(ids) for look_up, ids in zip(class_of, maps, strict=True)))
        order = scores.argsort(descending=True, stable=True)
        found = prediction.instances
        assert [own.score for own in found] == pytest.approx(scores[order].tolist(), abs=1e-5)
        assert [own.class_index for own in found] == recording[f"test_inst_classes{image}"][order].tolist()
        assert [area(own.mask) for own in found] == recording[f"test_inst_area{image}"][order].tolist()


def test_segments_of_other_classes_leave_the_targets(real_data):
    """They are void, in no count, and cost nothing: the losses are those of a table that never had them."""
    _, technique, final, _ = recorded(real_data, "m2f_rank_image")
    output = technique.rewrite(final)
    selected, other = int(output.classes[0, 1]), next(c for c in range(8) if c not in output.classes[0])
    maps = torch.zeros(2, 16, 20, dtype=torch.int64)
    maps[0, :6], maps[0, 6:12] = 1, 2
    criterion = SetCriterion(SetCriterionConfig(points=32))

    def losses(classes, ids):
        no = [torch.zeros(2, dtype=torch.bool)] * 2
        targets = collate_targets(list(ids), classes, no, ["a", "b"])
        torch.manual_seed(1)
        return losses_of(output, {"rankseg": technique}, criterion, targets)

    both, result = losses([torch.tensor([other, selected])] * 2, maps)
    gone = maps.clone()
    gone[maps == 1] = 0
    without, _ = losses([torch.tensor([selected, selected])] * 2, gone)
    assert int(result.counts["segments"]) == 1
    assert {k: v for k, v in both.items() if "presence" not in k} == {
        k: v for k, v in without.items() if "presence" not in k
    }
    assert both["rankseg_presence"] != without["rankseg_presence"]  # it is there, and the head is told so


def test_decoder_with_cosine_classes(real_data):
    recording = Recording(real_data, "m2f_rank_decoder_image")
    model = decoder_model(recording, mask2former_nano_config())
    output = model(torch.zeros(2, 3, 64, 96, dtype=torch.float64))
    outputs = (*output.layers, output)
    assert len(outputs) == 5
    for index, each in enumerate(outputs):
        torch.testing.assert_close(each.class_logits, recording[f"pred_logits_{index}"], rtol=0, atol=1e-5)
    torch.testing.assert_close(output.mask_logits, recording["pred_masks_4"], rtol=0, atol=1e-4)
    torch.testing.assert_close(output.layers[0].mask_logits, recording["pred_masks_0"], rtol=0, atol=1e-4)
    middle = output.middle_queries.transpose(0, 1)
    torch.testing.assert_close(middle, recording["query_feature_2"], rtol=0, atol=1e-5)
    loss_of(recording, output.class_logits, output.mask_logits).backward()
    for name, given in model.pixel_decoder.inputs.items():
        if name in ("x0", "mask_features"):
            torch.testing.assert_close(given.grad, recording[f"grad_{name}"], rtol=0, atol=1e-5)
