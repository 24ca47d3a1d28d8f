"""Pairs of pictures that may overlap, without comparing all: by small details that look alike, as words in a text.

Extrema of a bandpass thumbnail are details that every crop of a photo has (Lowe 2004, at one scale). The patch around
each is sorted into a vocabulary (Sivic & Zisserman 2003), within a word patches are compared, and two pictures in which
several patches agree on one shift are a candidate. Words keep their size, so time grows with the number of pictures,
but for finding words, which grows with its power of 1.5.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

RADIUS = 4  # pixels of a patch on each side of its centre
MOST = 64  # details of a thumbnail
WORD = 128  # patches of a word
BLOCK = 512  # a word that is larger is compared piece by piece
ALIKE = 0.85  # normalised cross-correlation of two patches
ROUNDS = 4  # of k-means
CHUNK = 4096  # patches
SPAN = 512  # of shifts, which lie around 0


@dataclass(frozen=True)
class Candidates:
    """Pairs of pictures and where one may lie in the other; those that most details speak for first.

    Iterating gives the two pictures, the first one's number below the second's, the scale of each, and rows and columns
    by which the second lies in the first one's frame. A pair can come several times.

    Attributes:
        codes: (N,) int64, as ``_votes`` makes them.
        pictures, scales: how many there are.
    """

    codes: np.ndarray
    pictures: int
    scales: int

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[tuple[int, int, int, int, tuple[int, int]]]:
        for code in self.codes.tolist():
            code, column = divmod(code, SPAN)
            code, row = divmod(code, SPAN)
            code, second_scale = divmod(code, self.scales)
            code, first_scale = divmod(code, self.scales)
            first, second = divmod(code, self.pictures)
            yield first, second, first_scale, second_scale, (row - SPAN // 2, column - SPAN // 2)


def candidates(
    views: Sequence[Sequence[np.ndarray]],
    min_contrast: float,
    min_votes: int,
    progress: Callable[[Iterator], Iterable] = iter,
) -> Candidates:
    """
    Args:
        views: for each scale the bandpass thumbnails, (h, w) float32 of at most 256 pixels a side, of the same pictures
            in the same order. Two pictures are compared where at least one is of the first scale.
        min_contrast: standard deviation that a patch must have, grey levels.
        min_votes: details that must agree on a shift of two pictures, give or take a pixel.
        progress: gives what it is given, and shows that it goes on; their number is not known before.
    """
    scale, picture, place, patches = _details(views, min_contrast)
    pairs = [_alike(word, scale, picture, patches) for word in progress(_words(patches))]
    first, second = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *pairs]), axis=0).T
    later = picture[first] > picture[second]
    first, second = np.where(later, second, first), np.where(later, first, second)
    pair = picture[first] * len(views[0]) + picture[second]
    kind = (pair * len(views) + scale[first]) * len(views) + scale[second]
    codes, votes = _votes(kind, place[first] - place[second])
    best = np.argsort(-votes, kind="stable")[: np.count_nonzero(votes >= min_votes)]
    return Candidates(codes[best], len(views[0]), len(views))


def _details(views: Sequence[Sequence[np.ndarray]], min_contrast: float) -> tuple[np.ndarray, ...]:
    """Scale and picture (N,), place (N, 2) and normalised patch (N, P) of all details; patches are float16, as they are
    most of what the memory holds."""
    scales, pictures, places, patches = [], [], [], []
    for scale, thumbnails in enumerate(views):
        for number, thumbnail in enumerate(thumbnails):
            own_places, own_patches = _details_of(thumbnail, min_contrast)
            scales.append(np.full(len(own_places), scale))
            pictures.append(np.full(len(own_places), number))
            places.append(own_places)
            patches.append(own_patches)
    return tuple(map(np.concatenate, (scales, pictures, places, patches)))


def _details_of(thumbnail: np.ndarray, min_contrast: float) -> tuple[np.ndarray, np.ndarray]:
    side = 2 * RADIUS + 1
    if min(thumbnail.shape) < side:
        return np.zeros((0, 2), np.int64), np.zeros((0, side**2), np.float16)
    extreme = (thumbnail == ndimage.maximum_filter(thumbnail, 3)) | (thumbnail == ndimage.minimum_filter(thumbnail, 3))
    corners = np.argwhere(extreme[RADIUS:-RADIUS, RADIUS:-RADIUS])  # of the patches
    strength = np.abs(thumbnail[tuple((corners + RADIUS).T)])
    corners = corners[np.argsort(-strength, kind="stable")[:MOST]]
    windows = np.lib.stride_tricks.sliding_window_view(thumbnail, (side, side))
    patches = windows[tuple(corners.T)].reshape(-1, side**2)
    patches = patches - patches.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(patches, axis=1)
    clear = lengths > min_contrast * side
    return corners[clear], (patches[clear] / lengths[clear, None]).astype(np.float16)


def _words(patches: np.ndarray) -> Iterator[np.ndarray]:
    """Numbers of the patches of each word, ascending; each patch is in up to two words, as it may lie between them."""
    rng = np.random.default_rng(0)
    count = int(np.ceil(np.sqrt(max(1, len(patches) / WORD))))
    nearest = _nearest(patches, _centres(patches, count, rng), 2)
    for members in _members(nearest, count):
        own = patches[members]
        inner = int(np.ceil(len(members) / WORD))
        for word in _members(_nearest(own, _centres(own, inner, rng), 1), inner):
            yield members[word]


def _members(chosen: np.ndarray, count: int) -> list[np.ndarray]:
    """Of (N, k) numbers below ``count``: the rows in which each occurs."""
    order = np.argsort(chosen.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(chosen.ravel(), minlength=count))
    return np.split(order // chosen.shape[1], ends[:-1])


def _centres(patches: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, P) by k-means on the unit sphere, of a sample."""
    if not len(patches):
        return np.zeros((count, patches.shape[1]), np.float32)
    centres = patches[rng.choice(len(patches), min(count, len(patches)), replace=False)].astype(np.float32)
    for _ in range(ROUNDS if count > 1 else 0):
        sample = patches[rng.choice(len(patches), min(len(patches), 32 * count), replace=False)]
        moved = np.zeros_like(centres)
        np.add.at(moved, _nearest(sample, centres, 1)[:, 0], sample)
        lengths = np.linalg.norm(moved, axis=1, keepdims=True)
        centres = np.where(lengths > 0, moved / np.maximum(lengths, 1e-6), centres)
    return centres


def _nearest(patches: np.ndarray, centres: np.ndarray, count: int) -> np.ndarray:
    """(N, count) numbers of the nearest centres."""
    count = min(count, len(centres))
    found = [np.zeros((0, count), np.int64)]
    for start in range(0, len(patches), CHUNK):
        likeness = patches[start : start + CHUNK].astype(np.float32) @ centres.T
        if count == 1:
            found.append(likeness.argmax(axis=1)[:, None])
        else:
            found.append(np.argpartition(-likeness, count - 1, axis=1)[:, :count])
    return np.concatenate(found)


def _alike(word: np.ndarray, scale: np.ndarray, picture: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """(M, 2) numbers of patches of a word, the lower one first, that are alike and of different pictures.

    Of a large word, whose patches many pictures share, each is compared with its next ones only: pictures that show one
    content are joined one to the next then.
    """
    found = [np.zeros((0, 2), np.int64)]
    for start in range(0, max(1, len(word) - BLOCK // 2), BLOCK // 2):
        own = word[start : start + BLOCK]
        seen = patches[own].astype(np.float32)
        pairs = np.argwhere(np.triu(seen @ seen.T >= ALIKE, 1))
        first, second = own[pairs.T]
        apart = (picture[first] != picture[second]) & ((scale[first] == 0) | (scale[second] == 0))
        found.append(np.stack([first[apart], second[apart]], axis=1))
    return np.concatenate(found)


def _votes(kind: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each kind and shift that occurs as one number, and how many occurrences lie within one pixel of it."""
    codes, counts = np.unique(
        (kind * SPAN + shift[:, 0] + SPAN // 2) * SPAN + shift[:, 1] + SPAN // 2, return_counts=True
    )
    votes = np.zeros(len(codes), np.int64)
    for step in (row * SPAN + column for row in (-1, 0, 1) for column in (-1, 0, 1)):
        at = np.minimum(np.searchsorted(codes, codes + step), max(0, len(codes) - 1))
        votes += np.where(codes[at] == codes + step, counts[at], 0)
    return codes, votes
