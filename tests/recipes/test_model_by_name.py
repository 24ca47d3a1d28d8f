"""``pantile.create_model``: by name, with other fields, with a backbone of one's own; and what it refuses."""

import pytest
import torch
from torch import nn

import pantile
from pantile.contracts.taxonomy import plain_taxonomy

TAXONOMY = plain_taxonomy(["road", "car"], things=["car"])


class TwoConvs(nn.Module):
    """A backbone that knows nothing of ours but the interface."""

    strides = {"res5": 32, "res4": 16, "res3": 8, "res2": 4}
    channels = {"res5": 32, "res4": 24, "res3": 16, "res2": 8}

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleDict({name: nn.Conv2d(3, c, 1) for name, c in self.channels.items()})

    def forward(self, images):
        pooled = {n: nn.functional.avg_pool2d(images, s, ceil_mode=True) for n, s in self.strides.items()}
        return {name: self.convs[name](maps) for name, maps in pooled.items()}


def test_by_name_with_fields_and_classes():
    model = pantile.create_model("mask2former_nano", TAXONOMY, num_queries=7)
    assert model.config.num_queries == model.mask_spec.num_queries == 7 and model.num_classes == 2
    assert not pantile.create_model("kmax_nano", 3).config.pretrained


@pytest.mark.parametrize("recipe", ["mask2former_nano", "panoptic_fcn_nano"])
def test_a_backbone_of_ones_own(recipe):
    backbone = TwoConvs()
    model = pantile.create_model(recipe, TAXONOMY, backbone=backbone).eval()
    assert model.backbone is backbone
    with torch.no_grad():
        assert model(torch.randn(1, 3, 64, 96)).num_classes == 2


def test_mistakes_are_told():
    with pytest.raises(pantile.UserError, match="Mask2FormerConfig has no field 'queries'; it has archi"):
        pantile.create_model("mask2former_nano", TAXONOMY, queries=7)
    with pytest.raises(pantile.UserError, match="did you mean 'mask2former_nano'"):
        pantile.create_model("mask2former_nan", TAXONOMY)
    with pytest.raises(pantile.UserError, match="Conv2d must have the attributes `channels` and `strides`"):
        pantile.create_model("mask2former_nano", TAXONOMY, backbone=nn.Conv2d(3, 3, 1))
    with pytest.raises(pantile.UserError, match="is a module, whose weights are loaded before"):
        pantile.create_model("mask2former_nano", TAXONOMY, backbone=TwoConvs(), pretrained=True)


@pytest.mark.parametrize(
    "images", [torch.zeros(1, 3, 64, 64, dtype=torch.uint8), torch.zeros(3, 64, 64), torch.zeros(1, 64, 64, 3)]
)
def test_images_that_are_not_normalised_or_not_a_batch_are_told(images):
    model = pantile.create_model("kmax_nano", TAXONOMY)
    with pytest.raises(pantile.UserError, match=r"^KMaXDeepLab takes images of \(B, 3, H, W\) float, normalised"):
        model(images)


def test_images_and_targets_that_do_not_belong_together_are_told():
    recipe = pantile.make_recipe("kmax_nano")
    model = pantile.create_model("kmax_nano", TAXONOMY)
    criterion = pantile.create_criterion(recipe.criterion, TAXONOMY)
    one = pantile.PanopticMap(torch.ones(64, 64, dtype=torch.int64).numpy(), (pantile.Segment(1, 1),))
    targets = pantile.PanopticTargets.from_maps([one], TAXONOMY)
    with pytest.raises(pantile.UserError, match=r"^There are images of \(2, 3, 64, 64\) and targets of \(1, 64, 64\)"):
        pantile.losses_with(model, {}, criterion, torch.zeros(2, 3, 64, 64), targets)
