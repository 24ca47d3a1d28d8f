"""Inputs on which other evaluations give impossible or wrong numbers."""

import re

import numpy as np
import pytest
from PIL import Image
from score_files import edit, scored, write_maps

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import MAX_ID, PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy

TAXONOMY = plain_taxonomy(["cat", "dog", "sky"], things=["cat", "dog"])
CAT, DOG, SKY = range(3)
IDS = np.repeat([[1, 1, 1, 2, 2, 2]], 6, axis=0).astype(np.int32)
NEAR = np.repeat([[1, 1, 1, 1, 2, 2]], 6, axis=0).astype(np.int32)
ROWS = (Segment(1, CAT), Segment(2, SKY))


@pytest.fixture
def pair(tmp_path):
    """A prediction with IoU 3/4 of the cat and 2/3 of the sky."""
    gt = write_maps(tmp_path, "gt", [PanopticMap(IDS, ROWS)], TAXONOMY)
    return gt, write_maps(tmp_path, "pred", [PanopticMap(NEAR, ROWS)], TAXONOMY)


HONEST = (3 / 4 + 2 / 3) / 2


def segments(content: dict) -> list[dict]:
    return content["annotations"][0]["segments_info"]


def refused(pair, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        scored(*pair)
    assert "\n" not in str(error.value)


def test_the_honest_score(pair):
    assert scored(*pair).quality.all.pq == HONEST


@pytest.mark.parametrize("area", [1, 180, 0, -5, "18", None, [18], 1e300])
def test_a_wrong_area_in_the_ground_truth(pair, area):
    edit(pair[0], lambda content: [s.update(area=area) for s in segments(content)])
    assert scored(*pair).quality.all.pq == HONEST


@pytest.mark.parametrize("flag", [0, "0", 0.0, False, None, "false", "missing"])
def test_not_crowd_in_any_type(pair, flag):
    edit(
        pair[0],
        lambda content: [s.pop("iscrowd") if flag == "missing" else s.update(iscrowd=flag) for s in segments(content)],
    )
    assert scored(*pair).quality.all.pq == HONEST


@pytest.mark.parametrize("flag", [1, "1", 1.0, True, "True"])
def test_crowd_in_any_type(pair, flag):
    edit(pair[0], lambda content: segments(content)[0].update(iscrowd=flag))
    result = scored(*pair).quality
    assert result.per_class["cat"].occurs is False
    assert result.all.pq == 2 / 3


@pytest.mark.parametrize("flag", [2, -1, "yes", [], {}, 0.5])
def test_crowd_that_is_neither(pair, flag):
    edit(pair[0], lambda content: segments(content)[0].update(iscrowd=flag))
    refused(pair, r"a segment with id \d+ and iscrowd .*: write 0 or 1")


def test_crowd_of_a_prediction_is_not_looked_at(pair):
    edit(pair[1], lambda content: segments(content)[0].update(iscrowd=1))
    assert scored(*pair).quality.all.pq == HONEST


@pytest.mark.parametrize("flag", [1, "1", 1.0, True])
def test_things_in_any_type(pair, flag):
    edit(pair[0], lambda content: content["categories"][0].update(isthing=flag))
    assert scored(*pair).quality.things.pq == 3 / 4


def test_a_ground_truth_segment_with_id_0(pair):
    edit(pair[0], lambda content: segments(content)[0].update(id=0))
    refused(pair, "segment with id 0: 0 means void")
    edit(pair[0], lambda content: segments(content)[0].update(id=1))
    edit(pair[1], lambda content: segments(content)[0].update(id=0))
    refused(pair, "segment with id 0: 0 means void")


def test_a_crowd_predicted_as_two_segments(tmp_path):
    gt = write_maps(tmp_path, "gt", [PanopticMap(IDS, (Segment(1, CAT, is_crowd=True), Segment(2, SKY)))], TAXONOMY)
    split = IDS.copy()
    split[:3, :3] = 7
    rows = (Segment(1, CAT), Segment(7, CAT), Segment(2, SKY))
    pred = write_maps(tmp_path, "pred", [PanopticMap(split, rows)], TAXONOMY)
    result = scored(gt, pred)
    assert (result.quality.all.pq, result.quality.all.n) == (1, 1)
    assert (result.things.fp, result.things.truth) == (0, 0)


@pytest.mark.parametrize("which", [0, 1])
def test_pixels_that_the_json_lacks_and_the_reverse(pair, which):
    edit(pair[which], lambda content: segments(content).pop(0))
    refused(pair, "pixels with id 1, but its table of segments lacks that id")
    edit(
        pair[which],
        lambda content: segments(content).extend([{"id": 1, "category_id": 1}, {"id": 9, "category_id": 1}]),
    )
    refused(pair, "segment id 9, but no pixel has it")


def test_forty_thousand_segments_in_one_image(tmp_path):
    ids = np.arange(1, 40001, dtype=np.int32).reshape(200, 200)
    gt = write_maps(tmp_path, "gt", [PanopticMap(ids, ())], TAXONOMY)
    rows = [{"id": i, "category_id": 1 + i % 3} for i in range(1, 40001)]
    edit(gt, lambda content: content["annotations"][0].update(segments_info=rows))
    (tmp_path / "pred").symlink_to(tmp_path / "gt")
    pred = tmp_path / "pred.json"
    pred.write_text(gt.read_text())
    result = scored(gt, pred)
    assert result.quality.all.pq == 1
    assert sum(c.tp for c in result.quality.per_class.values()) == 40000
    assert sum(c.tp for c in result.by_size["small"].per_class.values()) == 40000


@pytest.mark.parametrize("segment_id", [MAX_ID + 1, 2**40, -3])
def test_ids_out_of_24_bits(pair, segment_id):
    edit(pair[1], lambda content: segments(content)[0].update(id=segment_id))
    refused(pair, f"segment with id {segment_id}: ids are whole numbers from 1 to {MAX_ID}")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("category", [99, "1", 1.5, None, -1])
def test_unknown_and_mistyped_categories(pair, which, category):
    edit(pair[which], lambda content: segments(content)[0].update(category_id=category))
    refused(pair, "category_id")


def test_categories_that_mean_something_else(pair):
    edit(pair[1], lambda content: content["categories"][0].update(name="horse"))
    refused(pair, "calls category 1 'horse', but the ground truth calls it 'cat'")
    edit(pair[1], lambda content: content.pop("categories"))
    assert scored(*pair).quality.all.pq == HONEST


@pytest.mark.parametrize("which", [0, 1])
def test_two_annotations_of_one_image(pair, which):
    edit(pair[which], lambda content: content["annotations"].append(content["annotations"][0]))
    refused(pair, "two annotations for image_id 0")


def test_a_segment_id_twice(pair):
    edit(pair[1], lambda content: segments(content).append(segments(content)[0]))
    refused(pair, "uses a segment id twice")


@pytest.mark.parametrize("name", ["../gt/000.png", "/etc/passwd", "C:\\x.png", "a\0b.png", "", "..\\x.png", 5, None])
def test_files_outside_of_the_folder(pair, name):
    edit(pair[1], lambda content: content["annotations"][0].update(file_name=name))
    refused(pair, "file_name is")


def test_sizes_that_differ(pair, tmp_path):
    Image.new("RGB", (6, 5), (1, 0, 0)).save(tmp_path / "pred" / "000.png")
    refused(pair, re.escape("000.png: The ground truth is 6 x 6 pixels but the prediction is 5 x 6"))


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "1", "LA"])
def test_pngs_that_are_not_rgb(pair, tmp_path, mode):
    Image.new(mode, (6, 6)).save(tmp_path / "pred" / "000.png")
    refused(pair, "needs 8-bit RGB")


def test_an_alpha_channel_is_ignored(pair, tmp_path):
    path = tmp_path / "pred" / "000.png"
    Image.open(path).convert("RGBA").save(path)
    assert scored(*pair).quality.all.pq == HONEST


def test_a_header_that_claims_a_giant_image(pair, tmp_path):
    import struct
    import zlib

    path = tmp_path / "pred" / "000.png"
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)
    refused(pair, "has 2147483647 x 2147483647 pixels")


def test_missing_files_and_folders(pair, tmp_path):
    (tmp_path / "pred" / "000.png").unlink()
    refused(pair, r"000\.png cannot be read \(No such file or directory\)")
    refused((pair[0], tmp_path / "nothing.json"), r"nothing\.json cannot be read")
    lonely = tmp_path / "lonely.json"
    lonely.write_text(pair[1].read_text())
    refused((pair[0], lonely), "lonely is not a folder")
