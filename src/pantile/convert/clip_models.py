"""Weights of models that read clips: Mask2Former for video and VidEoMT.

Mask2Former's tensors are the same on images and on clips, so a file does not tell which it is of: who wants a model of
clips says so. VidEoMT's have one layer more than EoMT's.
"""

from dataclasses import replace

from torch import Tensor

from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.class_names import PLACEHOLDER, named_classes
from pantile.convert.eomt import export_original_eomt, read_eomt_network
from pantile.convert.foreign_folder import ForeignWeights
from pantile.convert.huggingface_eomt import is_videomt
from pantile.convert.mask2former import import_mask2former
from pantile.data.classes import youtube_vis
from pantile.engine.config import RunConfig
from pantile.models.mask2former_video import VideoMask2FormerConfig
from pantile.models.videomt import VidEoMTConfig
from pantile.recipes import list_recipes, make_recipe
from pantile.recipes.matching import short_name

#: of the authors' VidEoMT, and the same in their EoMT
VIDEOMT_PREFIX, EOMT_PREFIX = "backbone.", "network."
YOUTUBE_VIS, PANOPTIC = 40, 124  # classes


def is_any_videomt(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict is of a VidEoMT, of its authors' repository or of Hugging Face's."""
    return is_videomt(foreign) or f"{VIDEOMT_PREFIX}query_updater.weight" in foreign


def read_videomt(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    """``Family.read``: our recipe with the network's config, the classes, and our state dict.

    Raises:
        UserError: tensors that do not fit.
    """
    renamed = {
        EOMT_PREFIX + name.removeprefix(VIDEOMT_PREFIX) if name.startswith(VIDEOMT_PREFIX) else name: tensor
        for name, tensor in weights.state.items()
    }
    model, state, count = read_eomt_network(replace(weights, state=renamed))
    taxonomy = _classes(count, weights, taxonomy)
    data = "vipseg" if count == PANOPTIC else "youtube_vis_2019"
    config = make_recipe(recipe or _known(f"videomt_{short_name(model.backbone)}_{data}", f"videomt_l_{data}"))
    config.model = model
    return config, taxonomy, state


def export_original_videomt(config: VidEoMTConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict as the authors'."""
    exported = export_original_eomt(config, state)
    return {
        VIDEOMT_PREFIX + name.removeprefix(EOMT_PREFIX) if name.startswith(EOMT_PREFIX) else name: tensor
        for name, tensor in exported.items()
        if "encoder.pixel_" not in name
    }


def read_mask2former_video(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    """The same of a Mask2Former whose clips are to be read, or whose images were: its weights start a run on clips."""
    plain, state = import_mask2former(weights.state, weights.told)
    taxonomy = _classes(len(state["classifier.weight"]) - 1, weights, taxonomy)
    name = f"mask2former_{short_name(plain.backbone)}_youtube_vis_2019"
    config = make_recipe(recipe or _known(name, "mask2former_r50_youtube_vis_2019"))
    config.model = VideoMask2FormerConfig(**vars(plain) | {"architecture": "mask2former_video"})
    return config, taxonomy, state


def _classes(count: int, weights: ForeignWeights, given: Taxonomy | None) -> Taxonomy:
    """Without names, 40 classes are those of YouTube-VIS, in the order of 2019 where nobody says 2021."""
    labels = weights.labels or []
    if given is None and count == YOUTUBE_VIS:
        if all(PLACEHOLDER.fullmatch(label) for label in labels):
            return youtube_vis.TAXONOMY_2019
        for known in (youtube_vis.TAXONOMY_2019, youtube_vis.TAXONOMY_2021):
            if tuple(labels) == known.names:
                return known
    return named_classes(count, weights.labels, given, str(weights.source))


def _known(*names: str) -> str:
    return next(name for name in names if name in list_recipes())
