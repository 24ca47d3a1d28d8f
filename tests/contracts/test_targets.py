"""Targets against loops over pixels; taxonomy, ids and atomic files."""

import numpy as np
import pytest
import torch

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment, ids_to_rgb, rgb_to_ids
from pantile.contracts.targets import PanopticTargets, collate_targets
from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy


def make_targets(height: int, width: int):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 5, (2, height, width), generator=generator)
    ids[1][ids[1] > 1] = 0
    classes = [torch.tensor([7, 7, 2, 1]), torch.tensor([3])]
    crowd = [torch.tensor([False, False, True, False]), torch.tensor([False])]
    return collate_targets(list(ids), classes, crowd, ["a", "b"])


@pytest.mark.parametrize(
    ("full", "size"), [((33, 65), (9, 17)), ((33, 65), (33, 65)), ((32, 48), (8, 12)), ((9, 9), (1, 1))]
)
def test_masks_at_pixel_by_pixel(full, size):
    targets = make_targets(*full)
    masks = targets.masks_at(size)
    dense, areas, semantic = masks.one_hot(), masks.areas(), masks.semantic()
    for image, table in enumerate(([7, 7, None, 1], [3])):
        seen = dict.fromkeys(range(4), 0)
        for y in range(size[0]):
            for x in range(size[1]):
                from_y = round(y * (full[0] - 1) / max(1, size[0] - 1)) if size[0] > 1 else 0
                from_x = round(x * (full[1] - 1) / max(1, size[1] - 1)) if size[1] > 1 else 0
                value = int(targets.ids[image, from_y, from_x])
                row = value - 1 if value and value <= len(table) and table[value - 1] is not None else -1
                assert masks.index[image, y, x] == row
                assert masks.void[image, y, x] == (row < 0)
                assert semantic[image, y, x] == (table[row] if row >= 0 else -1)
                for other in range(4):
                    assert dense[image, other, y * size[1] + x] == (other == row)
                if row >= 0:
                    seen[row] += 1
        for row, count in seen.items():
            assert areas[image, row] == count
            assert masks.labels[image, row] == (table[row] if count else -1)


def test_at_aligned_sizes_it_is_striding():
    targets = make_targets(65, 97)
    strided = targets.ids[:, ::4, ::4]
    expected = torch.where((strided == 3) | (strided == 0), -1, strided - 1)
    assert torch.equal(targets.masks_at((17, 25)).index, expected)


def test_no_rows_at_all():
    none = torch.zeros(0, dtype=torch.int64)
    targets = collate_targets([torch.zeros(9, 9, dtype=torch.int16)], [none], [none.bool()], ["empty"])
    masks = targets.masks_at((3, 3))
    assert masks.labels.shape == (1, 0) and masks.one_hot().shape == (1, 0, 9)
    assert masks.void.all() and (masks.semantic() == -1).all()


def test_taxonomy_round_trips_and_refuses_nonsense():
    taxonomy = plain_taxonomy(["road", "car", "person"], things=["car", "person"])
    assert Taxonomy.from_coco(taxonomy.to_coco()) == taxonomy
    assert Taxonomy.from_dict(taxonomy.to_dict()) == taxonomy
    assert taxonomy.thing_indices == (1, 2) and taxonomy.stuff_indices == (0,)
    assert taxonomy.index_of_id == {1: 0, 2: 1, 3: 2}
    other = plain_taxonomy(["road", "car", "person"], things=["car"])
    assert other.fingerprint != taxonomy.fingerprint
    with pytest.raises(UserError, match="has no classes"):
        Taxonomy(())
    with pytest.raises(UserError, match="name 'car' twice"):
        plain_taxonomy(["car", "car"], things=[])
    with pytest.raises(UserError, match="lacks the field 'isthing'"):
        Taxonomy.from_coco([{"id": 1, "name": "x"}])


def test_ids_and_colours():
    ids = np.array([[0, 1, 255], [256, 65535, 2**24 - 1]], dtype=np.int32)
    rgb = ids_to_rgb(ids)
    assert rgb.dtype == np.uint8
    assert (rgb.astype(int) @ [1, 256, 65536] == ids).all()
    assert (rgb_to_ids(rgb) == ids).all()
    four = np.ascontiguousarray(np.concatenate([rgb, np.full((2, 3, 1), 200, np.uint8)], axis=2))
    assert (rgb_to_ids(four) == ids).all()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "folder" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def maps_of(*tables, ids=((0, 7, 7), (900, 900, 5))):
    return [PanopticMap(np.array(ids), tuple(Segment(*row) for row in table)) for table in tables]


THREE = plain_taxonomy(["road", "car", "person"], things=["car", "person"])


def test_targets_from_maps_of_any_ids():
    """Ids become rows in the order of the table; an id without a row, and 0, are void."""
    maps = maps_of([(900, 0), (7, 2, True)], [])
    targets = PanopticTargets.from_maps(maps, THREE)
    assert targets.ids.tolist() == [[[0, 2, 2], [1, 1, 0]], [[0] * 3] * 2]
    assert targets.classes.tolist() == [[0, 2], [-1, -1]]
    assert targets.crowd.tolist() == [[False, True], [False, False]]
    assert targets.masks_at((2, 3)).labels.tolist() == [[0, -1], [-1, -1]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([(7, 3)], r"^map 1: a segment has class index 3, but indices go from 0 to 2; .* start at 1 are one too large"),
        ([(7, -2)], r"^map 1: a segment has class index -2"),
    ],
)
def test_a_class_that_is_not_there_is_no_silent_no_object(table, message):
    with pytest.raises(UserError, match=message):
        PanopticTargets.from_maps(maps_of([(7, 1)], table), THREE)


def test_maps_that_cannot_be_collated_are_told():
    none = torch.zeros(0, dtype=torch.int64)
    one = torch.tensor([1])
    flat = torch.ones(4, 4, dtype=torch.int32)

    def collate(maps, classes):
        return collate_targets(maps, classes, [c.bool() for c in classes], ["a", "b"][: len(maps)])

    with pytest.raises(UserError, match=r"^b: the map holds 1, but its table has 0 rows: 0 is void"):
        collate([flat, flat], [one, none])
    with pytest.raises(UserError, match=r"^a: the map holds -1"):
        collate([-flat], [one])
    with pytest.raises(UserError, match=r"^b: the map is torch.int32 \(2, 4\): .* \(the first is \(4, 4\)\)"):
        collate([flat, flat[:2]], [one, one])
    with pytest.raises(UserError, match=r"^a: the map is torch.float32"):
        collate([flat.float()], [one])
    with pytest.raises(UserError, match="at least one map"):
        collate([], [])
