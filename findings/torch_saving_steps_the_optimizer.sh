#!/usr/bin/env bash
# One would guess that get_optimizer_state_dict, by which sharded trainings (fully_shard, Lightning's
# ModelParallelStrategy) save their optimizer, only reads it. Of an optimizer that has made no step it makes one, with
# zero gradients and the learning rate 0: AdamW then counts 1 in the file and in the running training, and the first real
# update is 0.74 of what it would have been without the save. A run that saves at step 0 is another run.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.15.0 numpy
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict


def first_update(save_before):
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(3, 8, 3)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3, weight_decay=0.0)
    if save_before:
        saved = get_optimizer_state_dict(layer, optimizer)
        print("the file says that AdamW has made", int(saved["state"]["weight"]["step"]), "step(s)")
    before = layer.weight.detach().clone()
    layer(torch.ones(1, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    print("save before the first step:", save_before, "- counted after it:", int(optimizer.state[layer.weight]["step"]))
    return (layer.weight.detach() - before).abs().mean()


plain, saved = first_update(False), first_update(True)
ratio = (saved / plain).item()
print("torch", torch.__version__, "- the first update is", round(ratio, 3), "of the one without a save")
assert abs(ratio - 0.744) < 0.01
PYTHON
