"""Classes in another order: matched by name, refused where they are other classes."""

import warnings

import numpy as np
import pytest

from pantile.contracts.errors import UserError
from pantile.contracts.same_classes import match_classes
from pantile.contracts.taxonomy import ClassInfo, Taxonomy, plain_taxonomy
from pantile.data import Renumbered, Scenes, Subset, with_classes, write_coco_panoptic
from pantile.data.coco_panoptic import CocoPanoptic
from pantile.data.segment_index import segment_index

WANTED = plain_taxonomy(["road", "car", "person"], things=["car", "person"])
SAID = ("the data", "the model", "train anew")


def reversed_order(taxonomy: Taxonomy) -> Taxonomy:
    return Taxonomy(taxonomy.classes[::-1])


def test_order_ids_and_colours_do_not_matter():
    found = Taxonomy(tuple(ClassInfo(c.name, c.is_thing, c.id + 70, (1, 2, 3)) for c in WANTED.classes[::-1]))
    assert match_classes(found, WANTED, *SAID) == (2, 1, 0)
    assert match_classes(WANTED, WANTED, *SAID) == (0, 1, 2)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (plain_taxonomy(["road", "car"], things=["car"]), r"The 2 classes .* not the 3 .* \(the data lacks person\)"),
        (plain_taxonomy(["road", "car", "person", "x"], ["car", "person", "x"]), "the model lacks x"),
        (plain_taxonomy(["road", "bus", "person"], ["bus", "person"]), "the model lacks bus; the data lacks car"),
        (
            plain_taxonomy(["car", "road", "person"], ["road", "person"]),
            "road is thing in the data and stuff in ",
        ),
        (plain_taxonomy(["road", "car", "person"], ["car"]), "person is stuff in the data and thing in the model"),
    ],
)
def test_other_classes_are_refused_in_one_sentence(found, told):
    with pytest.raises(UserError, match=told) as error:
        match_classes(found, WANTED, *SAID)
    assert str(error.value).endswith("; train anew.") and "\n" not in str(error.value)


def test_the_wrapped_data_set_has_every_member_and_the_wanted_indices():
    scenes = Scenes(4, size=(33, 33), seed=1)
    wanted = reversed_order(scenes.taxonomy)
    with pytest.warns(UserWarning, match="The data lists the classes of the model in another order: they are matched"):
        own = with_classes(scenes, wanted, *SAID)
    assert own.taxonomy is wanted and len(own) == 4
    assert own.segment_counts() == scenes.segment_counts()
    for index in range(4):
        assert (own.name_of(index), own.image_id(index)) == (scenes.name_of(index), scenes.image_id(index))
        (image, panoptic), (_, truth) = own.load(index), scenes.load(index)
        assert np.array_equal(image, own.load_image(index)) and np.array_equal(panoptic.ids, truth.ids)
        names = [
            [t.names[s.class_index] for s in m.segments] for t, m in ((wanted, panoptic), (scenes.taxonomy, truth))
        ]
        assert names[0] == names[1]


def test_the_same_order_is_no_wrapper():
    scenes = Scenes(1, size=(33, 33))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_classes(scenes, scenes.taxonomy, *SAID) is scenes


@pytest.mark.parametrize("kind", ["maps", "table"])
def test_the_index_of_segments_follows(kind, tmp_path):
    data = Scenes(6, size=(33, 33), seed=1)
    if kind == "table":
        write_coco_panoptic(data, tmp_path, "train")
        data = CocoPanoptic(tmp_path, "train")
    count = len(data.taxonomy)
    order = tuple(np.random.default_rng(0).permutation(count).tolist())
    wanted = Taxonomy(tuple(data.taxonomy.classes[k] for k in np.argsort(order)))
    assert match_classes(data.taxonomy, wanted, *SAID) == order
    plain = segment_index(Subset(data, [4, 1, 2]))
    turned = segment_index(Renumbered(Subset(data, [4, 1, 2]), wanted, order))
    assert {order[k]: tuple(images) for k, images in zip(plain.classes, plain.images, strict=True)} == {
        k: tuple(images) for k, images in zip(turned.classes, turned.images, strict=True)
    }
