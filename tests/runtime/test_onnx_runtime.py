"""Exported files without torch: predictions, tiles, verbs, and bad input in one sentence."""

import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

import pantile
from pantile.cli.main import main
from pantile.contracts.errors import UserError
from pantile.data.resize import resize_image as resize_by_torch
from pantile.inference.tiles import Tiling
from pantile.runtime.fitting import resize_image
from pantile.runtime.sizes import InputSizes, Side
from runtime.forged_png import png_that_claims
from runtime.handmade_onnx import header, write_handmade

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


def blocks(height: int, width: int) -> np.ndarray:
    """A red, a green and a blue part."""
    image = np.full((height, width, 3), 10, np.uint8)
    image[:, : width // 2, 0] = 220
    image[: height // 2, width // 2 :, 1] = 220
    image[height // 2 :, width // 2 :, 2] = 220
    return image


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_handmade(tmp_path_factory.mktemp("file") / "model.onnx", header().to_json())


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "a.png"
    Image.fromarray(blocks(64, 96)).save(path)
    return path


def test_the_colours_become_their_classes(file, photo):
    predictor = pantile.load(file)
    result = predictor(photo)
    assert isinstance(result, pantile.PanopticResult) and result.per_class
    semantic = result.semantic()
    assert (semantic[:, :44] == 0).all() and (semantic[:28, 52:] == 1).all() and (semantic[36:, 52:] == 2).all()
    assert [r.map.shape for r in predictor([blocks(40, 50), blocks(100, 31)])] == [(40, 50), (100, 31)]


def test_tiles_are_stitched(file):
    image = blocks(150, 200)
    result = pantile.load(file, tiling=Tiling(64))(image)
    semantic = result.semantic()
    assert (semantic[:, :92] == 0).all() and (semantic[:67, 108:] == 1).all() and (semantic[83:, 108:] == 2).all()
    assert len(result.segments) == 3


WITHOUT = """
import sys
class Blocked:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
sys.meta_path.insert(0, Blocked())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {blocked} else find_spec(name, *rest)
"""
BLOCKED = """{"torch", "torchvision", "timm", "lightning", "torchmetrics", "scipy", "pydantic", "yaml", "rich",
    "jinja2", "matplotlib", "safetensors", "tensorboard", "pycocotools", "faster_coco_eval"}"""


def without_torch(code: str) -> subprocess.CompletedProcess:
    text = WITHOUT.replace("{blocked}", " ".join(BLOCKED.split())) + code
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=os.environ)


def test_only_onnxruntime_numpy_and_pillow_are_needed(file, photo, tmp_path):
    """To load, predict, draw and write; and the verb."""
    code = f"""
import pantile
from pantile.cli.main import main
result = pantile.load({str(file)!r})({str(photo)!r})
result.save({str(tmp_path / "a.jpg")!r})
result.save({str(tmp_path / "a.json")!r})
assert main(["predict", {str(file)!r}, {str(photo)!r}, "--out", {str(tmp_path / "out")!r}]) == 0
for command in (["eval", {str(file)!r}, "--data", "scenes"], ["data", "check", "folder"], ["train", "remax_nano"]):
    assert main(command) == 2
for use in (lambda: pantile.load("runs/first"), lambda: pantile.create_model):
    try:
        use()
    except ImportError as error:
        print(error, file=sys.stderr)
"""
    ran = without_torch(code)
    assert ran.returncode == 0, ran.stderr
    told = [line for line in ran.stderr.splitlines() if "pip install 'pantile[full]'" in line]
    assert len(told) == 5 and told[1].startswith("pantile: data needs rich") and "Traceback" not in ran.stderr
    assert told[3].startswith("runs/first is a checkpoint, which needs") and told[4].startswith("pantile.create_model")
    written = json.loads((tmp_path / "out" / "annotations" / "panoptic_predictions.json").read_text())
    assert len(written["annotations"][0]["segments_info"]) == 3
    assert (
        written["annotations"][0]["segments_info"]
        == json.loads((tmp_path / "a.json").read_text())["annotations"][0]["segments_info"]
    )
    assert Image.open(tmp_path / "a.jpg").size[1] > 64  # the legend lies below


def test_eval_measures_a_file(file, tmp_path, capsys):
    from pantile.data import Scenes, write_coco_panoptic

    class Blocks(Scenes):
        def __init__(self):
            super().__init__(1, size=(64, 96))
            self.taxonomy = header().taxonomy

        def load(self, index):
            ids = np.ones((64, 96), np.int32)
            ids[:32, 48:], ids[32:, 48:] = 2, 3
            return blocks(64, 96), pantile.PanopticMap(ids, tuple(pantile.Segment(i + 1, i) for i in range(3)))

    write_coco_panoptic(Blocks(), tmp_path, "val")
    target = tmp_path / "numbers.json"
    assert main(["eval", str(file), "--data", str(tmp_path), "--json", str(target)]) == 0
    content = json.loads(target.read_text())
    assert content["panoptic"]["all"]["pq"] > 0.9 and content["semantic"]["miou"] > 0.9


def refused(capsys, *arguments) -> str:
    assert main([str(a) for a in arguments]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "exported by" not in line]
    assert len(lines) == 1
    return lines[0]


def test_bad_files_are_told_in_one_sentence(tmp_path, photo, capsys):
    out = tmp_path / "out"
    text = tmp_path / "text.onnx"
    text.write_text("no graph")
    assert "cannot be read as an ONNX file" in refused(capsys, "predict", text, photo, "--out", out)
    foreign = write_handmade(tmp_path / "foreign.onnx", None)
    assert "is not a network that pantile exported" in refused(capsys, "predict", foreign, photo, "--out", out)
    later = write_handmade(tmp_path / "later.onnx", header().to_json().replace('"format": 1', '"format": 7'))
    assert "has format 7 and was written by pantile 0.0" in refused(capsys, "predict", later, photo, "--out", out)
    damaged = write_handmade(tmp_path / "damaged.onnx", '{"format": 1}')
    assert "metadata 'pantile' is damaged" in refused(capsys, "predict", damaged, photo, "--out", out)
    assert "no such file" in refused(capsys, "predict", tmp_path / "none.onnx", photo, "--out", out)
    assert not out.exists()


def test_options_of_checkpoints_are_refused(file, photo, tmp_path, capsys):
    out = tmp_path / "out"
    for options, sentence in (
        (["--flip"], "views are averaged of checkpoints only"),
        (["--weights", "last"], "--weights chooses among the weights of a run folder"),
        (["--inside", tmp_path / "in"], "--inside draws layers"),
    ):
        assert sentence in refused(capsys, "predict", file, photo, "--out", out, *options)
    assert not out.exists()
    with pytest.raises(UserError, match="exported files run on the CPU here, not on cuda"):
        pantile.load(file, device="cuda")


def test_a_decompression_bomb_is_refused_before_it_is_decoded(file, tmp_path, capsys):
    """A few hundred bytes that claim 10 GiB: by the verb, as a path and as bytes."""
    bomb, predictor = png_that_claims(60_000, 60_000), pantile.load(file)
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb)
    assert main(["predict", str(file), str(path), "--out", str(tmp_path / "out")]) == 2
    assert "bomb.png has 60000 x 60000 pixels, 13.4 GiB decoded, but at most 4 GiB" in capsys.readouterr().err
    for source, sentence in ((path, "but at most 4 GiB are decoded at once"), (bomb, "are no readable image")):
        tracemalloc.start()
        with pytest.raises(UserError, match=sentence):
            predictor(source)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()


def test_what_is_imported_of_pantile_takes_about_as_long_as_the_packages_below_it():
    """In CPU time; seconds alone would depend on what else runs here: benchmarks/runtime_import.py."""
    code = """
import time
start = time.process_time()
import numpy, PIL.Image, onnxruntime
packages = time.process_time()
import pantile.predict.exported, pantile.runtime.onnx_file
print((time.process_time() - packages) / (packages - start))
"""
    ratio = float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
    assert ratio < 2.5


def test_a_size_that_the_graph_does_not_take(file):
    opened = pantile.load(file).file
    with pytest.raises(UserError, match="takes inputs of 32k x 32k pixels, any number of images at a time, not 64 x"):
        opened.run(np.zeros((1, 3, 64, 90), np.uint8), np.zeros((1, 64, 90), bool))


@pytest.mark.parametrize(
    ("side", "taken", "refused_lengths", "padded"),
    [
        (Side(64), [64], [63, 128], {10: 64}),
        (Side(multiple=64, remainder=1), [65, 129], [1, 64, 66], {1: 65, 65: 65, 66: 129}),
        (Side(multiple=32), [32, 96], [0, 31, 33], {1: 32, 33: 64}),
    ],
)
def test_sides_take_and_pad(side, taken, refused_lengths, padded):
    assert all(map(side.takes, taken)) and not any(map(side.takes, refused_lengths))
    assert {length: side.at_least(length) for length in padded} == padded
    assert InputSizes.from_dict({"height": vars(side), "width": vars(side), "batch": None}).height == side


def test_merging_inside_knows_neither_tiles_nor_other_tasks(tmp_path):
    path = write_handmade(tmp_path / "inside.onnx", header(inside=3).to_json())
    with pytest.raises(UserError, match="merges inside its graph, so tiles cannot be stitched"):
        pantile.load(path, tiling=Tiling(64))(blocks(100, 100))


@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("size", [(31, 50), (97, 140)])
def test_pixels_are_resized_as_for_torch(channels, size):
    image = np.random.default_rng(0).integers(0, 256, (64, 80, channels)).astype(np.uint8)
    expected = resize_by_torch(torch.from_numpy(image).permute(2, 0, 1), size).permute(1, 2, 0).numpy()
    assert np.abs(resize_image(image, size).astype(int) - expected).max() <= 1
