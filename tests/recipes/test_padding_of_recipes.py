"""What each recipe pads, and with what, as its original does."""

import pytest

from pantile.data import FitConfig
from pantile.recipes import list_recipes, make_recipe


def whole_images(name: str) -> bool:
    """Trained without crops: MaskFormer and Panoptic FCN on COCO, the rows that say full, and clips of videos."""
    if any(data in name for data in ("_youtube_vis_", "_vspw", "_vipseg")):
        return True
    return name.startswith(("maskformer", "panoptic_fcn")) and (name.endswith("_coco") or "_full_" in name)


@pytest.mark.parametrize("name", [name for name in list_recipes() if "nano" not in name])
def test_padding(name: str) -> None:
    config = make_recipe(name)
    augment = config.augment
    augment.check()
    assert augment.pad == ("batch" if whole_images(name) else "crop")
    if whole_images(name):
        assert augment.pad_position == "bottom_right"
        assert isinstance(config.evaluation_size, FitConfig)
        assert augment.pad_multiple == config.evaluation_size.multiple  # in training as at test time
        assert augment.pad_value is None
    else:
        # detectron2's mappers pad crops with a grey before the normalisation, everybody else with the mean after it
        # but for EoMT's, who pad with black
        grey = name.startswith(("mask2former", "maskformer", "semask"))
        assert augment.pad_value == (128 if grey else 0 if name.startswith("eomt") else None)
    black = name.startswith("eomt") and config.windows is None
    assert config.pad_value == (0 if black else None)
