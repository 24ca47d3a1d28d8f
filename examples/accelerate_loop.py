"""Any model, criterion and techniques of Pantile in a loop of Hugging Face's accelerate, on one device or many::

accelerate launch examples/accelerate_loop.py
"""

import sys

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

import pantile


class Losses(nn.Module):
    """Model, techniques and criterion as one module, because only its ``forward`` is shared between processes."""

    def __init__(self, recipe: str, taxonomy: pantile.Taxonomy) -> None:
        super().__init__()
        self.recipe = pantile.make_recipe(recipe)
        self.model = pantile.create_model(self.recipe.model, taxonomy)
        self.techniques = pantile.build_techniques(self.recipe.techniques, self.model, taxonomy)
        self.criterion = pantile.create_criterion(self.recipe.criterion, taxonomy)

    def forward(self, images, targets):
        return pantile.losses_with(self.model, self.techniques, self.criterion, images, targets)


def main(steps: int = 200, images: int = 100, recipe: str = "remax_nano") -> float:
    scenes = pantile.Scenes(images, size=(129, 129))
    taxonomy = scenes.taxonomy

    def collate(samples):
        """Images (B, 3, H, W) uint8 of one size, and their targets."""
        pixels, maps = zip(*samples, strict=True)
        return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2), pantile.PanopticTargets.from_maps(maps, taxonomy)

    samples = [scenes.load(i) for i in range(images)]
    accelerator = Accelerator()
    module = Losses(recipe, taxonomy)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-3)
    loader = DataLoader(samples, batch_size=4, shuffle=True, drop_last=True, collate_fn=collate)
    trained, optimizer, loader = accelerator.prepare(module, optimizer, loader)
    trained.train()
    step, loss = 0, None
    while step < steps:
        for pixels, targets in loader:
            losses = trained(module.model.normalised(pixels), targets.to(accelerator.device))
            loss = sum(losses.values())
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(trained.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step == steps:
                break

    if accelerator.is_main_process:
        accelerator.print(f"loss {loss.item():.2f}")
    model = accelerator.unwrap_model(trained).model.eval()
    metric = pantile.PanopticQuality(taxonomy)
    val = pantile.Scenes(max(4, images // 5), size=(129, 129), split="val")
    for image, truth in (val.load(i) for i in range(len(val))):
        with torch.no_grad():
            output = model(model.normalised(torch.from_numpy(image).permute(2, 0, 1)[None]))
        whole = [pantile.Placement.whole(image.shape[:2])]
        (prediction,) = pantile.merge_outputs(output, taxonomy, module.recipe.merge, whole)
        metric.update(prediction.panoptic, truth)
    return metric.compute().all.pq


if __name__ == "__main__":
    print(f"PQ {100 * main(*map(int, sys.argv[1:])):.1f}")
