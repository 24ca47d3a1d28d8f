"""The fast decoder against Pillow: the same values of every kind of PNG, the same sentence on every damaged one."""

import io
import random
import zlib

import numpy as np
import pytest
from PIL import Image
from png_writer import CHANNELS, KINDS, chunk, png_bytes
from test_corrupted_files import flipped, spliced, truncated

from pantile.contracts.errors import UserError
from pantile.contracts.label_pngs import GREY_8, GREY_16, PALETTE, RGB_8
from pantile.data import fast_png, label_files
from pantile.data.png_chunks import png_chunks
from pantile.score import png_file

GREY = (GREY_8, GREY_16, PALETTE)
READERS = (
    (png_file, png_file.read_id_png),
    (png_file, png_file.read_grey_png),
    (label_files, label_files.read_label_ids),
    (label_files, lambda path: label_files.read_label(path, GREY)),
    (label_files, lambda path: label_files.read_label(path, (GREY_8, RGB_8))),
)
needs_packages = pytest.mark.skipif(fast_png.zlib_ng is None, reason="kornia-rs or zlib-ng is not installed")


def drawn_samples(generator: np.random.Generator, colour: int, bits: int) -> np.ndarray:
    """Blocks, as labels are, or noise."""
    size = (*generator.integers(1, 24, 2).tolist(), CHANNELS[colour])
    if generator.random() < 0.5:
        return generator.integers(0, 2**bits, size)
    few = generator.integers(0, 2**bits, (-(-size[0] // 5), -(-size[1] // 5), size[2]))
    return np.kron(few, np.ones((5, 5, 1), int))[: size[0], : size[1]]


def said_of(read, path) -> np.ndarray | str:
    try:
        return read(path)
    except UserError as error:
        return str(error)


def check_same(path, monkeypatch) -> bool:
    """Whether the file was read, after comparing both ways of reading."""
    read_by_any = False
    for module, read in READERS:
        found = said_of(read, path)
        with monkeypatch.context() as without:
            without.setattr(module, "decode_plain", lambda content, chunks: None)
            wanted = said_of(read, path)
        assert type(found) is type(wanted)
        if isinstance(found, np.ndarray):
            assert found.dtype == wanted.dtype and np.array_equal(found, wanted)
        else:
            assert found == wanted
        read_by_any |= isinstance(wanted, np.ndarray)
    return read_by_any


@pytest.mark.parametrize(("colour", "bits"), KINDS)
def test_every_kind_filter_and_interlacing_reads_as_pillow_reads_it(tmp_path, monkeypatch, colour, bits):
    generator = np.random.default_rng(100 * colour + bits)
    path = tmp_path / "a.png"
    for number in range(9):
        samples = drawn_samples(generator, colour, bits)
        extra = chunk(b"tRNS", b"\0" * 6) if colour == 2 and number == 7 else b""
        content = png_bytes(samples, colour, bits, generator, number % 3 == 2, 1 + number % 4, extra)
        path.write_bytes(content)
        if (colour, bits) in ((2, 8), (0, 8), (0, 16)):  # the writer says what it should
            assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))).reshape(samples.shape), samples)
        check_same(path, monkeypatch)


@needs_packages
@pytest.mark.parametrize(("colour", "bits"), [(2, 8), (0, 8), (0, 16)])
def test_plain_files_are_decoded_and_all_others_are_left_to_pillow(tmp_path, colour, bits):
    generator = np.random.default_rng(0)
    samples = generator.integers(0, 2**bits, (7, 9, CHANNELS[colour]))

    def decoded(content: bytes) -> np.ndarray | None:
        return fast_png.decode_plain(content, png_chunks(tmp_path, content))

    for pieces in (1, 3):
        found = decoded(png_bytes(samples, colour, bits, generator, pieces=pieces))
        assert found is not None and np.array_equal(found.reshape(samples.shape), samples)
    text = chunk(b"tEXt", b"a\0b")
    for other in (
        png_bytes(samples, colour, bits, generator, interlaced=True),
        png_bytes(samples, colour, bits, generator, ancillary=text),
        png_bytes(samples, colour, bits, generator)[:-12] + text + chunk(b"IEND", b""),
    ):
        assert decoded(other) is None


def test_damaged_streams_under_right_checksums_end_as_with_pillow(tmp_path, monkeypatch):
    source, path, read = random.Random(0), tmp_path / "a.png", 0
    generator = np.random.default_rng(0)
    wholes = [png_bytes(drawn_samples(generator, c, b), c, b, generator) for c, b in ((2, 8), (0, 8), (0, 16)) * 3]
    for number in range(100):
        content = wholes[number % len(wholes)]
        start = content.index(b"IDAT") - 4  # the last chunk but IEND
        stream = source.choice([truncated, flipped, spliced])(source, content[start + 8 : -16])
        path.write_bytes(content[:start] + chunk(b"IDAT", stream) + chunk(b"IEND", b""))
        read += check_same(path, monkeypatch)
    assert read < 50


@pytest.mark.parametrize(
    "change", ["checksum", "no checksum", "bytes behind", "a row too many", "a row too few", "no filter"]
)
def test_streams_that_do_not_end_where_they_should(tmp_path, monkeypatch, change):
    rows = np.kron(np.arange(6).reshape(2, 3), np.ones((4, 15), int)).astype(np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    raw = {"a row too many": raw + raw[:46], "a row too few": raw[:-46], "no filter": b"\x07" + raw[1:]}.get(
        change, raw
    )
    stream = zlib.compress(raw)
    stream = {
        "checksum": stream[:-1] + bytes([stream[-1] ^ 1]),
        "no checksum": stream[:-4],
        "bytes behind": stream + b"1234",
    }.get(change, stream)
    header = np.array([15, 8], ">u4").tobytes() + bytes([8, 2, 0, 0, 0])
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    check_same(tmp_path / "a.png", monkeypatch)
    assert fast_png.decode_plain(content, png_chunks(tmp_path, content)) is None
