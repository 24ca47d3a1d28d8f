"""The class lists by the names that recipes give to data sets: ``segmenter_b_ade20k_full`` is for ``ade20k_full``."""

from importlib import import_module

from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy

#: name in recipes -> module of this package, and the name of its taxonomy
_LISTS = {
    "ade20k": ("ade20k", "TAXONOMY"),
    "ade20k_full": ("ade20k_full", "TAXONOMY"),
    "cityscapes": ("cityscapes", "TAXONOMY"),
    "coco": ("coco", "TAXONOMY"),
    "coco_lvis": ("coco_lvis", "TAXONOMY"),
    "coco_stuff10k": ("coco_stuff", "TAXONOMY"),
    "mapillary": ("mapillary", "TAXONOMY"),
    "pascal_context": ("pascal_context", "TAXONOMY_60"),
    "youtube_vis_2019": ("youtube_vis", "TAXONOMY_2019"),
    "youtube_vis_2021": ("youtube_vis", "TAXONOMY_2021"),
}
#: (things, stuff) of data sets whose names stand in files of their own: VSPW (Miao et al., CVPR 2021) separates no
#: things of its 124 classes, VIPSeg (Miao et al., CVPR 2022) 58 of the same
_COUNTS = {"vspw": (0, 124), "vipseg": (58, 66)}


def vocabulary_of(recipe: str) -> str | None:
    """The data set that a recipe's name has among its words, the longest of several; None where it names none.

    >>> vocabulary_of("segmenter_b_ade20k_full_rankseg")
    'ade20k_full'
    """
    named = [name for name in (*_LISTS, *_COUNTS) if f"_{name}_" in f"_{recipe}_"]
    return max(named, key=len, default=None)


def taxonomy_of(vocabulary: str) -> Taxonomy:
    """
    Args:
        vocabulary: as ``vocabulary_of`` gives it.

    Returns:
        Its classes; of VSPW and VIPSeg as many, numbered.
    """
    if vocabulary in _COUNTS:
        things, stuff = (
            [f"{kind} {n + 1}" for n in range(count)]
            for kind, count in zip(("thing", "stuff"), _COUNTS[vocabulary], strict=True)
        )
        return plain_taxonomy([*things, *stuff], things)
    module, name = _LISTS[vocabulary]
    return getattr(import_module(f"pantile.data.classes.{module}"), name)
