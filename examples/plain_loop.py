import numpy as np
import torch

import pantile

taxonomy = pantile.plain_taxonomy(["square", "ground"], things=["square"])
segments = (pantile.Segment(1, class_index=1), pantile.Segment(2, class_index=0), pantile.Segment(3, class_index=0))
rng = np.random.default_rng(0)
torch.manual_seed(0)


def squares(count):
    """(count, 3, 64, 64) uint8 images of a bright square on either side, and their maps."""
    images, maps = rng.integers(0, 100, (count, 64, 64, 3), np.uint8), np.ones((count, 64, 64), np.int32)
    for image, ids in zip(images, maps, strict=True):
        for segment, left in ((2, 0), (3, 33)):
            side = rng.integers(14, 29)
            y, x = rng.integers(0, 64 - side), left + rng.integers(0, 31 - side)
            ids[y : y + side, x : x + side] = segment
            image[ids == segment] = rng.integers(150, 256, 3)
    return torch.from_numpy(images).permute(0, 3, 1, 2), [pantile.PanopticMap(ids, segments) for ids in maps]


steps = 200
recipe = pantile.make_recipe("mask2former_nano")
model = pantile.create_model(recipe.model, taxonomy)
criterion = pantile.create_criterion(recipe.criterion, taxonomy)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=steps)
for _ in range(steps):
    images, maps = squares(4)
    targets = pantile.PanopticTargets.from_maps(maps, taxonomy)
    losses = pantile.losses_with(model, {}, criterion, model.normalised(images), targets)
    optimizer.zero_grad()
    sum(losses.values()).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    schedule.step()

images, maps = squares(20)
with torch.no_grad():
    output = model.eval()(model.normalised(images))
whole = [pantile.Placement.whole((64, 64))] * len(images)
metric = pantile.PanopticQuality(taxonomy)
for prediction, truth in zip(pantile.merge_outputs(output, taxonomy, recipe.merge, whole), maps, strict=True):
    metric.update(prediction.panoptic, truth)
print(f"PQ {100 * metric.compute().all.pq:.1f}")
