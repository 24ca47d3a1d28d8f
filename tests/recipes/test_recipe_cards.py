"""The cards of the recipes: one for each, sizes that are counted, tasks that are those of the settings."""

import os

import pytest

from pantile.data.classes.vocabularies import vocabulary_of
from pantile.engine.config import RunConfig
from pantile.recipes import list_recipes, make_recipe
from pantile.recipes.cards import ANY, COLUMNS, TASKS, Card, Score, card_of, list_cards, read_rows, task_in_name
from pantile.recipes.registry import ALL_RECIPES
from pantile.recipes.sizes import counting

OURS = [name for name in list_recipes() if name not in ALL_RECIPES.foreign()]
ALL_SIZES = "PANTILE_SIZES"  # set by `make sizes`
#: those that are built in tenths of a second
QUICK = (
    "deeplabv3_nano",
    "eomt_nano",
    "eomt_s_coco",
    "mask2former_nano",
    "mask2former_r50_coco",
    "maskformer_nano",
    "query2label_nano",
    "segmenter_nano",
    "segmenter_b_ade20k_rankseg",
    "semask_nano",
    "upernet_nano",
    "videomt_nano",
)
METRICS = {
    "panoptic": {"PQ"},
    "instance": {"AP"},
    "semantic": {"mIoU"},
    "video panoptic": {"VPQ", "STQ"},
    "video instance": {"AP"},
    "video semantic": {"mIoU", "VC16"},
    "multi-label": set(),
}


def test_every_recipe_has_a_card_and_every_card_a_recipe():
    assert list(read_rows()) == OURS, (
        "`python benchmarks/recipe_sizes.py --write` gives new recipes a row in src/pantile/recipes/cards.csv with the "
        "size, and takes rows of no recipe away; the other cells are written by hand."
    )


def test_what_a_name_says_is_not_written_again():
    for name, row in read_rows().items():
        assert bool(row["task"]) != bool(task_in_name(name)), f"{name}: the task"
        assert bool(row["data"]) != bool(vocabulary_of(name)), f"{name}: the data set"


def test_tasks_are_those_of_the_settings():
    for name in OURS:
        task, config = card_of(name).task, make_recipe(name)
        assert task in TASKS, name
        assert task.startswith("video ") == (config.augment.clip is not None), name
        assert (task == "multi-label") == (config.merge.kind == "presence"), name
        assert not votes_for_classes(config) or task.endswith("semantic"), name
        assert not config.augment.filter_empty or task == "instance", name


def votes_for_classes(config: RunConfig) -> bool:
    """Whether its merge gives a class to each pixel and no segment."""
    return config.merge.kind in ("semantic", "query_votes")


def test_results_are_percent_of_the_metric_of_the_task():
    for card in list_cards():
        for score in card.scores:
            assert score.metric in METRICS[card.task], card
            assert 0 < score.value < 100, card
        assert "".join(card.published.split()) == "".join(card.published.split(" ")), f"{card.name} has odd spaces"


def test_a_cell_of_results_is_read_in_parts():
    assert card_of("kmax_r50_cityscapes").scores == [Score("PQ", 64.3), Score("PQ", 63.5, "of the PyTorch port")]
    assert card_of("videomt_l_vipseg").scores == [Score("VPQ", 55.2), Score("STQ", 48.9)]
    assert card_of("remax_nano").scores == []


@pytest.mark.parametrize(
    ("name", "task", "data"),
    [
        ("mask2former_r50_ibs_mapillary_instance", "instance", "mapillary"),
        ("eomt_l_coco_instance_1280", "instance", "coco"),
        ("segmenter_b_ade20k_full_rankseg", "semantic", "ade20k_full"),
        ("segmenter_b_ade20k_rankseg", "semantic", "ade20k"),
        ("vit_adapter_l_ade20k_semantic_rankseg", "semantic", "ade20k"),
        ("mask2former_swin_l_youtube_vis_2019_rankseg", "video instance", "youtube_vis_2019"),
        ("remax_b_coco_50k", "panoptic", "coco"),
        ("videomt_nano", "video panoptic", ANY),
    ],
)
def test_task_and_data(name, task, data):
    assert (card_of(name).task, card_of(name).data) == (task, data)


def test_a_recipe_without_a_row_has_what_its_name_says():
    assert card_of("new_coco_instance") == Card("new_coco_instance", "instance", "coco")
    assert card_of("new_vipseg_semantic") == Card("new_vipseg_semantic", "video semantic", "vipseg")
    assert card_of("new_nano") == Card("new_nano", None, None)


@pytest.mark.parametrize("name", QUICK)
def test_sizes_are_those_of_the_networks(name):
    assert f"{counting()(name):.2f}" == read_rows()[name]["million_parameters"]


@pytest.mark.skipif(ALL_SIZES not in os.environ, reason="takes three minutes: `make sizes`")
def test_all_sizes_are_those_of_the_networks():
    count = counting()
    counted = {name: f"{count(name):.2f}" for name in OURS}
    assert counted == {name: row["million_parameters"] for name, row in read_rows().items()}


def test_the_file_has_its_columns_and_nothing_else():
    assert all(tuple(row) == COLUMNS and None not in row.values() for row in read_rows().values())
