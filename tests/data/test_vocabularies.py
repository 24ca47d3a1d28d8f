"""Whose classes a recipe's model is counted with."""

import pytest

from pantile.data.classes.vocabularies import taxonomy_of, vocabulary_of
from pantile.recipes import list_recipes


@pytest.mark.parametrize(
    ("recipe", "vocabulary", "classes"),
    [
        ("segmenter_b_pascal_context", "pascal_context", 60),
        ("segmenter_b_ade20k_rankseg", "ade20k", 150),
        ("segmenter_b_ade20k_full_rankseg", "ade20k_full", 847),
        ("segmenter_l_coco_stuff10k", "coco_stuff10k", 171),
        ("upernet_swin_b_coco_lvis", "coco_lvis", 1284),
        ("mask2former_r50_cityscapes_semantic", "cityscapes", 19),
        ("kmax_r50_coco", "coco", 133),
        ("mask2former_swin_l_vspw_rankseg", "vspw", 124),
        ("videomt_l_vipseg", "vipseg", 124),
    ],
)
def test_the_longest_name_among_the_words_counts(recipe, vocabulary, classes):
    assert recipe in list_recipes()
    assert vocabulary_of(recipe) == vocabulary
    assert taxonomy_of(vocabulary).num_classes == classes


def test_parts_of_words_name_no_data_set():
    assert vocabulary_of("remax_nano") is None
    assert vocabulary_of("coconut_r50") is None


def test_every_recipe_but_the_small_ones_names_its_data_set():
    unnamed = {name for name in list_recipes() if vocabulary_of(name) is None and not name.endswith("_nano")}
    assert unnamed == {"facades_lite0", "panoptic_deeplab_lite0"}  # for photos of any classes
