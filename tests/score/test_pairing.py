"""Which prediction is held against which image: ids, names, and files in which the two contradict each other."""

import shutil

import numpy as np
import pytest
from score_files import edit, scored, write_maps

from pantile.contracts.errors import UserError
from pantile.contracts.file_names import SharedNames
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.score import CocoMaps, Job, LabelPngs, score

TAXONOMY = plain_taxonomy(["cat", "sky"], things=["cat"])


def bar(width: int) -> PanopticMap:
    """A cat of so many columns below sky: no two are alike."""
    ids = np.full((4, 12), 2, np.int32)
    ids[:, :width] = 1
    return PanopticMap(ids, (Segment(1, 0), Segment(2, 1)))


@pytest.fixture
def files(tmp_path):
    """Ground truth of four images and a perfect prediction, with the same ids and names."""
    maps = [bar(width) for width in (1, 3, 6, 10)]
    return write_maps(tmp_path, "gt", maps, TAXONOMY), write_maps(tmp_path, "pred", maps, TAXONOMY)


def renumber(path, ids, images: bool = False) -> None:
    def change(content):
        for annotation, image_id in zip(content["annotations"], ids, strict=True):
            annotation["image_id"] = image_id

    edit(path, change)
    if images:
        edit(path, list_images)


def list_images(content) -> None:
    rows = [(a["image_id"], a["file_name"].replace(".png", ".jpg")) for a in content["annotations"]]
    content["images"] = [{"id": image_id, "file_name": name} for image_id, name in rows]


def rename(path, names) -> None:
    """PNGs and their entries."""
    names = dict(names)

    def change(content):
        for annotation in content["annotations"]:
            old = annotation["file_name"]
            if old in names:
                target = path.with_suffix("") / names[old]
                target.parent.mkdir(exist_ok=True)
                shutil.move(path.with_suffix("") / old, target)
                annotation["file_name"] = names[old]

    edit(path, change)


def pq(files, **options) -> float:
    truth = CocoMaps(files[0])
    return score(Job(truth, CocoMaps(files[1], taxonomy=truth.taxonomy), **options)).quality.all.pq


@pytest.mark.parametrize("ids", [[3, 2, 1, 0], [1, 2, 3, 4], [100, 200, 300, 400], ["d", "c", "b", "a"]])
@pytest.mark.parametrize("images", [False, True])
def test_ids_that_count_otherwise_give_way_to_names(files, ids, images):
    renumber(files[1], ids, images)
    with pytest.warns(UserWarning, match="paired by file name"):
        assert pq(files) == 1
    if ids == [3, 2, 1, 0]:
        assert pq(files, pair_by="id") < 1
    assert pq(files, pair_by="name") == 1


def test_ids_and_names_that_agree_say_nothing(files, recwarn):
    edit(files[0], list_images)
    assert pq(files) == pq(files, pair_by="id") == pq(files, pair_by="name") == 1
    assert not recwarn.list


@pytest.mark.parametrize("ids", [["0", "1", "2", "3"], ["00", "01", "02", "03"]])
def test_numbers_as_texts_are_the_same_ids(files, ids, recwarn):
    renumber(files[1], ids)
    rename(files[1], [(f"{k:03}.png", f"{k:03}_leftImg8bit.png") for k in range(4)])
    assert pq(files) == 1
    assert not recwarn.list


def test_names_of_photos_count_where_pngs_are_named_otherwise(files):
    """The ground truth's PNGs have names of their own; a prediction is named like its photo."""
    edit(files[0], list_images)
    rename(files[0], [(f"{k:03}.png", f"mask_{k}.png") for k in range(4)])
    renumber(files[1], [3, 2, 1, 0])
    with pytest.warns(UserWarning, match=r"image_id 0 is mask_0\.png in --gt and 003\.png in --pred"):
        assert pq(files) == 1


def test_a_part_of_the_predictions_and_predictions_of_more_images(files):
    """Names may leave images without prediction, or predictions without image, but not both."""
    edit(files[1], lambda content: content.update(annotations=content["annotations"][2:]))
    renumber(files[1], [0, 1])
    with pytest.warns(UserWarning) as told:
        result = scored(*files)
    assert "paired by file name" in str(told[0].message)
    assert "2 of 4 images have no prediction (the first is 000.png)" in str(told[1].message)
    assert sum(c.tp for c in result.quality.per_class.values()) == 4
    assert sum(c.fp for c in result.quality.per_class.values()) == 0
    with pytest.warns(UserWarning, match="belong to no image|paired by file name"):
        assert pq(files[::-1]) == 1


def test_names_that_pair_only_some_are_refused(files):
    rename(files[1], [("000.png", "x.png")])
    with pytest.raises(UserError, match=r"image_id 0 is 000\.png in --gt and x\.png in --pred, and file names pair "):
        scored(*files)
    assert pq(files, pair_by="id") == 1


def test_ids_alone_are_said_to_be_alone(files):
    rename(files[1], [(f"{k:03}.png", f"prediction_{k}.png") for k in range(4)])
    with pytest.warns(UserWarning, match="paired by image_id alone"):
        assert pq(files) == 1


def test_strangers_are_refused(files, tmp_path):
    renumber(files[1], [10, 11, 12, 13])
    rename(files[1], [(f"{k:03}.png", f"prediction_{k}.png") for k in range(4)])
    with pytest.raises(UserError, match="share neither an image_id nor a file name"):
        scored(*files)
    labels = tmp_path / "labels"
    labels.mkdir()
    from PIL import Image

    Image.fromarray(np.full((4, 12), 2, np.uint8)).save(labels / "other.png")
    truth = CocoMaps(files[0])
    with pytest.raises(UserError, match="share no file name"):
        Job(truth, LabelPngs(labels, truth.taxonomy, is_truth=False))
    with pytest.raises(UserError, match="--pair-by id needs two JSON files"):
        Job(truth, LabelPngs(labels, truth.taxonomy, is_truth=False), pair_by="id")


class TestFolders:
    names = ("aachen/0.png", "aachen/1.png", "bonn/0.png", "bonn/1.png")

    def renamed(self, path) -> None:
        rename(path, [(f"{k:03}.png", name) for k, name in enumerate(self.names)])

    def test_the_same_name_in_two_folders(self, files):
        for path in files:
            self.renamed(path)
        renumber(files[1], [3, 2, 1, 0])
        with pytest.warns(UserWarning, match="paired by file name"):
            assert pq(files) == 1

    def test_folders_in_one_of_the_files_only(self, files, recwarn):
        rename(files[0], [(f"{k:03}.png", f"city/{k:03}.png") for k in range(4)])
        assert pq(files) == 1
        assert not recwarn.list

    def test_a_name_that_means_several_images(self, files):
        """``0.png`` of two folders in the ground truth, and nothing in the predictions to tell them apart."""
        edit(files[0], list_images)
        edit(files[0], lambda content: [i.update(file_name="photo.jpg") for i in content["images"]])
        edit(files[1], list_images)
        edit(files[1], lambda content: [i.update(file_name="photo.jpg") for i in content["images"]])
        renumber(files[1], [3, 2, 1, 0])
        with pytest.raises(UserError, match="Several images share the file name 'photo'"):
            scored(*files)


def test_photos_and_pngs_that_pair_differently(files):
    edit(files[0], list_images)
    edit(files[1], list_images)
    edit(files[1], lambda content: [i.update(file_name=f"{3 - i['id']:03}.jpg") for i in content["images"]])
    with pytest.raises(UserError, match="photos and of PNGs pair the images differently"):
        scored(*files)


def test_depth_of_names():
    shared = SharedNames(["val/a/0.png", "val/b/0.png"], ["b/0.jpg", "a/0.jpg"])
    assert shared.pairs == {0: 1, 1: 0}
    assert shared.same(0, 1) and not shared.same(0, 0)
    assert SharedNames(["frankfurt/f_1_gtFine_panoptic.png"], ["f_1_leftImg8bit.png"]).pairs == {0: 0}
    assert SharedNames([], ["a.png"]).pairs == {}
