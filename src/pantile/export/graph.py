"""What is exported: pixels in, tensors out, with the normalisation, the network and its techniques in between."""

from collections.abc import Callable
from functools import singledispatch

import torch
from torch import Tensor, nn

from pantile.contracts.outputs import CenterOutput, MaskOutput, ModelOutput, SemanticOutput
from pantile.engine.task import PanopticTask
from pantile.inference.network import normalise
from pantile.techniques.base import run_model

#: (output, input size) -> named tensors of a graph
Outputs = Callable[[ModelOutput, tuple[int, int]], dict[str, Tensor]]


class DeployedNetwork(nn.Module):
    """A trained task as a function of tensors only.

    Args:
        task: of eval mode, its batch norms folded (``load_task``).
        outputs: what the graph gives.

    Attributes:
        names: of the tensors that ``forward`` gives; known after the first call.
    """

    def __init__(self, task: PanopticTask, outputs: Outputs) -> None:
        super().__init__()
        self.model, self.techniques = task.model, task.techniques
        # not "mean": the exporter would give a mean in the network the same name
        self.register_buffer("pixel_mean", task.mean, persistent=False)
        self.register_buffer("pixel_std", task.std, persistent=False)
        self.pad_value = task.config.pad_value
        self.outputs = outputs
        self.names: tuple[str, ...] = ()

    def output_of(self, images: Tensor, padding: Tensor) -> ModelOutput:
        """See ``forward``."""
        seen = normalise(images, padding, self.pixel_mean, self.pixel_std, self.pad_value)
        return run_model(self.model, self.techniques.values(), seen)

    def forward(self, images: Tensor, padding: Tensor) -> tuple[Tensor, ...]:
        """
        Args:
            images: (B, C, H, W) uint8.
            padding: (B, H, W) bool, true where there is no image: the network sees the task's ``pad_value`` there.

        Returns:
            The tensors of ``names``, all of them for a batch of B.
        """
        named = self.outputs(self.output_of(images, padding), (images.shape[2], images.shape[3]))
        self.names = tuple(named)
        return tuple(named.values())


def merged_outside(with_queries: bool) -> Outputs:
    """A graph that gives what a merge reads.

    Args:
        with_queries: ``query_embed``, too, for a merge that compares kernels.
    """
    return lambda output, _: tensors_of(output, with_queries)


@singledispatch
def tensors_of(output: ModelOutput, with_queries: bool) -> dict[str, Tensor]:
    """What a merge reads of an output, by the names of its attributes."""
    raise TypeError(f"no exported form of {type(output).__name__}")


@tensors_of.register
def _(output: MaskOutput, with_queries: bool) -> dict[str, Tensor]:
    queries = {"query_embed": output.query_embed} if with_queries else {}
    return {"class_logits": output.class_logits, "mask_logits": output.mask_logits} | queries | _selection(output)


@tensors_of.register
def _(output: CenterOutput, with_queries: bool) -> dict[str, Tensor]:
    maps = {name: getattr(output, name) for name in ("semantic_logits", "center_heatmap", "center_offset")}
    return maps | _selection(output)


@tensors_of.register
def _(output: SemanticOutput, with_queries: bool) -> dict[str, Tensor]:
    return {"class_logits": output.class_logits} | _selection(output)


def _selection(output: ModelOutput) -> dict[str, Tensor]:
    chosen = {"classes": output.classes, "presence_logits": output.presence_logits}
    return {name: tensor for name, tensor in chosen.items() if tensor is not None}


def example_inputs(channels: int, size: tuple[int, int], batch: int = 2) -> tuple[Tensor, Tensor]:
    """Noise without padding, of the dtypes and shapes that ``DeployedNetwork`` takes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, channels, *size), generator=generator, dtype=torch.uint8)
    return images, torch.zeros(batch, *size, dtype=torch.bool)
