"""Class evidence in a window against the plain form: everything resized, then cropped."""

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import CenterOutput, MaskOutput
from pantile.contracts.placement import Placement
from pantile.merge import CenterMergeConfig, MaskMergeConfig, QueryMergeConfig
from pantile.merge.area_limits import AreaLimits, split_area_limits
from pantile.merge.class_evidence import class_evidence
from pantile.merge.panoptic_fcn_config import PanopticFCNMergeConfig
from pantile.merge.tile_layout import Window

ODD = Placement(padded=(65, 97), content=(60, 97), original=(40, 70))
EVEN = Placement(padded=(64, 96), content=(64, 90), original=(64, 90))
WINDOWS = [Window(0, 0, 1, 1), Window(3, 10, 40, 31), Window(39, 69, 40, 70)]


def to_original(maps: torch.Tensor, placement: Placement, aligned_first: bool, aligned: bool) -> torch.Tensor:
    padded = F.interpolate(maps, placement.padded, mode="bilinear", align_corners=aligned_first)
    content = padded[..., : placement.content[0], : placement.content[1]]
    return F.interpolate(content, placement.original, mode="bilinear", align_corners=aligned)[0]


def masks(dtype=torch.float32) -> MaskOutput:
    generator = torch.Generator().manual_seed(0)
    unused = torch.zeros(1, 1, 1, 1)
    return MaskOutput(
        3 * torch.randn(1, 7, 5, generator=generator).to(dtype),
        3 * torch.randn(1, 7, 17, 25, generator=generator).to(dtype),
        unused[0],
        unused,
        unused,
    )


@pytest.mark.parametrize("placement", [ODD, EVEN], ids=["odd", "even"])
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("config", [MaskMergeConfig(), QueryMergeConfig()], ids=["softmax", "sigmoid"])
def test_masks_vote_with_their_class_probabilities(config, placement, window):
    output = masks()
    aligned = placement is ODD and isinstance(config, MaskMergeConfig)  # sigmoid masks never align corners
    logits = to_original(output.mask_logits, placement, aligned, aligned)
    shares = logits.softmax(0) if isinstance(config, MaskMergeConfig) else logits.sigmoid()
    votes = torch.einsum("nk,nhw->khw", output.class_logits[0].softmax(-1)[:, :-1], shares)
    expected = (votes / votes.sum(0))[:, *window.slices]
    found = torch.from_numpy(class_evidence(output, config, placement)(window))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.sum(0), torch.ones(window.size))


@pytest.mark.parametrize("placement", [ODD, EVEN], ids=["odd", "even"])
@pytest.mark.parametrize("window", WINDOWS)
def test_centers_give_the_softmax_of_their_classes(placement, window):
    generator = torch.Generator().manual_seed(0)
    semantic = 3 * torch.randn(1, 4, 17, 25, generator=generator)
    output = CenterOutput(semantic, torch.zeros(1, 1, 17, 25), torch.zeros(1, 2, 17, 25))
    expected = to_original(semantic, placement, True, placement is ODD).softmax(0)[:, *window.slices]
    found = torch.from_numpy(class_evidence(output, CenterMergeConfig(), placement)(window))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("window", WINDOWS)
def test_kernels_give_the_best_of_each_class(window):
    output = masks()
    output.class_logits[0, 3, :4] = 0.0  # a query of no class
    output.class_logits[0, 5] = torch.tensor([-4.0, -4.0, -3.0, -4.0, 9.0])  # one below every threshold
    probability = output.class_logits[0].softmax(-1)
    shares = to_original(output.mask_logits.sigmoid(), ODD, False, False)
    best = torch.zeros(4, *ODD.original)
    for query in (0, 1, 2, 4, 6):
        label = int(probability[query, :4].argmax())
        best[label] = torch.maximum(best[label], probability[query, label] * shares[query])
    expected = (best / best.sum(0))[:, *window.slices]
    found = torch.from_numpy(class_evidence(output, PanopticFCNMergeConfig(), ODD)(window))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_kernels_without_a_query_give_none():
    output = masks()
    output.class_logits[:, :, 4] = 50
    assert not class_evidence(output, PanopticFCNMergeConfig(), ODD)(WINDOWS[1]).any()


def test_half_precision_and_autocast_do_not_move_borders():
    half = masks(torch.bfloat16)
    exact = MaskOutput(*(getattr(half, name).float() for name in list(vars(half))[:5]))
    window = Window(0, 0, 40, 70)
    expected = torch.from_numpy(class_evidence(exact, QueryMergeConfig(), ODD)(window))
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.from_numpy(class_evidence(half, QueryMergeConfig(), ODD)(window))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


def test_an_unknown_merge_is_named():
    @dataclass
    class OtherConfig:
        kind: str = "other"

    with pytest.raises(UserError, match=r"^merge.kind: there is no class evidence 'other'; choose one of centers, "):
        class_evidence(masks(), OtherConfig(), ODD)


def test_area_limits_are_taken_off_and_counted_in_pixels_of_the_image():
    halved = Placement(padded=(65, 65), content=(50, 60), original=(100, 120))
    last = MaskMergeConfig(thing_area_limit=10, stuff_area_limit=40, resize_order="ids_last")
    config, limits = split_area_limits(last, halved)
    assert (config.thing_area_limit, config.stuff_area_limit) == (0, 0)
    assert config.pixel_confidence == last.pixel_confidence
    assert limits == AreaLimits(thing=40, stuff=160)
    first = MaskMergeConfig(thing_area_limit=10, stuff_area_limit=40)
    assert split_area_limits(first, halved)[1] == AreaLimits(thing=10, stuff=40)
    assert split_area_limits(CenterMergeConfig(), halved)[1] == AreaLimits(thing=0, stuff=4 * 4096)
    assert split_area_limits(PanopticFCNMergeConfig(stuff_area_limit=7), halved)[1] == AreaLimits(stuff=7)
    assert split_area_limits(QueryMergeConfig(), halved) == (QueryMergeConfig(), AreaLimits())
