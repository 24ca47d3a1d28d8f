"""The two grids that SWideRNet's paper searches (equations 3 and 4)."""

from __future__ import annotations

from itertools import product

from pantile import engine
from pantile.contracts.errors import UserError
from pantile.recipes.panoptic_deeplab import panoptic_deeplab_coco, swidernet_model

#: w1, w2 and l of each space: 45 and 21 candidates
SPACES = {
    "fast": ((0.25, 0.5, 1.0), (0.25, 0.35, 0.5, 0.75, 1.0), (0.35, 0.75, 1.0)),
    "strong": ((1.0,), (1.0, 1.5, 2.0), (1.0, 2.0, 3.0, 4.0, 5.0, 5.5, 6.0)),
}


def grid_candidates(space: str) -> dict[str, engine.RunConfig]:
    """A COCO run of every candidate, by its name such as ``swidernet_0.25_0.5_1``, the smallest factors first.

    Args:
        space: "fast" (separable convolutions in the decoder) or "strong".

    Raises:
        UserError: another space.
    """
    if space not in SPACES:
        raise UserError(f"There is no search space {space!r}; choose {' or '.join(SPACES)}.")
    candidates = {}
    for w1, w2, l in product(*SPACES[space]):  # noqa: E741 - the paper's name
        factors = f"{w1:g}_{w2:g}_{l:g}"
        config = panoptic_deeplab_coco(swidernet_model(factors, space))
        config.recipe = f"swidernet_{factors}"
        candidates[config.recipe] = config
    return candidates
