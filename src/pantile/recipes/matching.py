"""The recipe of weights that come without one."""

from pantile.recipes.registry import ALL_RECIPES

BACKBONES = {
    "resnet50": "r50",
    "resnet101": "r101",
    "resnet101s": "r101c",
    "swin_tiny": "swin_t",
    "swin_small": "swin_s",
    "swin_base": "swin_b",
    "swin_large": "swin_l",
    **dict.fromkeys(("vit_tiny", "deit_tiny_distilled"), "ti"),
    **dict.fromkeys(("vit_small", "deit_small_distilled"), "s"),
    **dict.fromkeys(("vit_base", "deit_base_distilled"), "b"),
    "vit_large": "l",
    "vit_giant": "g",
    "beit_base": "beit_l",
    "beit_large": "beit_l",
    **{f"convnext_{size}": f"convnext_{size}" for size in ("tiny", "small", "base", "large")},
}
#: class count -> data sets in whose names of recipes to look, most likely first
DATASETS = {
    133: ("coco",),
    60: ("pascal_context",),
    171: ("coco_stuff10k",),
    847: ("ade20k_full",),
    1284: ("coco_lvis",),
    80: ("coco_instance",),
    150: ("ade20k", "ade20k_semantic", "ade20k_1281"),
    100: ("ade20k_instance",),
    19: ("cityscapes", "cityscapes_semantic"),
    8: ("cityscapes_instance",),
    65: ("mapillary", "mapillary_semantic"),
}


def short_name(backbone: str) -> str:
    """Of a timm name, in names of recipes."""
    return BACKBONES.get(backbone.partition(".")[0].partition("_patch")[0], "r50")


def matching_recipe(architecture: str, backbone: str, classes: int) -> str:
    """The recipe of this backbone for the data set with so many classes; else ResNet-50's, else one for COCO, else of
    another backbone for this data set, else any.

    Args:
        architecture: the prefix of its recipes.
        backbone: timm name.
        classes: K.
    """
    short = short_name(backbone)
    datasets = DATASETS.get(classes, ())
    names = [
        f"{architecture}_{size}_{dataset}"
        for some in (datasets, ("coco",))
        for size in (short, "r50")
        for dataset in some
    ]
    known = sorted(name for name in ALL_RECIPES if name.startswith(f"{architecture}_"))
    names += [name for dataset in datasets for name in known if name.endswith(f"_{dataset}")]
    names += [name for name in known if name.startswith(f"{architecture}_{short}_")]
    return next(name for name in (*names, *known) if name in known)
