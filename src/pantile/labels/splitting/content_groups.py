"""Which images show the same content, found by their pixels, so that a split does not put one photo on both sides.

What is found:

- equal pixels, whatever the file format and name;
- the whole of a picture at another size, brightness or JPEG quality (bandpass thumbnails of 32 x 32);
- two crops that overlap at the same scale, or at a scale of one half, by at least ``MIN_OVERLAP`` of the smaller one.
  Phase correlation (Kuglin & Hines 1975) of grey thumbnails proposes one shift per pair, the normalised
  cross-correlation of the overlap decides.

What is not found: crops that do not overlap each other, however close they lie in the photo (a name rule can join
them); crops that were rotated, mirrored, warped or resized by other factors than about 1, 1/2 and 2; overlaps in
smooth regions such as sky, which have nothing to compare; crops much smaller than the largest image of the set
(less than about a fifth of its longer side); frames of a video whose camera moved in depth. Pictures that repeat a
pattern exactly can be joined although they are different photos, which costs freedom, not honesty.

All pairs of up to ``ALL_PAIRS`` images are compared, 0.4 milliseconds each. Of more, only those are held against each
other in which several small details agree on one shift (``alike_details``): fewer photos that merely repeat a pattern
are joined then, and some overlaps without a clear detail are missed.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import scipy.fft
from PIL import Image
from rich.console import Console
from rich.progress import track
from scipy import ndimage

from pantile.labels.photos.content_hash import content_hash
from pantile.labels.splitting.alike_details import candidates

ALL_PAIRS = 250  # images
MIN_DETAILS = 2  # that agree on a shift
SIDE = 64  # pixels of the longest image's longer side in the comparison of crops
GRID = 2 * SIDE  # room for every shift without wrapping
WHOLE_SIDE = 32
FINE, COARSE = 0.7, 3.0  # sigmas of the bandpass, pixels of a thumbnail
MIN_OVERLAP = 0.15  # of the smaller thumbnail's pixels
MIN_PIXELS = 120  # of the overlap in the thumbnails
MIN_PEAK = 5.0  # standard deviations of a surface of phase correlation
MIN_CORRELATION = 0.8  # of an overlap
MIN_WHOLE_CORRELATION = 0.95
MIN_CONTRAST = 1.0  # standard deviation of the bandpass, grey levels of 255
BATCH = 64  # pairs
WHOLES = 256  # pictures
SCALES = (1.0, 0.5)
#: places in SCALES of the first and the second picture of a pair
BOTH_SCALES = ((0, 0), (0, 1), (1, 0))


class Groups:
    """Disjoint sets of the numbers 0..n-1 that are joined step by step."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, member: int) -> int:
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member

    def join(self, first: int, second: int) -> None:
        first, second = sorted((self.root(first), self.root(second)))
        self._parent[second] = first

    def join_equal(self, keys: Iterable) -> None:
        """Joins the members with equal keys; None is equal to nothing."""
        seen: dict = {}
        for member, key in enumerate(keys):
            if key is not None:
                self.join(seen.setdefault(key, member), member)

    def members(self) -> list[list[int]]:
        """The sets, ordered by their first member."""
        sets: dict[int, list[int]] = {}
        for member in range(len(self._parent)):
            sets.setdefault(self.root(member), []).append(member)
        return list(sets.values())


def join_by_content(
    groups: Groups, load_image: Callable[[int], np.ndarray], sizes: Sequence[tuple[int, int]], progress: bool = False
) -> None:
    """Joins the images that show the same content; see the head of this file for what that means.

    Args:
        groups: one member per image; pairs that are joined already are not compared.
        load_image: index to (H, W, C) uint8; called once per image.
        sizes: (H, W) of each image.
        progress: show bars on stderr.
    """
    console = Console(stderr=True)
    shrink = min(1.0, SIDE / max((max(size) for size in sizes), default=SIDE))
    hashes, wholes, views = [], [], [[] for _ in SCALES]
    for index in track(range(len(sizes)), "images", console=console, disable=not progress):
        image = load_image(index)
        hashes.append(content_hash(image))
        grey = _grey(image)
        wholes.append(_normalised(_bandpass(_resize(grey, WHOLE_SIDE, WHOLE_SIDE))))
        for scale, thumbnails in zip(SCALES, views, strict=True):
            height, width = (max(1, round(side * shrink * scale)) for side in image.shape[:2])
            thumbnails.append(_bandpass(_resize(grey, height, width)))
    groups.join_equal(hashes)
    _join_whole(groups, np.stack(wholes) if wholes else np.zeros((0, WHOLE_SIDE**2), np.float32))
    join = _join_overlaps if len(sizes) <= ALL_PAIRS else _join_alike
    join(groups, views, lambda steps, total: track(steps, "overlaps", total, console=console, disable=not progress))


#: a progress bar: steps and their number, where it is known, to the same steps
Bar = Callable[[Iterable, int | None], Iterable]


def _join_overlaps(groups: Groups, views: list[list[np.ndarray]], bar: Bar) -> None:
    """Of all pairs."""
    spectra = [np.stack([_spectrum(t) for t in thumbnails]) for thumbnails in views if thumbnails]
    count = len(views[0])
    for first in bar(range(count), count):
        for scale, other_scale in BOTH_SCALES:
            others = [k for k in range(first + 1, count) if groups.root(k) != groups.root(first)]
            conjugate = np.conj(spectra[scale][first])
            for start in range(0, len(others), BATCH):
                batch = others[start : start + BATCH]
                shifts = _shifts(spectra[other_scale][batch], conjugate)
                for k, shift in zip(batch, shifts, strict=True):
                    if shift is not None and _agree(views[scale][first], views[other_scale][k], shift):
                        groups.join(first, k)


def _join_alike(groups: Groups, views: list[list[np.ndarray]], bar: Bar) -> None:
    """Of the pairs in which details agree."""
    found = candidates(views, MIN_CONTRAST, MIN_DETAILS, lambda words: bar(words, None))
    for first, second, scale, other_scale, shift in bar(found, len(found)):
        if groups.root(first) != groups.root(second) and _agree(views[scale][first], views[other_scale][second], shift):
            groups.join(first, second)


def _join_whole(groups: Groups, wholes_NP: np.ndarray) -> None:
    for start in range(0, len(wholes_NP), WHOLES):  # many at a time, since each passes over all that come after it
        alike = wholes_NP[start : start + WHOLES] @ wholes_NP[start:].T >= MIN_WHOLE_CORRELATION
        for first, second in np.argwhere(np.triu(alike, 1)).tolist():
            groups.join(start + first, start + second)


def _grey(image: np.ndarray) -> Image.Image:
    """The mean of (H, W, C) uint8 over its channels, in less time than ``mean``, which makes doubles."""
    total = image[..., 0].astype(np.uint16)
    for channel in range(1, image.shape[2]):
        total += image[..., channel]
    return Image.fromarray(total.astype(np.float32) / np.float32(image.shape[2]))


def _resize(grey: Image.Image, height: int, width: int) -> np.ndarray:
    return np.asarray(grey.resize((width, height), Image.Resampling.BOX))


def _bandpass(grey: np.ndarray) -> np.ndarray:
    """(h, w) float32: without fine detail, which a shift by a part of a pixel changes, and without slow shading, in
    which all skies are alike."""
    return ndimage.gaussian_filter(grey, FINE, mode="nearest") - ndimage.gaussian_filter(grey, COARSE, mode="nearest")


def _normalised(picture: np.ndarray) -> np.ndarray:
    """Flat, mean 0 and length 1; all 0 for a picture without contrast, which is then like nothing."""
    flat = picture.ravel() - picture.mean()
    length = np.linalg.norm(flat)
    return flat / length if length > MIN_CONTRAST * np.sqrt(flat.size) else np.zeros_like(flat)


def _weight() -> np.ndarray:
    """(GRID, GRID // 2 + 1) float32: how much a frequency counts, which is what ``_bandpass`` lets through."""
    squared = (2 * np.pi) ** 2 * (np.fft.fftfreq(GRID)[:, None] ** 2 + np.fft.rfftfreq(GRID)[None] ** 2)
    return (np.exp(-squared * FINE**2 / 2) - np.exp(-squared * COARSE**2 / 2)).astype(np.float32).clip(0)


WEIGHT = _weight()
# Phases have size 1, so that a correlation surface always has the energy of the weights (Parseval).
DEVIATION = float(scipy.fft.irfft2(WEIGHT.astype(np.complex64), (GRID, GRID)).std())


def _spectrum(picture: np.ndarray) -> np.ndarray:
    """(GRID, GRID // 2 + 1) complex64: phases of the zero-padded picture, times the root of ``WEIGHT``."""
    transformed = scipy.fft.rfft2(picture.astype(np.float32), (GRID, GRID))
    size = np.abs(transformed)
    phases = np.divide(transformed, size, out=np.zeros_like(transformed), where=size > 1e-6)
    return phases * np.sqrt(WEIGHT)


def _shifts(spectra: np.ndarray, conjugate: np.ndarray) -> list[tuple[int, int] | None]:
    """Where the picture of ``conjugate`` has its best place relative to each other one.

    Returns:
        Rows and columns by which the other picture lies in this one's frame; None where no shift stands out.
    """
    surfaces = scipy.fft.irfft2(spectra * conjugate, (GRID, GRID), overwrite_x=True).reshape(len(spectra), -1)
    places = surfaces.argmax(axis=1)
    heights = surfaces[np.arange(len(places)), places]
    return [
        tuple((SIDE - at) % GRID - SIDE for at in divmod(place, GRID)) if height > MIN_PEAK * DEVIATION else None
        for place, height in zip(places.tolist(), heights.tolist(), strict=True)
    ]


def _agree(first: np.ndarray, second: np.ndarray, shift: tuple[int, int]) -> bool:
    """Whether the second picture, put at ``shift`` into the first, correlates with it where both are."""
    windows = []
    for picture, sign in ((first, 1), (second, -1)):
        other = second if sign > 0 else first
        spans = [
            (max(0, sign * s), min(own, sign * s + its))
            for s, own, its in zip(shift, picture.shape, other.shape, strict=True)
        ]
        windows.append(picture[slice(*spans[0]), slice(*spans[1])])
    pixels = windows[0].size
    if pixels < max(MIN_PIXELS, MIN_OVERLAP * min(first.size, second.size)) or windows[0].shape != windows[1].shape:
        return False
    return float(_normalised(windows[0]) @ _normalised(windows[1])) >= MIN_CORRELATION
