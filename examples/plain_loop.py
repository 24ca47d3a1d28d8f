import torch

import pantile

taxonomy = pantile.plain_taxonomy(["square", "ground"], things=["square"])
segments = [pantile.Segment(i, class_index) for i, class_index in ((1, 1), (2, 0), (3, 0))]


def squares(count):  # uint8 images of a bright square on either side, and their maps
    images, maps = torch.randint(0, 100, (count, 3, 64, 64)), torch.ones(count, 64, 64, dtype=torch.int32)
    for image, ids in zip(images, maps, strict=True):
        for segment, left in ((2, 0), (3, 33)):
            side = torch.randint(14, 29, ()).item()
            y, x = torch.randint(64 - side, ()).item(), left + torch.randint(31 - side, ()).item()
            ids[y : y + side, x : x + side] = segment
            image[:, ids == segment] = torch.randint(150, 256, (3, 1))
    return images.to(torch.uint8), [pantile.PanopticMap(ids.numpy(), segments) for ids in maps]


recipe = pantile.make_recipe("mask2former_nano")
model = pantile.create_model(recipe.model, taxonomy)
criterion = pantile.create_criterion(recipe.criterion, taxonomy)
optimizer = torch.optim.AdamW(model.parameters())
schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=200)
for _ in range(200):
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
metric.update([p.panoptic for p in pantile.merge_outputs(output, taxonomy, recipe.merge, whole)], maps)
print(f"PQ {100 * metric.compute().all.pq:.1f}")
