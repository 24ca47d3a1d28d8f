"""Label PNGs of a depth or colour type that a reader does not take are refused, never read as other values."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raster_files import write_png

from pantile.contracts.errors import UserError
from pantile.contracts.label_pngs import GREY_8, GREY_16, PALETTE, RGB_8
from pantile.contracts.large_images import without_pixel_limit
from pantile.data import id_png
from pantile.data.image_files import read_panoptic_png
from pantile.data.label_files import read_label
from pantile.score.png_file import read_grey_png, read_id_png

VALUES = np.arange(24).reshape(4, 6) % 16
COLOUR = np.stack([VALUES, VALUES * 2, VALUES * 0], axis=-1)
ALPHA = np.concatenate([COLOUR, np.full((4, 6, 1), 255)], axis=-1)
COLOURS = b"".join(bytes([k, 255 - k, 9]) for k in range(16))


def palette(path: Path, colours: bytes = COLOURS, bits: int = 4) -> Path:
    from raster_files import chunk

    return write_png(path, VALUES, bits, colour=3, extra=chunk(b"PLTE", colours))


FILES = {
    "8-bit grey": lambda path: write_png(path, VALUES, 8),
    "16-bit grey": lambda path: write_png(path, VALUES * 1000, 16),
    "4-bit grey": lambda path: write_png(path, VALUES, 4),
    "2-bit grey": lambda path: write_png(path, VALUES % 4, 2),
    "8-bit grey with alpha": lambda path: write_png(path, ALPHA[..., 2:], 8),
    "16-bit grey with alpha": lambda path: write_png(path, ALPHA[..., 2:], 16),
    "4-bit palette": palette,
    "8-bit RGB": lambda path: write_png(path, COLOUR, 8),
    "16-bit RGB": lambda path: write_png(path, COLOUR * 300, 16),
    "8-bit RGBA": lambda path: write_png(path, ALPHA, 8),
    "16-bit RGBA": lambda path: write_png(path, ALPHA * 250, 16),
}
TAKEN = {
    GREY_8: {"8-bit grey": VALUES},
    GREY_16: {"16-bit grey": VALUES * 1000},
    PALETTE: {"4-bit palette": VALUES},
    RGB_8: {"8-bit RGB": COLOUR, "8-bit RGBA": COLOUR},
}


@pytest.mark.parametrize("kind", TAKEN)
@pytest.mark.parametrize("file", FILES)
def test_values_as_stored_or_a_sentence(tmp_path: Path, kind: str, file: str) -> None:
    path = FILES[file](tmp_path / "a.png")
    if file in TAKEN[kind]:
        assert np.array_equal(read_label(path, (kind,)), TAKEN[kind][file])
        return
    with pytest.raises(UserError, match=f"a.png is a PNG of {file}, but this label needs {kind}"):
        read_label(path, (kind,))


@pytest.mark.parametrize("file", FILES)
def test_ids_and_the_readers_of_score(tmp_path: Path, file: str) -> None:
    path = FILES[file](tmp_path / "a.png")
    for read, kinds in (
        (read_panoptic_png, (RGB_8,)),
        (read_id_png, (RGB_8,)),
        (read_grey_png, (GREY_8, GREY_16, PALETTE)),
    ):
        expected = next((TAKEN[kind][file] for kind in kinds if file in TAKEN[kind]), None)
        if expected is None:
            with pytest.raises(UserError, match=f"is a PNG of {file}, but this label needs"):
                read(path)
        elif expected.ndim == 3:
            assert np.array_equal(read(path), expected[..., 0] + 256 * expected[..., 1])
        else:
            assert np.array_equal(read(path), expected)


def test_a_palette_of_greys_that_are_no_indices_is_ambiguous(tmp_path: Path) -> None:
    """As programs that shrink PNGs leave of a grey label of few values."""
    greys = bytes(value for k in range(16) for value in [11 * k] * 3)
    path = palette(tmp_path / "a.png", greys)
    assert np.array_equal(np.asarray(Image.open(path).convert("L")), VALUES * 11)
    for read in (read_grey_png, lambda path: read_label(path, (GREY_8, PALETTE))):
        with pytest.raises(UserError, match="palette of greys, of which index 1 is 11"):
            read(path)
    same = bytes(value for k in range(16) for value in [k] * 3)
    assert np.array_equal(read_grey_png(palette(tmp_path / "b.png", same)), VALUES)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (64, 33)])
def test_ids_are_written_in_stripes(tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.random.default_rng(0).integers(0, 2**24, size).astype(np.int32)
    for pixels in (2**22, 50):
        monkeypatch.setattr(id_png, "_STRIPE", pixels)
        id_png.save_ids(ids, tmp_path / "a.png")
        assert np.array_equal(read_panoptic_png(tmp_path / "a.png"), ids)
        assert np.array_equal(read_id_png(tmp_path / "a.png"), ids)


def test_a_label_that_is_no_png(tmp_path: Path) -> None:
    Image.fromarray(VALUES.astype(np.uint8)).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(UserError, match="is not a PNG file, as labels are"):
        read_label(tmp_path / "a.png", (GREY_8,))


def test_labels_beyond_pillows_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    assert read_panoptic_png(FILES["8-bit RGB"](tmp_path / "a.png")).shape == (4, 6)
    assert read_id_png(tmp_path / "a.png").shape == (4, 6)
    with without_pixel_limit(), without_pixel_limit():
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS == 5
