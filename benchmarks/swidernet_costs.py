"""Parameters and multiply-adds of every Panoptic-DeepLab + SWideRNet row of arXiv:2011.11675, against the paper's.

    python benchmarks/swidernet_costs.py

Prints a markdown table. Table 12 of the paper repeats the Cityscapes rows of Table 5. Counted on the meta device: no
weights exist, and it takes half a minute. Columns:

- parameters, in millions: with the 201 class channels that the paper's COCO counts imply, and with the classes of the
  data set (133 or 19);
- multiply-adds, in billions, with 201 channels on COCO: "plain" is what convolutions and matrix products do;
  "space-to-batch" counts a dilated convolution as TensorFlow runs it, on each of its rate^2 interleaved grids, each
  padded to a whole number of pixels. What then remains against the paper is not explained by convolutions.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pantile.models import create_model
from pantile.models.cost import count_cost
from pantile.recipes import make_recipe


@dataclass(frozen=True)
class Row:
    """What the paper prints: parameters in millions or None, multiply-adds in billions."""

    table: str
    recipe: str
    parameters: float | None
    multiply_adds: float


ROWS = [
    Row("3", "panoptic_deeplab_wr41_coco", 147.32, 655.66),
    Row("3", "panoptic_deeplab_wr41_mg_coco", 147.32, 659.02),
    Row("3", "panoptic_deeplab_wr41_sac_coco", 151.26, 680.68),
    Row("3, 4", "panoptic_deeplab_swidernet_1_1_1_coco", 168.77, 680.79),
    Row("3", "panoptic_deeplab_swidernet_1_1_1_separable_coco", 136.92, 499.16),
    Row("4", "panoptic_deeplab_swidernet_1_15_1_coco", 345.75, 1205.95),
    Row("4", "panoptic_deeplab_swidernet_1_2_1_coco", 587.35, 1925.75),
    Row("4", "panoptic_deeplab_swidernet_1_1_2_coco", 302.33, 1119.77),
    Row("4", "panoptic_deeplab_swidernet_1_1_3_coco", 435.90, 1558.75),
    Row("4", "panoptic_deeplab_swidernet_1_1_4_coco", 569.46, 1997.73),
    Row("4", "panoptic_deeplab_swidernet_1_1_5_coco", 703.03, 2436.71),
    Row("4", "panoptic_deeplab_swidernet_1_1_55_coco", 752.53, 2614.01),
    Row("4", "panoptic_deeplab_swidernet_1_1_55_coco_autoaugment", 752.53, 2614.01),
    Row("4", "panoptic_deeplab_swidernet_1_1_6_coco", 836.59, 2875.69),
    Row("4", "panoptic_deeplab_swidernet_1_15_2_coco", 646.22, 2193.54),
    Row("4", "panoptic_deeplab_swidernet_1_15_3_coco", 946.69, 3181.12),
    Row("4", "panoptic_deeplab_swidernet_1_1_3_coco_1025", 435.90, 3911.58),
    Row("4", "panoptic_deeplab_swidernet_1_1_4_coco_1025", 569.46, 5019.62),
    Row("5", "panoptic_deeplab_swidernet_025_025_075_coco", None, 31.67),
    Row("5", "panoptic_deeplab_swidernet_025_035_075_coco", None, 47.13),
    Row("5", "panoptic_deeplab_swidernet_025_035_1_coco", None, 64.98),
    Row("5", "panoptic_deeplab_swidernet_025_05_1_coco", None, 116.37),
    Row("5", "panoptic_deeplab_swidernet_025_075_1_coco", None, 240.59),
    Row("5, 12", "panoptic_deeplab_swidernet_025_025_075_cityscapes", None, 151.97),
    Row("5, 12", "panoptic_deeplab_swidernet_025_035_075_cityscapes", None, 229.49),
    Row("5, 12", "panoptic_deeplab_swidernet_025_035_1_cityscapes", None, 319.14),
    Row("5, 12", "panoptic_deeplab_swidernet_025_05_1_cityscapes", None, 576.83),
    Row("5, 12", "panoptic_deeplab_swidernet_025_075_1_cityscapes", None, 1199.85),
]


def main() -> None:
    print("| table | recipe | params paper | N=201 | % | data set's N | % | M-adds paper | plain | % | s-to-b | % |")
    print("|---|---|" + "---:|" * 10)
    for row in ROWS:
        config = make_recipe(row.recipe)
        classes = 19 if "cityscapes" in row.recipe else 133
        model, own = (meta_model(config.model, n) for n in (201, classes))
        counted = own if classes == 19 else model
        size = config.evaluation_size
        plain = count_cost(counted, size).multiply_adds
        padded = plain + space_to_batch_surplus(counted, size)
        cells = [row.table, f"`{row.recipe}`", "-" if row.parameters is None else f"{row.parameters:.2f}"]
        cells += [cell for m in (model, own) for cell in against(row.parameters, parameters(m) / 1e6, digits=4)]
        cells += [f"{row.multiply_adds:.2f}"]
        cells += [cell for count in (plain, padded) for cell in against(row.multiply_adds, count / 1e9, digits=2)]
        print(f"| {' | '.join(cells)} |", flush=True)


def against(paper: float | None, ours: float, digits: int) -> tuple[str, str]:
    """Our number and its error in percent."""
    error = "-" if paper is None else f"{100 * (ours / paper - 1):+.{digits}f}"
    return f"{ours:.{digits}f}", error


def meta_model(config: Any, num_classes: int) -> nn.Module:
    config.pretrained = False
    with torch.device("meta"):
        return create_model(config, num_classes).eval()


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def space_to_batch_surplus(model: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-adds that TensorFlow spends on the padding of the interleaved grids of dilated convolutions."""
    counter = DilationCounter()
    with torch.no_grad(), counter:
        model(torch.empty(1, 3, *size, device="meta"))
    return counter.surplus


class DilationCounter(TorchDispatchMode):
    """Sums, over dilated convolutions of stride 1, the positions that a grid per phase has and the output has not."""

    def __init__(self) -> None:
        super().__init__()
        self.surplus = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            weight, dilation = args[1], args[5]
            if max(dilation) > 1:
                kernel, sides = weight.shape[2:], out.shape[2:]
                padded = math.prod(map(interleaved_positions, sides, kernel, dilation))
                self.surplus += (padded - math.prod(sides)) * out.shape[1] * weight[0].numel()
        return out


def interleaved_positions(side: int, kernel: int, rate: int) -> int:
    """Output positions along one axis: 41 pixels are 42 at rate 2 and 54 at rate 18 for a kernel of 3."""
    return (math.ceil((side + (kernel - 1) * rate) / rate) - (kernel - 1)) * rate


if __name__ == "__main__":
    main()
