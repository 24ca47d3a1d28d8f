"""Splits: nothing lost, groups whole, classes on both sides, the same for the same seed, all or nothing on disk."""

import json
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import yaml
from PIL import Image

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.data import CocoPanoptic, Scenes, open_dataset, write_coco_panoptic
from pantile.data.label_files import read_label_ids
from pantile.labels.splitting.split import SplitOptions, deal, name_keys, split_folder


class Crops:
    """Two overlapping crops of each of several scenes, named ``photo<k>_<crop>``."""

    def __init__(self, photos: int) -> None:
        self.scenes = Scenes(photos, size=(120, 160), seed=4)
        self.taxonomy = self.scenes.taxonomy

    def __len__(self) -> int:
        return 2 * len(self.scenes)

    def name_of(self, index: int) -> str:
        return f"photo{index // 2}_{index % 2}.png"

    def image_id(self, index: int) -> int:
        return 100 + index

    def load(self, index: int):
        image, panoptic = self.scenes.load(index // 2)
        columns = slice(45 * (index % 2), 45 * (index % 2) + 110)
        ids = panoptic.ids[:, columns]
        present = set(np.unique(ids).tolist())
        return image[:, columns], PanopticMap(ids, tuple(s for s in panoptic.segments if s.id in present))


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    root = tmp_path_factory.mktemp("crops")
    write_coco_panoptic(Crops(5), root, "train")
    return CocoPanoptic(root, "train")


def photos_in(folder, split) -> set[str]:
    return {path.name.split("_")[0] for path in (folder / split).iterdir()}


def test_crops_of_one_photo_stay_together_by_content_alone(crops, tmp_path):
    result = split_folder(crops, tmp_path / "out", SplitOptions(val=0.2, test=0.2))
    assert result.groups == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert {split: len(own) for split, own in result.indices.items()} == {"train": 6, "val": 2, "test": 2}
    photos = [photos_in(tmp_path / "out", split) for split in ("train", "val", "test")]
    assert sum(map(len, photos)) == len(set.union(*photos)) == 5


def test_nothing_is_lost_or_changed(crops, tmp_path):
    split_folder(crops, tmp_path / "out", SplitOptions(val=0.2))
    seen = {}
    for split in ("train", "val"):
        part = CocoPanoptic(tmp_path / "out", split)
        assert part.taxonomy == crops.taxonomy
        seen |= {part.name_of(k): (part.image_id(k), *part.load(k)) for k in range(len(part))}
    assert len(seen) == len(crops)
    for k in range(len(crops)):
        image_id, image, panoptic = seen[crops.name_of(k)]
        assert image_id == crops.image_id(k)
        original, labels = crops.load(k)
        assert (image == original).all() and (panoptic.ids == labels.ids).all()
        assert panoptic.segments == labels.segments


def test_labels_are_copied_byte_for_byte_and_without_alpha(tmp_path):
    write_coco_panoptic(Crops(2), tmp_path / "src", "train")
    pngs = sorted((tmp_path / "src/annotations/panoptic_train").iterdir())
    Image.open(pngs[0]).convert("RGBA").save(pngs[0])
    ids = {png.name: read_label_ids(png) for png in pngs}
    table = tmp_path / "src/annotations/panoptic_train.json"
    content = json.loads(table.read_text())
    for annotation in content["annotations"]:
        for row in annotation["segments_info"]:
            row["area"], row["bbox"] = 1, [0, 0, 1, 1]  # told anew from the pixels
    table.write_text(json.dumps(content))
    split_folder(CocoPanoptic(tmp_path / "src", "train"), tmp_path / "out", SplitOptions(val=0.5))
    for split in ("train", "val"):
        rows = json.loads((tmp_path / f"out/annotations/panoptic_{split}.json").read_text())["annotations"]
        for own in rows:
            copy = tmp_path / f"out/annotations/panoptic_{split}" / own["file_name"]
            assert np.array_equal(read_label_ids(copy), ids[copy.name])
            assert Image.open(copy).mode == "RGB"
            assert (copy.read_bytes() == (pngs[0].parent / copy.name).read_bytes()) == (copy.name != pngs[0].name)
            for row in own["segments_info"]:
                y, x = np.nonzero(ids[copy.name] == row["id"])
                assert row["area"] == len(y)
                assert row["bbox"] == [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]


def test_a_label_that_is_broken_is_told_before_photos_are_compared(crops, tmp_path, monkeypatch):
    write_coco_panoptic(Crops(2), tmp_path / "src", "train")
    dataset = CocoPanoptic(tmp_path / "src", "train")
    dataset.label_path(3).write_bytes(dataset.label_path(3).read_bytes()[:-40])
    monkeypatch.setattr("pantile.labels.splitting.split.join_by_content", lambda *_: pytest.fail("compared"))
    with pytest.raises(UserError, match=dataset.label_path(3).name):
        split_folder(dataset, tmp_path / "out", SplitOptions())
    assert not (tmp_path / "out").exists()


def test_the_same_seed_gives_the_same_split_and_another_seed_another(crops, tmp_path):
    options = SplitOptions(val=0.2, content="none")
    splits = [split_folder(crops, tmp_path / str(k), replace(options, seed=k // 2)).indices for k in range(8)]
    assert all(splits[k] == splits[k + 1] for k in range(0, 8, 2))
    assert len({tuple(split["val"]) for split in splits}) > 1
    first, twin = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "0", tmp_path / "1")
    )
    assert len(first) == 2 * len(crops) + 2 and first == twin


def test_names_group(crops, tmp_path):
    result = split_folder(crops, tmp_path / "out", SplitOptions(0.2, content="none", group_by_name=r"(photo\d+)_"))
    assert result.groups == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    alone = split_folder(crops, tmp_path / "alone", SplitOptions(0.2, content="none"))
    assert len(alone.groups) == 10


def test_name_keys():
    names = ["a_1.png", "a_2.png", "b-1.png"]
    assert name_keys(names, r"[a-z]_") == ["a_", "a_", None]
    assert name_keys(names, r"(?:[a-z])[-_](\d)") == ["1", "2", "1"]
    with pytest.raises(UserError, match="no regular expression"):
        name_keys(names, "(")
    with pytest.raises(UserError, match="matches no file name"):
        name_keys(names, "x")


def test_classes_are_spread_as_far_as_groups_allow():
    """200 images; a class in 10 of them goes 9 to 1, which a random draw gets right in one of three."""
    rng = np.random.default_rng(0)
    occurrence = np.zeros((200, 4), dtype=bool)
    for k, count in enumerate((10, 20, 50, 100)):
        occurrence[rng.choice(200, count, replace=False), k] = True
    for seed in range(5):
        indices = deal([[k] for k in range(200)], occurrence, {"train": 0.8, "val": 0.1, "test": 0.1}, seed)
        assert sorted(chain(*indices.values())) == list(range(200))
        for split in ("val", "test"):
            assert abs(len(indices[split]) - 20) <= 2
            assert (abs(occurrence[indices[split]].sum(axis=0) - [1, 2, 5, 10]) <= 1).all(), (seed, split)


def test_groups_are_never_cut():
    rng = np.random.default_rng(1)
    owner = rng.integers(0, 30, 150)
    groups = [np.flatnonzero(owner == g).tolist() for g in range(30) if (owner == g).any()]
    indices = deal(groups, rng.random((150, 6)) < 0.3, {"train": 0.7, "val": 0.3}, seed=0)
    assert sorted(indices["train"] + indices["val"]) == list(range(150))
    assert not {owner[k] for k in indices["train"]} & {owner[k] for k in indices["val"]}
    assert 30 <= len(indices["val"]) <= 60


def test_every_split_gets_something_even_without_labels():
    indices = deal([[0, 1, 2], [3], [4, 5]], np.zeros((6, 2), bool), {"train": 0.98, "val": 0.01, "test": 0.01}, 0)
    assert all(indices.values()) and sorted(chain(*indices.values())) == list(range(6))
    with pytest.raises(UserError, match="too few for 2 splits"):
        deal([[0, 1, 2]], np.zeros((3, 2), bool), {"train": 0.9, "val": 0.1}, 0)


def test_links_share_their_bytes_and_copies_do_not(crops, tmp_path):
    for link in (True, False):
        out = tmp_path / str(link)
        split_folder(crops, out, SplitOptions(val=0.2, content="none", link=link))
        file = next((out / "train").iterdir())
        assert file.samefile(crops.root / "train" / file.name) == link


def test_all_or_nothing(crops, tmp_path, monkeypatch):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    with pytest.raises(UserError, match="not an empty folder"):
        split_folder(crops, tmp_path / "old", SplitOptions())
    monkeypatch.setattr(
        "pantile.labels.splitting.written.place_photo", lambda *_: (_ for _ in ()).throw(UserError("full"))
    )
    with pytest.raises(UserError, match="full"):
        split_folder(crops, tmp_path / "new", SplitOptions(content="none"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"val": 0.0}, "--val is 0"),
        ({"val": 1.2}, "--val is 1.2"),
        ({"val": float("nan")}, "--val is nan"),
        ({"test": -0.1}, "--test is -0.1"),
        ({"val": 0.6, "test": 0.4}, "nothing to train on"),
        ({"seed": -1}, "--seed is -1"),
        ({"content": "magic"}, "choose from overlap, none"),
    ],
)
def test_refuses_impossible_options(crops, tmp_path, changes, told):
    with pytest.raises(UserError, match=told):
        split_folder(crops, tmp_path / "out", SplitOptions(**changes))
    assert not (tmp_path / "out").exists()


def test_a_described_folder(tmp_path):
    """``dataset.yaml`` with JPEGs, whose names differ from their labels' in the ending."""
    root, rng = tmp_path / "data", np.random.default_rng(0)
    for folder in ("images/train", "semantic/train"):
        (root / folder).mkdir(parents=True)
    for k in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(root / f"images/train/{k}.jpg")
        Image.fromarray(np.full((40, 40), 1 + k % 2, np.uint8)).save(root / f"semantic/train/{k}.png")
    classes = [{"name": "wall", "thing": False}, {"name": "sky", "thing": False}]
    (root / "dataset.yaml").write_text(yaml.safe_dump({"classes": classes}))
    split_folder(open_dataset(root, "train"), tmp_path / "out", SplitOptions(val=0.5))
    for split in ("train", "val"):
        part = CocoPanoptic(tmp_path / "out", split)
        assert sorted(part.load(k)[1].segments[0].class_index for k in range(len(part))) == [0, 1]
        for path in (tmp_path / "out" / split).iterdir():
            assert path.read_bytes() == (root / "images/train" / path.name).read_bytes()


def test_names_that_would_collide_are_refused(tmp_path):
    root = tmp_path / "data"
    taxonomy = plain_taxonomy(["wall"], [])
    (root / "annotations" / "panoptic_train").mkdir(parents=True)
    names = ["a/b.png", "a_b.png"]
    for name in names:
        (root / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(root / "train" / name)
    for k in range(2):
        pixels = np.zeros((4, 4, 3), np.uint8)
        pixels[..., 0] = 1
        Image.fromarray(pixels).save(root / "annotations" / "panoptic_train" / f"{k}.png")
    rows = [{"id": 1, "category_id": taxonomy.classes[0].id, "iscrowd": 0, "area": 16, "bbox": [0, 0, 4, 4]}]
    data = {
        "images": [{"id": k, "file_name": name, "height": 4, "width": 4} for k, name in enumerate(names)],
        "annotations": [{"image_id": k, "file_name": f"{k}.png", "segments_info": rows} for k in range(2)],
        "categories": taxonomy.to_coco(),
    }
    (root / "annotations" / "panoptic_train.json").write_text(json.dumps(data))
    with pytest.raises(UserError, match=r"a/b.png \(id .*\) and a_b.png \(id .*\) would both be labelled by a_b.png"):
        split_folder(CocoPanoptic(root, "train"), tmp_path / "out", SplitOptions(val=0.5))
    assert Segment(1, 0) in CocoPanoptic(root, "train").load(0)[1].segments
