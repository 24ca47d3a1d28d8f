"""Merging shares no operation on a tile out over threads."""

import pytest
import torch

from pantile.contracts.outputs import MaskOutput
from pantile.contracts.placement import Placement
from pantile.contracts.taxonomy import plain_taxonomy
from pantile.merge import masks, merge, query_argmax
from pantile.recipes import make_recipe


@pytest.mark.parametrize(("recipe", "module"), [("kmax_nano", masks), ("mask2former_nano", query_argmax)])
def test_tiles_of_masks(monkeypatch, recipe, module):
    before, seen, own = torch.get_num_threads(), [], module._predict_one
    monkeypatch.setattr(module, "_predict_one", lambda *a: seen.append(torch.get_num_threads()) or own(*a))
    logits = torch.randn(1, 4, 9, 9)
    output = MaskOutput(torch.randn(1, 4, 3), logits, logits[:, :, 0, :1], logits[:, :1], logits[:, :1])
    placements = [Placement((33, 33), (33, 33), (33, 33))]
    torch.set_num_threads(3)
    try:
        merge(output, plain_taxonomy(["a", "b"], things=["a"]), make_recipe(recipe).merge, placements)
        assert set(seen) == {1} and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
