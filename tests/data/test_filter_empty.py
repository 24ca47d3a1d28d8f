"""Images without things are left out where a recipe says so, never silently and never all of them."""

import warnings
from itertools import islice

import numpy as np
import pytest
from official_folders import write_cityscapes

from in_memory_data import InMemory
from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data.augment_config import AugmentConfig, PairConfig
from pantile.data.cityscapes import Cityscapes
from pantile.data.filter_empty import images_with_things
from pantile.data.loading import training_loader
from pantile.data.segment_index import class_presence
from pantile.data.subset import Subset

THING, STUFF = 0, 1
#: what each image of ``mixed`` shows: (class, crowd)
SHOWS = [[(THING, False)], [], [(STUFF, False)], [(THING, True)], [(STUFF, False), (THING, False)], [(THING, True)]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def config(**options) -> AugmentConfig:
    return AugmentConfig(crop=(16, 16), ssd_jitter=False, copy_paste=0.0, redraws=0, **options)


def names_drawn(dataset, augment: AugmentConfig, draws: int, **options) -> list[str]:
    loader = training_loader(dataset, augment, 20, **options)
    samples = loader.dataset.dataset
    return [samples.name_of(draw.dataset_index) for draw in islice(loader.sampler, draws)]


def test_two_thousand_draws_show_images_with_things_only() -> None:
    with pytest.warns(UserWarning, match="4 of 6 training images show no thing and are left out") as told:
        names = names_drawn(InMemory(SHOWS), config(filter_empty=True), 2000)
    assert len(told) == 1
    assert {name: names.count(name) for name in set(names)} == {"0": 1000, "4": 1000}
    assert set(names_drawn(InMemory(SHOWS), config(), 2000)) == set("012345")


def test_only_the_first_process_tells() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(names_drawn(InMemory(SHOWS), config(filter_empty=True), 40, rank=1, world_size=2)) <= {"0", "4"}
        assert len(images_with_things(InMemory(SHOWS[:1]), tell=True)) == 1  # nothing is left out, nothing is said


def test_batches_come_from_what_is_left_and_so_do_pasted_copies() -> None:
    augment = config(filter_empty=True)
    augment.copy_paste = 1.0
    with pytest.warns(UserWarning, match="left out"):
        loader = training_loader(InMemory(SHOWS), augment, 4)
    assert len(loader.dataset) == 2
    assert set(next(iter(loader))[1].names) == {"0", "4"}


def test_pairs_too(tmp_path) -> None:
    """Pairs go by class; stuff of images without things is not drawn either."""
    augment = config(filter_empty=True, pairs=PairConfig(target_sizes=(8,), min_short_side=16, max_short_side=16))
    with pytest.warns(UserWarning, match="left out"):
        assert set(names_drawn(InMemory(SHOWS), augment, 200)) == {"0", "4"}


@pytest.mark.parametrize(
    ("shows", "taxonomy"),
    [
        (SHOWS[1:4], None),
        ([[(0, False)], [(1, False)]], plain_taxonomy(["road", "sky"], things=[])),
    ],
    ids=["no image shows one", "no class is one"],
)
def test_nothing_left_is_one_sentence(shows, taxonomy) -> None:
    with pytest.raises(UserError, match=r"None of the \d training images shows a thing.*augment\.filter_empty=false"):
        training_loader(InMemory(shows, taxonomy), config(filter_empty=True), 2)


def test_a_subset_keeps_its_own_numbers() -> None:
    with pytest.warns(UserWarning, match="2 of 3 training images"):
        kept = images_with_things(Subset(InMemory(SHOWS), [2, 4, 1]), tell=True)
    assert [kept.name_of(k) for k in range(len(kept))] == ["4"]


def test_labels_of_files_are_read(tmp_path) -> None:
    """Cityscapes lists no segments: 7 is road, 24000 a person, 24 a group of persons."""
    values = {"a": 7, "b": 24000, "c": 24}
    write_cityscapes(
        tmp_path, "train", {f"aachen_00000{k}_000019": np.full((6, 8), v) for k, v in enumerate(values.values())}
    )
    dataset = Cityscapes(tmp_path, "train")
    things = list(dataset.taxonomy.thing_indices)
    assert class_presence(dataset)[:, things].any(axis=1).tolist() == [False, True, False]
    assert [images_with_things(dataset).name_of(0)] == [dataset.name_of(1)]
