"""Small panoptic maps for the tests of Panoptic-DeepLab's training. Classes 0 and 1 are things, 2 and 3 are stuff."""

import torch

from pantile.contracts.targets import PanopticTargets, collate_targets

IS_THING = torch.tensor([True, True, False, False])


def targets_of(*images) -> PanopticTargets:
    """Each image is (ids, classes, crowd)."""
    maps, classes, crowd = zip(*images, strict=True)
    return collate_targets(
        [torch.as_tensor(m) for m in maps],
        [torch.tensor(c, dtype=torch.int64) for c in classes],
        [torch.tensor(c, dtype=torch.bool) for c in crowd],
        [f"image{i}" for i in range(len(images))],
    )


def random_image(size, rows, seed):
    """Blocks of random rows, void among them, with speckle: touching, tiny, border and scattered segments."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, rows + 1, (size[0] // 3 + 1, size[1] // 3 + 1), generator=g)
    ids = coarse.repeat_interleave(3, 0).repeat_interleave(3, 1)[: size[0], : size[1]].clone()
    speckle = torch.rand(size, generator=g) < 0.1
    ids[speckle] = torch.randint(0, rows + 1, (int(speckle.sum()),), generator=g)
    classes = torch.randint(0, len(IS_THING), (rows,), generator=g).tolist()
    crowd = [bool(c < 2 and r < 0.3) for c, r in zip(classes, torch.rand(rows, generator=g), strict=True)]
    return ids, classes, crowd


def empty(size):
    return torch.zeros(size, dtype=torch.int64), [], []


def painted(size, regions, classes, crowd=None):
    """``regions``: (row, slice of y, slice of x), later ones over earlier ones."""
    ids = torch.zeros(size, dtype=torch.int64)
    for row, y, x in regions:
        ids[y, x] = row + 1
    return ids, classes, crowd or [False] * len(classes)


def u_shape(size=(13, 15)):
    """A thing whose centre (on stuff) is not in its mask, above a thing in the corner that touches the border."""
    everything = slice(None)
    return painted(
        size,
        [(1, everything, everything), (0, slice(2, 10), slice(3, 12)), (1, slice(2, 9), slice(5, 10)), (2, -2, -3)],
        [0, 2, 1],
    )


def crowd_only(size=(9, 11)):
    """Thing pixels, none of them countable."""
    return painted(size, [(0, slice(0, 5), slice(0, 11)), (1, slice(5, 7), slice(0, 11))], [0, 2], [True, False])


def vanished(size=(9, 11)):
    """Rows 0 and 2 have no pixel left after the crop."""
    return painted(size, [(1, slice(1, 4), slice(1, 4)), (3, slice(5, 9), slice(0, 11))], [0, 1, 0, 3])


def half_way(size=(9, 11)):
    """Mean positions that end in a half: rows 0.5 and 1.5 round to 0 and 2."""
    return painted(size, [(0, slice(0, 2), slice(0, 2)), (1, slice(1, 3), slice(4, 8))], [0, 1])


CASES = {
    "random": lambda: targets_of(*(random_image((12, 14), rows, seed) for rows, seed in ((6, 0), (11, 2)))),
    "random, odd": lambda: targets_of(*(random_image((13, 9), rows, seed) for rows, seed in ((4, 3), (12, 4)))),
    "centre outside of the mask, border": lambda: targets_of(u_shape(), u_shape()),
    "crowd only": lambda: targets_of(crowd_only(), crowd_only()),
    "rows without pixels": lambda: targets_of(vanished(), half_way(), crowd_only()),
    "one image empty": lambda: targets_of(half_way(), empty((9, 11))),
    "all void": lambda: targets_of(empty((9, 11)), empty((9, 11))),
    "all void but with rows": lambda: targets_of(painted((9, 11), [], [0, 2])),
}
