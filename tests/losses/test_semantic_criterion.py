"""The criterion of pixel classifiers against the recordings of RankSeg's original and against autograd."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import SemanticOutput
from pantile.contracts.targets import PanopticTargets
from pantile.losses import SemanticCriterion, SemanticCriterionConfig
from pantile.losses.chunked_cross_entropy import cross_entropy_sum

K = 7


def targets_of(labels, num_classes=K, crowd=None):
    """(B, H, W) class index, anything else is void; row c of every table is class c."""
    labels = torch.as_tensor(labels)
    ids = torch.where((labels >= 0) & (labels < num_classes), labels + 1, 0)
    classes = torch.arange(num_classes).expand(len(ids), -1)
    flags = torch.zeros_like(classes, dtype=torch.bool) if crowd is None else (classes == crowd)
    return PanopticTargets(ids, classes, flags, tuple(f"image {i}" for i in range(len(ids))))


def output_of(logits, num_classes=K, classes=None, auxiliary=()):
    none = logits.new_zeros(len(logits), 2, *logits.shape[-2:])
    return SemanticOutput(logits, none, logits.new_zeros(*logits.shape[:2], 2), num_classes, classes, None, auxiliary)


def random_logits(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def random_labels(*size, seed=0):
    return torch.randint(-1, K, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["select_remap", "select_remap_ignore_minus1"])
@pytest.mark.parametrize("chunk_rows", [None, 1, 8, 1000])
def test_loss_and_gradient_of_selected_classes_equal_the_original(real_data, name, chunk_rows):
    arrays = np.load(real_data / "rankseg_blocks" / f"{name}.npz")
    facts = json.loads((real_data / "rankseg_blocks" / f"{name}.json").read_text())
    logits = torch.from_numpy(arrays["rank_logits"]).requires_grad_()
    output = output_of(logits, facts["K"], torch.from_numpy(arrays["topk_index"]))
    targets = targets_of(arrays["label"], facts["K"])

    def result(mean_over):
        config = SemanticCriterionConfig(mean_over=mean_over, chunk_rows=chunk_rows)
        return SemanticCriterion(config, facts["K"])(output, targets)

    loss = result("all").losses["semantic"]
    assert loss.item() == pytest.approx(facts["losses"]["loss_seg"], abs=1e-7)
    assert result("selected").losses["semantic"].item() == pytest.approx(
        facts["loss_seg_check"]["mean_over_valid_pixels"], abs=1e-7
    )
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, torch.from_numpy(arrays["grad_rank_logits"]), rtol=1e-6, atol=1e-9)
    known = (arrays["label"] >= 0) & (arrays["label"] < facts["K"])
    selected = (arrays["rank_label"] >= 0) & (arrays["rank_label"] < facts["K"])
    counts = {name: int(count) for name, count in result("labelled").counts.items()}
    assert counts == {"labelled_pixels": known.sum(), "unselected_pixels": (known & ~selected).sum()}
    assert result("labelled").losses["semantic"].item() == pytest.approx(
        facts["losses"]["loss_seg"] * known.size / known.sum(), abs=1e-7
    )


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("size", [(5, 6), (13, 18), (3, 4)], ids=["same", "finer", "coarser"])
def test_chunks_equal_the_whole_in_value_and_gradient(aligned, size):
    logits, target = random_logits(2, K, 5, 6), random_labels(2, *size)
    whole = cross_entropy_sum(logits, target, aligned, chunk_rows=None)
    (expected,) = torch.autograd.grad(3 * whole, logits)
    for rows in (1, 4, 100):
        total = cross_entropy_sum(logits, target, aligned, rows)
        torch.testing.assert_close(total, whole, rtol=1e-10, atol=0)
        torch.testing.assert_close(torch.autograd.grad(3 * total, logits)[0], expected, rtol=1e-8, atol=1e-12)
    assert cross_entropy_sum(logits.detach(), target, aligned, 4) == pytest.approx(whole.item())


def test_no_logits_at_the_size_of_the_labels_outlive_their_chunk():
    logits, target = torch.randn(1, 50, 8, 8, requires_grad=True), torch.zeros(1, 512, 64, dtype=torch.int64)
    largest = 0

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            largest = max(largest, result.numel() if isinstance(result, torch.Tensor) else 0)
            return result

    with Sizes():
        cross_entropy_sum(logits, target, chunk_rows=16).backward()
    assert largest <= 50 * 16 * 64


def test_channels_follow_their_classes_whatever_their_order():
    logits, labels = random_logits(2, K, 4, 5), random_labels(2, 8, 10)
    expected = SemanticCriterion(SemanticCriterionConfig(), K)(output_of(logits), targets_of(labels))
    order = torch.stack([torch.randperm(K, generator=torch.Generator().manual_seed(s)) for s in range(2)])
    shuffled = torch.stack([image[index] for image, index in zip(logits, order, strict=True)])
    result = SemanticCriterion(SemanticCriterionConfig(), K)(output_of(shuffled, classes=order), targets_of(labels))
    torch.testing.assert_close(result.losses["semantic"], expected.losses["semantic"])
    assert result.counts["unselected_pixels"] == 0


def test_auxiliary_heads_see_every_class_and_have_their_weight():
    labels, selected = random_labels(2, 8, 10), torch.tensor([[3, 1], [0, 6]])
    main, one, other = random_logits(2, 2, 4, 5), random_logits(2, K, 4, 5, seed=1), random_logits(2, K, 2, 3, seed=2)
    output = output_of(main, classes=selected, auxiliary=(one, other))
    losses = SemanticCriterion(SemanticCriterionConfig(auxiliary_weight=0.3), K)(output, targets_of(labels)).losses
    means = [F.cross_entropy(F.interpolate(x, (8, 10), mode="bilinear"), labels, ignore_index=-1) for x in (one, other)]
    torch.testing.assert_close(losses["auxiliary"], 0.3 * sum(means))
    without = SemanticCriterion(SemanticCriterionConfig(auxiliary_weight=0), K)
    assert without(output, targets_of(labels)).losses.keys() == {"semantic"}
    assert (
        without(replace(output, auxiliary=()), targets_of(labels)).losses == without(output, targets_of(labels)).losses
    )


@pytest.mark.parametrize("mean_over", ["labelled", "selected", "all"])
def test_a_crop_without_a_label_or_without_a_selected_class_has_loss_zero(mean_over):
    criterion = SemanticCriterion(SemanticCriterionConfig(mean_over=mean_over), K)
    for labels in (torch.full((2, 6, 6), -1), torch.full((2, 6, 6), 5)):
        logits = random_logits(2, 2, 3, 3)
        loss = criterion(output_of(logits, classes=torch.tensor([[0, 1], [2, 3]])), targets_of(labels)).losses
        loss["semantic"].backward()
        assert loss["semantic"] == 0 and not logits.grad.any()


def test_crowd_has_its_class_unless_it_is_void():
    logits, labels = random_logits(1, K, 4, 4), random_labels(1, 8, 8)
    with_crowd, without = (
        SemanticCriterion(SemanticCriterionConfig(crowd_in_semantic=kept), K)(
            output_of(logits), targets_of(labels, crowd=2)
        )
        for kept in (True, False)
    )
    assert with_crowd.counts["labelled_pixels"] == (labels >= 0).sum()
    assert without.counts["labelled_pixels"] == ((labels >= 0) & (labels != 2)).sum()


def test_a_model_for_other_classes_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="predicts 7 classes but the data has 9"):
        SemanticCriterion(SemanticCriterionConfig(), 9)(output_of(random_logits(1, K, 2, 2)), targets_of([[[0]]]))


@pytest.mark.parametrize("field", [{"auxiliary_weight": -1.0}, {"semantic_weight": float("nan")}, {"chunk_rows": 0}])
def test_settings_out_of_range_name_their_field(field):
    with pytest.raises(UserError, match=f"criterion.{next(iter(field))}"):
        SemanticCriterion(SemanticCriterionConfig(**field), K)
