"""How long a training step takes on this machine, by a few of them."""

import statistics
import time

import torch

from pantile.data import PanopticDataset
from pantile.engine.config import RunConfig, override
from pantile.engine.devices import AUTO, device_named
from pantile.engine.loaders import split_batch, training_loader
from pantile.engine.optimizer import make_optimizer
from pantile.engine.task import PanopticTask


def seconds_per_step(config: RunConfig, training_set: PanopticDataset, device: str = AUTO, steps: int = 3) -> float:
    """Median seconds of ``steps`` optimizer steps after a first one, which is not counted: reading, network, losses and
    optimizer in one process, on the run's own samples. The weights are random, which costs the same.

    Args:
        config: of the run.
        device: see ``device_named``.
    """
    config = override(config, ["model.pretrained=false", "training.workers=0"])
    place = device_named(device)
    in_bf16 = config.training.precision == "bf16" or (config.training.precision == "auto" and place.type == "cuda")
    task = PanopticTask(config, training_set.taxonomy).to(place).train()
    optimizer = make_optimizer(task.model, task.techniques, config.optimizer)
    _, accumulation = split_batch(config.training, 1)
    batches = iter(training_loader(training_set, config))
    seconds = []
    for _ in range(1 + steps):
        begun = time.perf_counter()
        for _ in range(accumulation):
            images, targets = next(batches)
            with torch.autocast(place.type, torch.bfloat16, enabled=in_bf16):
                losses, _ = task.losses(images.to(place), targets.to(place))
            torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])
