"""Any model, criterion and techniques of Pantile in a LightningModule of your own.

``pantile train`` does more (augmentation, checkpoints that resume to the last bit); this is for code that has its own.
"""

import sys

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader

import pantile


class Panoptic(L.LightningModule):
    def __init__(self, recipe: str, taxonomy: pantile.Taxonomy) -> None:
        super().__init__()
        self.taxonomy, self.recipe = taxonomy, pantile.make_recipe(recipe)
        self.model = pantile.create_model(self.recipe.model, taxonomy)
        self.techniques = pantile.build_techniques(self.recipe.techniques, self.model, taxonomy)
        self.criterion = pantile.create_criterion(self.recipe.criterion, taxonomy)
        self.quality = pantile.PanopticQuality(taxonomy)

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return batch  # maps stay where they are; the steps move images and targets

    def training_step(self, batch, index):
        images, maps = batch
        targets = pantile.PanopticTargets.from_maps(maps, self.taxonomy).to(self.device)
        normalised = self.model.normalised(images)
        losses = pantile.losses_with(self.model, self.techniques, self.criterion, normalised, targets)
        self.log_dict({name: loss.detach() for name, loss in losses.items()})
        return sum(losses.values())

    def validation_step(self, batch, index):
        images, maps = batch
        output = self.model(self.model.normalised(images))
        whole = [pantile.Placement.whole(images.shape[-2:])] * len(images)
        predictions = pantile.merge_outputs(output, self.taxonomy, self.recipe.merge, whole)
        for prediction, truth in zip(predictions, maps, strict=True):
            self.quality.update(prediction.panoptic, truth)

    def on_validation_epoch_end(self):
        self.log("pq", self.quality.compute().all.pq, prog_bar=True)
        self.quality.reset()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def collate(samples):
    """Images (B, 3, H, W) uint8 of one size, and their maps."""
    images, maps = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), maps


def loader(scenes: pantile.Scenes, **options) -> DataLoader:
    samples = [scenes.load(i) for i in range(len(scenes))]
    return DataLoader(samples, batch_size=4, collate_fn=collate, **options)


def main(steps: int = 200, images: int = 100, recipe: str = "remax_nano") -> float:
    train = pantile.Scenes(images, size=(129, 129), split="train")
    val = pantile.Scenes(max(4, images // 5), size=(129, 129), split="val")
    task = Panoptic(recipe, train.taxonomy)
    trainer = L.Trainer(max_steps=steps, gradient_clip_val=0.1, logger=False, enable_checkpointing=False)
    trainer.fit(task, loader(train, shuffle=True))
    return trainer.validate(task, loader(val))[0]["pq"]


if __name__ == "__main__":
    print(f"PQ {100 * main(*map(int, sys.argv[1:])):.1f}")
