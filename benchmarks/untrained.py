"""A recipe's network without training, none of whose branches is hidden: for comparing and timing what is exported."""

from pathlib import Path

import torch

from pantile.data import Scenes
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.config import without_download
from pantile.engine.task import PanopticTask
from pantile.recipes import make_recipe


def untrained(recipe: str) -> Checkpoint:
    """Of the classes of generated scenes, with no parameter or statistic left at 0 or 1."""
    torch.manual_seed(0)
    config, taxonomy = without_download(make_recipe(recipe)), Scenes(1).taxonomy
    task = PanopticTask(config, taxonomy)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in task.parameters():
            if parameter.ndim < 2:
                parameter.add_(0.3 * torch.rand(parameter.shape, generator=generator) + 0.05)
        for name, buffer in task.named_buffers():
            if name.endswith("running_mean"):
                buffer.add_(0.1 * torch.randn(buffer.shape, generator=generator))
            elif name.endswith("running_var"):
                buffer.mul_(1 + 0.3 * torch.rand(buffer.shape, generator=generator))
    state = {k: v for k, v in task.state_dict().items() if k.startswith(("model.", "techniques."))}
    return Checkpoint(Path(f"{recipe} without training"), config, taxonomy, state)
