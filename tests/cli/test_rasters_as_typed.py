"""Deep and multi-band rasters from the command line: train, eval, predict and check; their place is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pantile.cli.main import main
from pantile.contracts.panoptic import rgb_to_ids
from pantile.data import CocoPanoptic, Scenes, write_coco_panoptic
from pantile.data.image_files import read_image
from pantile.data.reading import Reading
from pantile.engine.config import save_yaml
from pantile.predict import load
from tiny_runs import make_tiny_config

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore")

CLASSES = "classes:\n  - {name: block, thing: true}\n  - {name: ground, thing: false}\n"
IMAGES = "bands: [4, 2]\nrange: [[0, 3000], [100, 2000]]\n"
SMALL = ["training.steps=2", "training.precision=fp32", "training.workers=0", "augment.crop=[33,33]"]
SMALL += ["evaluation_size=[33,33]", "training.effective_batch=2"]
UTM = {"crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 5e5, 0, -0.2, 5e6)}


def write_raster(path: Path, values: np.ndarray, **options: object) -> None:
    """(bands, H, W) as GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype=values.dtype, **size, **options) as file:
        file.write(values)


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four bands of 16 bits."""
    root, rng = tmp_path_factory.mktemp("described"), np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("a", "b"):
            classes, numbers = np.full((40, 50), 2, np.uint8), np.zeros((40, 50), np.uint16)
            classes[5:25, 5:30], numbers[5:25, 5:30] = 1, 1
            values = rng.integers(0, 3001, (4, 40, 50)).astype(np.uint16)
            write_raster(root / "images" / split / f"{name}.tif", values, **UTM)
            save(classes, root / "semantic" / split / f"{name}.png")
            save(numbers, root / "instances" / split / f"{name}.png")
    (root / "dataset.yaml").write_text(CLASSES + IMAGES)
    return root


def test_a_model_carries_what_it_was_trained_with(described: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    train = ["train", "panoptic_deeplab_nano", "--data", str(described), "--out", str(run), "--set", *SMALL]
    assert main(train) == 0
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["images"] == {"bands": [4, 2], "range": [[0.0, 3000.0], [100.0, 2000.0]], "pages": None}
    assert config["model"]["in_channels"] == 2
    assert main(["eval", str(run), "--data", str(described)]) == 0
    image = described / "images" / "val" / "a.tif"
    assert main(["predict", str(run), str(image), "--out", str(out), "--tile", "40"]) == 0
    seen = load(run)(image).image
    assert np.array_equal(seen, read_image(image, 2, Reading((4, 2), ((0, 3000), (100, 2000)))))
    assert main(["data", "check", str(described)]) == 0

    rows = json.loads((out / "annotations" / "panoptic_predictions.json").read_text())
    with Image.open(out / "annotations" / "panoptic_predictions" / "a.png") as png:
        ids = rgb_to_ids(np.asarray(png))
    category = {row["id"]: row["category_id"] for row in rows["annotations"][0]["segments_info"]} | {0: -1}
    with rasterio.open(out / "geotiff" / "a.tif") as file:
        assert (file.crs.to_epsg(), file.transform) == (32632, UTM["transform"])
        assert np.array_equal(file.read(1), ids)
        assert np.array_equal(file.read(2), np.vectorize(category.get)(ids))
    (out / "geotiff" / "a.tif").unlink()
    assert main(["predict", str(run), str(image), "--out", str(out), "--tile", "40", "--resume"]) == 0
    assert (out / "geotiff" / "a.tif").is_file()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on two RGB scenes in COCO-panoptic layout, which lie beside it."""
    root = tmp_path_factory.mktemp("rgb")
    for split in ("train", "val"):
        write_coco_panoptic(Scenes(2, size=(65, 65), split=split), root / "data", split)
    save_yaml(make_tiny_config(), root / "config.yaml")
    train = ["train", "--config", root / "config.yaml", "--data", root / "data", "--out", root / "run"]
    assert main([str(a) for a in [*train, "--set", "training.steps=1"]]) == 0
    return root


def deep_copy(model: Path, root: Path) -> Path:
    """The data with every image as 12 bits in 16, bands reversed; labels as they are."""
    import shutil

    shutil.copytree(model / "data", root)
    for path in [*(root / "train").iterdir(), *(root / "val").iterdir()]:
        pixels = np.asarray(Image.open(path).convert("RGB")).astype(np.uint16)
        path.unlink()
        write_raster(path.with_suffix(".tif"), (pixels[..., ::-1] * 16).transpose(2, 0, 1), photometric="RGB")
    for path in (root / "annotations").glob("*.json"):
        path.write_text(path.read_text().replace('.png", "height"', '.tif", "height"'))
        content = json.loads(path.read_text())
        for image in content["images"]:
            image["file_name"] = str(Path(image["file_name"]).with_suffix(".tif"))
        path.write_text(json.dumps(content))
    return root


def test_options_and_dataset_yaml_say_the_same(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, options = deep_copy(model, tmp_path / "deep"), ["--bands", "3", "2", "1", "--range", "0", "4080"]
    numbers = {}
    for name, arguments in {
        "rgb": [model / "data", "--json", tmp_path / "rgb.json"],
        "options": [data, "--json", tmp_path / "options.json", *options],
        "tiles": [data, "--json", tmp_path / "tiles.json", *options, "--tile", "512"],
    }.items():
        assert main([str(a) for a in ["eval", model / "run", "--data", *arguments]]) == 0
        numbers[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert numbers["rgb"] == numbers["options"] == numbers["tiles"]

    capsys.readouterr()
    assert main(["eval", str(model / "run"), "--data", str(data)]) == 2
    assert "holds 3 bands of 16 bits" in capsys.readouterr().err
    assert main(["data", "check", str(data)]) != 0 and "image-unsaid" in capsys.readouterr().out
    (data / "dataset.yaml").write_text("bands: [3, 2, 1]\nrange: [0, 4080]\n")
    assert main(["data", "check", str(data)]) == 0
    assert main(["eval", str(model / "run"), "--data", str(data), "--json", str(tmp_path / "file.json")]) == 0
    assert json.loads((tmp_path / "file.json").read_text()) == numbers["rgb"]
    dataset, plain = CocoPanoptic(data, "val"), CocoPanoptic(model / "data", "val")
    assert np.array_equal(dataset.load(1)[0], plain.load(1)[0])


def test_predict_with_options(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    image = next((deep_copy(model, tmp_path / "deep") / "val").iterdir())
    arguments = ["predict", str(model / "run"), str(image), "--no-overlays", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2 and "--range LOW HIGH" in capsys.readouterr().err
    assert main([*arguments, "--range", "0"]) == 2 and "give LOW HIGH" in capsys.readouterr().err
    assert main([*arguments, "--bands", "3", "2", "1", "--range", "0", "4080"]) == 0
    assert not (tmp_path / "out" / "geotiff").exists()  # it has no place
    plain = load(model / "run")(model / "data" / "val" / f"{image.stem}.png")
    with Image.open(tmp_path / "out" / "annotations" / "panoptic_predictions" / f"{image.stem}.png") as png:
        assert np.array_equal(rgb_to_ids(np.asarray(png)), plain.map)
