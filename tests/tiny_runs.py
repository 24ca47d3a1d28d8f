"""Configs of runs that take a second, of whatever is registered."""

import json
import re
from dataclasses import fields, replace
from typing import TypeVar

from pantile.data import PanopticDataset
from pantile.data.video_scenes import VideoScenes
from pantile.engine.config import RunConfig, to_dict
from pantile.models import ARCHITECTURES
from pantile.recipes import make_recipe

Config = TypeVar("Config")

#: the smallest recipe of every architecture
NANO_RECIPES = [f"{name}_nano" for name in sorted(ARCHITECTURES)]
#: what makes the config of a criterion or of a technique cheap, where it has the field
TINY_FIELDS = {
    "instance_samples": 64,
    "semantic_samples": 64,
    "points": 64,
    "channels": 16,
    "stages": 1,
    "selected": 3,
    "neighbours": 3,
}


def tiny(config: Config) -> Config:
    """A copy of the config of a criterion or of a technique that takes little time."""
    return replace(config, **{name: value for name, value in TINY_FIELDS.items() if hasattr(config, name)})


def make_tiny_config(recipe: str = "remax_nano") -> RunConfig:
    config = make_recipe(recipe)
    config.augment.crop = config.evaluation_size = (65, 65)
    if hasattr(config.model, "transformer_layers"):  # half of the model's tensors, which checkpoints save one by one
        config.model.transformer_layers = (1, 0, 0)
    config.criterion = tiny(config.criterion)
    for name, technique in list(config.techniques.items()):
        if technique is not None:
            setattr(config.techniques, name, tiny(technique))
    training = config.training
    training.steps, training.effective_batch, training.workers = 4, 4, 0
    training.validate_every, training.validation_images, training.log_every = 0.5, 2, 1
    training.precision = "fp32"
    return config


def data_for(config: RunConfig, images: PanopticDataset) -> PanopticDataset:
    """What a run trains on: ``images``, or as small generated videos of the same classes where it asks for clips."""
    return images if config.augment.clip is None else VideoScenes(2, 3, size=(65, 65), seed=3)


#: of the optimizer's fields those that a few steps without a schedule do not read
SCHEDULE = (
    "schedule",
    "poly_power",
    "poly_end",
    "milestones",
    "step_factor",
    "poly_after_warmup",
    "warmup",
    "backbone_warmup",
    "warmup_start",
    "gradient_clip",
)
#: fields in which a shrunk model is like its family's nano model
WIDTHS = re.compile(r"(.+_)?channels|(.+_)?widths?|num_heads")


def shrunk(name: str) -> RunConfig:
    """A recipe with a tiny backbone, narrow layers, a small crop and batch; everything else is the recipe's own."""
    config = make_recipe(name)
    model, architecture = config.model, config.model.architecture
    nano = make_recipe(f"{architecture}_nano").model
    small = {"swidernet": "swidernet_0.125_0.125_1", "wr41": "swidernet_0.125_0.125_1", "beit": "beit_nano_patch16_224"}
    small |= {"vit_adapter": "vit_adapter_beit_nano_patch16_224"}
    small |= dict.fromkeys(("axial", "max_"), "axial_nano")
    small |= dict.fromkeys(("vit", "test_vit"), "test_vit")
    backbone = next((b for family, b in small.items() if model.backbone.startswith(family)), "test_resnet")
    if model.architecture == "semask":  # on a Swin only
        backbone = nano.backbone
    widths = {f.name: narrow(getattr(model, f.name), getattr(nano, f.name)) for f in fields(model) if is_width(f.name)}
    if getattr(model, "image_size", None):
        widths["image_size"] = (64, 64)
    if architecture in ("max_deeplab", "cmt_deeplab"):
        widths |= {"bottleneck": nano.bottleneck, "decoder": tuple((stride, 1) for stride, _ in model.decoder[-3:])}
    if architecture in ("eomt", "videomt"):
        widths["layers"] = model.query_layers + 1
    if getattr(model, "first_backbone", None) is not None:
        widths["first_backbone"] = backbone
    config.model = replace(model, backbone=backbone, pretrained=False, **widths)
    if not backbone.startswith("swidernet") and model.backbone_drop_path:
        config.model.backbone_drop_path = 0.1  # whatever the size of the backbone that is not here
    scale = 64 / min(config.augment.crop)
    config.augment.crop = (64, 64) if config.augment.crop[0] % 32 == 0 else (65, 65)
    if short_sides := config.augment.short_side:
        config.augment.short_side = tuple(round(scale * side) for side in (short_sides[0], short_sides[-1]))
    if config.augment.max_side:
        config.augment.max_side = round(scale * config.augment.max_side)
    config.training.effective_batch, config.training.device_batch, config.training.workers = 2, None, 0
    config.training.precision = "fp32"
    config.criterion = tiny(config.criterion)
    for technique in (own for _, own in config.techniques.items() if own is not None):
        for field, value in {"channels": 16, "selected": 4}.items():
            if getattr(technique, field, None) is not None:
                setattr(technique, field, value)
    return config


def narrow(width: int | tuple | None, nano: int | tuple | None) -> int | tuple | None:
    """The nano model's width; of several, as many as there were, the last one again where it has fewer."""
    if not isinstance(width, tuple):
        return nano
    return tuple(nano[min(k, len(nano) - 1)] for k in range(len(width)))


def is_width(field: str) -> bool:
    """Whether a field of a model's config says how wide its layers are."""
    return field != "in_channels" and WIDTHS.fullmatch(field) is not None


def distinct_when_shrunk(names: list[str]) -> list[str]:
    """The first of all recipes that a training step cannot tell apart once they are shrunk."""
    first: dict[str, str] = {}
    for name in names:
        content = to_dict(shrunk(name))
        for group in ("recipe", "training", "merge", "evaluation_size", "windows", "clips"):
            del content[group]
        del content["augment"]["filter_empty"]  # what a data set leaves out
        content["model"].pop("mask_annealing", None)  # two steps are no progress
        for field in SCHEDULE:
            del content["optimizer"][field]
        for technique in filter(None, content["techniques"].values()):
            technique.pop("weight", None)
            technique["selected"] = technique.get("selected") is None  # as many as there are, where it is more
        first.setdefault(json.dumps(content, sort_keys=True), name)
    return list(first.values())
