"""The file's own depth, bands and pages decide: what Pillow would cut is refused or mapped as the user says."""

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from described_folder import YAML, write_described
from PIL import Image
from raster_files import place, write_png, write_tiff

from pantile.contracts import large_images
from pantile.contracts.errors import UserError
from pantile.data import image_files, open_dataset, raster_file
from pantile.data.evaluation_samples import EvaluationSamples
from pantile.data.georeference import georeference_of
from pantile.data.image_files import image_pixels, open_image, read_image, read_orientation
from pantile.data.image_header import read_header
from pantile.data.orientation import turn
from pantile.data.reading import Reading, to_bytes
from pantile.labels.pixel_statistics import pixel_statistics

RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 3001, (3, 24, 32)).astype(np.uint16)


def mapped(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """The oracle, value by value, in Python's own numbers."""
    flat = [min(max((float(v) - low) / (high - low) * 255, 0.0), 255.0) for v in values.ravel()]
    return np.array([int(v + 0.5) for v in flat], np.uint8).reshape(values.shape)


def tiff(tmp_path: Path, values: np.ndarray, **options: object) -> Path:
    return write_tiff(tmp_path / "a.tif", values, **options)


DEEP_FILES = {
    "PNG": lambda folder: write_png(folder / "a.png", DEEP.transpose(1, 2, 0)),
    "TIFF, RGB": lambda folder: tiff(folder, DEEP, photometric="RGB"),
    "TIFF, planes": lambda folder: tiff(folder, DEEP, photometric="RGB", interleave="band"),
    "TIFF, grey with two more bands": lambda folder: tiff(folder, DEEP),
    "TIFF, float": lambda folder: tiff(folder, DEEP.astype(np.float32)),
    "TIFF, signed": lambda folder: tiff(folder, DEEP.astype(np.int16), compress="deflate"),
    "TIFF, 32 bits": lambda folder: tiff(folder, DEEP.astype(np.uint32)),
    "PPM": lambda folder: ppm(folder / "a.ppm"),
}


def ppm(path: Path) -> Path:
    path.write_bytes(b"P6\n# of a camera\n32 24 4095\n" + DEEP.transpose(1, 2, 0).astype(">u2").tobytes())
    return path


@pytest.mark.parametrize("kind", DEEP_FILES)
def test_deep_colour_is_refused_or_mapped(tmp_path: Path, kind: str) -> None:
    path = DEEP_FILES[kind](tmp_path)
    with pytest.raises(UserError, match=r"holds 3 bands of \d+ bits.*say it with `range: \[LOW, HIGH\]`.*--range"):
        read_image(path)
    assert read_header(path).deep
    expected = mapped(DEEP, 100, 3000).transpose(1, 2, 0)
    assert np.array_equal(read_image(path, reading=Reading(range=(100, 3000))), expected)
    turned = read_image(path, reading=Reading(bands=(3, 1, 2), range=((0, 10), (0, 4000), (100, 3000))))
    own = [mapped(DEEP[2], 0, 10), mapped(DEEP[0], 0, 4000), mapped(DEEP[1], 100, 3000)]
    assert np.array_equal(turned, np.stack(own, axis=-1))


def test_one_deep_band_becomes_grey_or_rgb(tmp_path: Path) -> None:
    for path in (write_png(tmp_path / "a.png", DEEP[0]), tiff(tmp_path, DEEP[:1])):
        for channels in (1, 3):
            with pytest.raises(UserError, match="holds 1 band of 16 bits"):
                read_image(path, channels)
            pixels = read_image(path, channels, Reading(range=(0, 3000)))
            assert np.array_equal(pixels, np.repeat(mapped(DEEP[0], 0, 3000)[..., None], channels, axis=2))


@pytest.mark.parametrize("bands", [2, 4, 5, 8])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_no_band_is_lost(tmp_path: Path, bands: int, dtype: str) -> None:
    values = RNG.integers(0, 256, (bands, 10, 12)).astype(dtype)
    path = tiff(tmp_path, values, photometric="MINISBLACK")
    with pytest.raises(
        UserError, match=rf"holds {bands} bands of .*, but 3 band\(s\) are wanted: say which with `bands"
    ):
        read_image(path)
    reading = Reading(range=(0, 255)) if dtype == "uint16" else Reading()
    assert np.array_equal(read_image(path, bands, reading), values.transpose(1, 2, 0))
    chosen = Reading(bands=(bands, 1), range=(0, 255))
    assert np.array_equal(read_image(path, 2, chosen), values[[-1, 0]].transpose(1, 2, 0))
    with pytest.raises(UserError, match=rf"holds {bands} band\(s\), but band {bands + 1} is asked for"):
        read_image(path, 2, Reading(bands=(1, bands + 1), range=(0, 255)))


def test_a_fourth_band_that_is_not_alpha_is_not_dropped(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (4, 10, 12)).astype(np.uint8)
    path = tiff(tmp_path, values, photometric="RGB", alpha="NO")
    assert Image.open(path).mode == "RGB"  # what a decoder makes of it
    with pytest.raises(UserError, match="holds 4 bands of 8 bits, but 3"):
        read_image(path)
    assert np.array_equal(read_image(path, 4), values.transpose(1, 2, 0))


def test_alpha_is_dropped_and_in_rasters_that_is_said(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (4, 10, 12)).astype(np.uint8)
    Image.fromarray(values.transpose(1, 2, 0)).save(tmp_path / "photo.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_image(tmp_path / "photo.png"), values[:3].transpose(1, 2, 0))
    path = tiff(tmp_path, values, photometric="RGB", alpha="YES", **place())
    with pytest.warns(UserWarning, match="says that its band 4 is alpha, so it is left out: name the bands"):
        assert np.array_equal(read_image(path), values[:3].transpose(1, 2, 0))
    infrared = read_image(path, reading=Reading(bands=(4, 1, 2)))
    assert np.array_equal(infrared, values[[3, 0, 1]].transpose(1, 2, 0))


def test_pages_are_named_or_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(RNG.integers(0, 256, (10, 12, 3), dtype=np.uint8)) for _ in range(3)]
    for name in ("a.tif", "a.gif", "a.png", "a.webp"):
        path = tmp_path / name
        options = {"lossless": True} if name == "a.webp" else {}
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        with pytest.raises(UserError, match="holds 3 pages or frames: say which to take with `pages"):
            read_image(path)
        second = read_image(path, reading=Reading(pages=(2,)))
        if name != "a.gif":  # which has few colours
            assert np.array_equal(second, np.asarray(frames[1]))
        assert second.shape == (10, 12, 3)
        with pytest.raises(UserError, match=r"holds 3 page\(s\), but page 4"):
            read_image(path, reading=Reading(pages=(4,)))
    stacked = read_image(tmp_path / "a.tif", 6, Reading(pages=(1, 3)))
    assert np.array_equal(stacked, np.concatenate([np.asarray(frames[k]) for k in (0, 2)], axis=2))


def test_deep_pages_of_a_microscope_follow_each_other(tmp_path: Path) -> None:
    pytest.importorskip("rasterio")
    path = tmp_path / "a.tif"
    pages = [Image.fromarray(page) for page in DEEP]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match="3 pages or frames"):
        read_image(path, reading=Reading(range=(0, 3000)))
    pixels = read_image(path, reading=Reading(pages=(3, 1, 2), range=(0, 3000)))
    assert np.array_equal(pixels, mapped(DEEP[[2, 0, 1]], 0, 3000).transpose(1, 2, 0))


def test_overviews_and_masks_are_no_pages(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = tiff(tmp_path, RNG.integers(0, 256, (3, 64, 64)).astype(np.uint8), photometric="RGB")
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
        file.write_mask(np.full((64, 64), 255, np.uint8))
    assert read_header(path).pages == 1 and read_image(path).shape == (64, 64, 3)


def test_a_stack_of_imagej_is_told(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.tif", description="ImageJ=1.54\nimages=7\nslices=7\n")
    with pytest.raises(UserError, match="holds 7 pages or frames"):
        read_image(tmp_path / "a.tif")


def test_values_that_are_no_numbers_become_black_and_complex_ones_are_refused(tmp_path: Path) -> None:
    values = np.array([[[np.nan, -np.inf, np.inf, 0.5]]], np.float32)
    assert read_image(tiff(tmp_path, values), 1, Reading(range=(0, 1))).ravel().tolist() == [0, 0, 255, 128]
    with pytest.raises(UserError, match="no plain numbers"):
        read_image(tiff(tmp_path, values.astype(np.complex64)), 1, Reading(range=(0, 1)))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"])
def test_the_map_of_values(dtype: str) -> None:
    values = np.arange(-300, 40000, 7.25).astype(np.int64).astype(dtype).reshape(1, -1, 1)
    expected = mapped(values, -20, 30000.5)
    assert np.array_equal(to_bytes(values, np.array([[-20, 30000.5]])), expected)


def test_files_of_8_bits_under_a_range_for_deeper_ones_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (200, 100, 50)).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="range reaches to 3000, beyond 255"):
        read_image(write_png(tmp_path / "a.png", np.zeros((4, 4, 3)), bits=8), reading=Reading(range=(0, 3000)))
    with pytest.raises(UserError, match="range reaches to 3000, beyond 255"):
        read_image(tmp_path / "a.jpg", reading=Reading(range=(0, 3000)))


def test_without_the_extra_one_sentence_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_png(tmp_path / "a.png", DEEP.transpose(1, 2, 0))
    monkeypatch.setattr(raster_file, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs rasterio to be read: pip install 'pantile\[raster\]'"):
        read_image(path, reading=Reading(range=(0, 3000)))


def test_damaged_rasters_are_one_sentence(tmp_path: Path) -> None:
    noise = RNG.integers(0, 3000, (3, 64, 64)).astype(np.uint16)
    for path in (write_png(tmp_path / "a.png", noise.transpose(1, 2, 0)), tiff(tmp_path, noise, compress="deflate")):
        whole = path.read_bytes()
        for keep in (20, len(whole) // 2):
            path.write_bytes(whole[:keep])
            with pytest.raises(UserError, match=r"does not decode|not a readable image"):
                read_image(path, reading=Reading(range=(0, 3000)))


def test_windows_are_the_parts_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "_LARGE", 0)
    monkeypatch.setattr(raster_file, "_STRIPE", 2**12)
    tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    plain, deep = (
        RNG.integers(0, 256, (3, 50, 70)).astype(np.uint8),
        RNG.integers(0, 5000, (4, 50, 70)).astype("uint16"),
    )
    for path, reading in (
        (write_tiff(tmp_path / "plain.tif", plain, photometric="RGB", compress="deflate", **tiled), Reading()),
        (write_tiff(tmp_path / "strips.tif", plain, photometric="RGB", blockysize=4), Reading()),
        (write_tiff(tmp_path / "deep.tif", deep, **tiled), Reading(bands=(4, 1, 2), range=(0, 4000))),
    ):
        whole, image = read_image(path, reading=reading), open_image(path, reading=reading, windows=True)
        assert isinstance(image, raster_file.RasterImage) and image.shape == whole.shape == (50, 70, 3)
        assert np.array_equal(image[7:41, 13:70], whole[7:41, 13:70])
        assert np.array_equal(image[::3, ::3], whole[::3, ::3]) and np.array_equal(np.asarray(image), whole)


def test_images_beyond_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for suffix in ("png", "jpg", "gif", "tif", "webp", "jp2", "ppm", "bmp"):
        Image.new("RGB", (40, 30), (1, 2, 3)).save(tmp_path / f"a.{suffix}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert read_image(tmp_path / f"a.{suffix}").shape == (30, 40, 3)
            assert read_image(tmp_path / f"a.{suffix}", reading=Reading(pages=(1,))).shape == (30, 40, 3)
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr(large_images, "MOST_BYTES", 4 * 40 * 30 - 1)
    with pytest.raises(UserError, match=r"has 40 x 30 pixels.*decoded at once: save it as a tiled TIFF.*--tile"):
        read_image(tmp_path / "a.png")


def test_the_place_of_an_image(tmp_path: Path) -> None:
    values = RNG.integers(0, 256, (3, 10, 12)).astype(np.uint8)
    found = georeference_of(tiff(tmp_path, values, photometric="RGB", **place(x=7.0)))
    assert found.crs.to_epsg() == 32632 and found.transform.c == 7.0
    Image.fromarray(values.transpose(1, 2, 0)).save(tmp_path / "photo.jpg")
    assert georeference_of(tmp_path / "photo.jpg") is None
    (tmp_path / "photo.jgw").write_text("0.5\n0\n0\n-0.5\n100\n200\n")
    assert georeference_of(tmp_path / "photo.jpg").transform.a == 0.5


def test_an_image_that_pillow_opened_is_judged_by_its_file(tmp_path: Path) -> None:
    path = write_png(tmp_path / "a.png", DEEP.transpose(1, 2, 0))
    for opened in (Image.open(path), Image.open(io.BytesIO(path.read_bytes()))):
        assert opened.mode == "RGB"
        with pytest.raises(UserError, match=r"comes from a file of 3 bands of 16 bits.*give the file's name"):
            image_pixels(opened)
    plain = write_png(tmp_path / "b.png", DEEP.transpose(1, 2, 0) % 256, bits=8)
    assert np.array_equal(image_pixels(Image.open(plain)), DEEP.transpose(1, 2, 0) % 256)


def test_sizes_of_files_that_pillow_does_not_know(tmp_path: Path) -> None:
    assert read_orientation(tiff(tmp_path, np.zeros((5, 7, 9), np.uint16))).stored == (7, 9)


def test_statistics_see_what_the_network_gets(tmp_path: Path) -> None:
    text = f"{YAML}bands: [3, 1]\nrange: [100, 2000]\n"
    label = np.full((24, 32), 2)
    write_described(tmp_path, "train", {"a": (label, label * 0), "b": (label, label * 0)}, text)
    pixels = []
    for name, values in (("a", DEEP), ("b", DEEP[::-1])):
        (tmp_path / "images" / "train" / f"{name}.png").unlink()
        write_tiff(tmp_path / "images" / "train" / f"{name}.tif", values)
        pixels.append(mapped(values[[2, 0]], 100, 2000).reshape(2, -1))
    found = pixel_statistics(open_dataset(tmp_path))
    expected = np.concatenate(pixels, axis=1).astype(np.float64)
    assert found.mean == pytest.approx(expected.mean(axis=1)) and found.std == pytest.approx(expected.std(axis=1))
    sample = EvaluationSamples(open_dataset(tmp_path), (24, 32))[0]
    assert np.array_equal(sample.image.numpy().reshape(2, -1), pixels[0])


def test_a_preview_before_the_picture_is_not_the_picture(tmp_path: Path) -> None:
    preview, picture = Image.new("RGB", (8, 6), (9, 9, 9)), Image.new("RGB", (16, 12), (1, 2, 3))
    picture.encoderinfo = {"tiffinfo": {}}
    preview.save(tmp_path / "a.tif", save_all=True, append_images=[picture], tiffinfo={254: 1})
    assert Image.open(tmp_path / "a.tif").size == (8, 6)
    assert read_header(tmp_path / "a.tif").pages == 1
    assert np.array_equal(read_image(tmp_path / "a.tif"), np.asarray(picture))


def test_pages_of_several_kinds_are_told_apart(tmp_path: Path) -> None:
    slide, label = Image.new("RGB", (16, 12), (1, 2, 3)), Image.new("L", (5, 4), 7)
    slide.save(tmp_path / "a.tif", save_all=True, append_images=[label])
    assert np.array_equal(read_image(tmp_path / "a.tif", reading=Reading(pages=(1,))), np.asarray(slide))
    assert read_image(tmp_path / "a.tif", 1, Reading(pages=(2,))).shape == (4, 5, 1)
    with pytest.raises(UserError, match="the pages to take differ"):
        read_image(tmp_path / "a.tif", 4, Reading(pages=(1, 2)))


@pytest.mark.parametrize("tag", range(1, 9))
def test_deep_images_are_turned_like_others(tag: int, tmp_path: Path) -> None:
    """Through GDAL, which knows nothing of the tag; and a band of 8 bits through Pillow, which turns by itself."""
    stored = np.arange(15, dtype=np.uint16).reshape(3, 5) * 4369
    path = tmp_path / "a.tif"
    Image.fromarray(stored).save(path, tiffinfo={274: tag})
    reading = Reading(range=(0, 65535))
    expected = np.round(stored / 257).astype(np.uint8)[..., None]
    assert np.array_equal(read_image(path, 1, reading, frame="stored"), expected)
    upright = turn(expected, tag, "stored", "upright")
    assert np.array_equal(read_image(path, 1, reading), upright)
    assert np.array_equal(np.asarray(open_image(path, 1, reading, windows=True)), upright)

    colour = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "b.tif", tiffinfo={274: tag})
    green = Reading(bands=(2,))
    assert np.array_equal(read_image(tmp_path / "b.tif", 1, green, frame="stored"), colour[..., 1:2])
    assert np.array_equal(read_image(tmp_path / "b.tif", 1, green), turn(colour[..., 1:2], tag, "stored", "upright"))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"P3\n2 1\n65535\n1 2 3 300 500 999\n", "3 bands of 16 bits"),
        (b"P2\n2 1\n4095\n1 300\n", "1 band of 12 bits"),
        (b"Pf\n2 1\n-1.0\n" + np.array([0.25, 0.75], "<f4").tobytes(), r"1 band of 32 bits \(float\)"),
    ],
)
def test_deep_netpbm_files_in_text_or_floats_are_never_cut_to_bytes(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{what}, and which values"):
        read_image(path)
    for high in (1.0, 3000.0):  # Pillow gave high bytes, or floats cut to whole numbers
        with pytest.raises(UserError, match="save it as PNG or TIFF"):
            read_image(path, reading=Reading(range=(0.0, high)))


def test_a_palette_under_a_reading_keeps_its_colours(tmp_path: Path) -> None:
    """Red was taken three times, without a word."""
    colours = np.random.default_rng(2).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    for name in ("a.png", "a.tif"):
        Image.fromarray(colours).quantize(20).save(tmp_path / name)
        plain = read_image(tmp_path / name)
        for reading in (Reading(range=(0, 255)), Reading(pages=(1,)), Reading(bands=(1, 2, 3))):
            assert np.array_equal(read_image(tmp_path / name, reading=reading), plain)
        assert np.array_equal(read_image(tmp_path / name, reading=Reading(bands=(3, 2, 1))), plain[..., ::-1])


def test_halves_of_a_range_are_rounded_up(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[10, 30, 50, 70]], dtype=np.uint8)).save(path)
    assert read_image(path, 1, Reading(range=(0, 100)))[0, :, 0].tolist() == [26, 77, 128, 179]  # 25.5, 76.5, ...


def test_deep_images_whose_zero_is_white_are_no_negatives(tmp_path: Path) -> None:
    """Pillow inverts them at 8 bits, GDAL at no depth."""
    stored = np.arange(4, dtype=np.uint16).reshape(2, 2) * 20000
    Image.fromarray(stored).save(tmp_path / "a.tif", tiffinfo={262: 0})
    if read_header(tmp_path / "a.tif").colour != "white-is-zero":  # Pillow writes its own tag
        content = bytearray((tmp_path / "a.tif").read_bytes())
        place = content.find(b"\x06\x01\x03\x00\x01\x00\x00\x00\x01")
        content[place + 8] = 0
        (tmp_path / "a.tif").write_bytes(content)
    assert read_header(tmp_path / "a.tif").colour == "white-is-zero"
    with pytest.raises(UserError, match="of which 0 is white: save it with 0 for black"):
        read_image(tmp_path / "a.tif", 1, Reading(range=(0, 65535)))
