"""What detectors do with a ResNet beside loading it: the stride of the original network, and frozen stages."""

from torch import nn

from pantile.backbones.timm_convnets import ResNetBackbone
from pantile.contracts.errors import UserError
from pantile.layers.frozen_batch_norm import freeze_batch_norms


def stride_in_first_conv(backbone: nn.Module) -> None:
    """Moves the stride of each stage from the 3x3 to the 1x1 before it, in place.

    The first ResNets (He et al., arXiv:1512.03385; the MSRA weights) and what was trained from them have it there;
    timm has it in the 3x3. The tensors are the same.

    Raises:
        UserError: not a ResNet with bottlenecks.
    """
    blocks = [block for stage in _stages(backbone, "model.stride_in_1x1") for block in stage]
    if not all(hasattr(block, "conv3") and block.conv1.kernel_size == (1, 1) for block in blocks):
        raise UserError(
            "model.stride_in_1x1: the blocks of this backbone do not begin with a 1x1 convolution; set it to false, or "
            "take resnet50, resnet101 or resnet152."
        )
    for block in blocks:
        block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)


def freeze_stages(backbone: nn.Module, count: int) -> None:
    """Takes gradients and the batch norms' updates from the first stages, in place.

    Args:
        count: 0 for none, 1 for the stem, 2 for the stem and res2, ..., 5 for all.

    Raises:
        UserError: not a ResNet, or no such number.
    """
    if not 0 <= count <= 5:
        raise UserError(f"model.frozen_stages is {count}; give 0 for none, 1 for the stem, up to 5 for all stages.")
    if count == 0:
        return
    stages = _stages(backbone, "model.frozen_stages")
    model = backbone.model
    stem = nn.ModuleDict({"conv1": model.conv1, "bn1": model.bn1})
    for part in (stem, *stages[: count - 1]):
        freeze_batch_norms(part)
        part.requires_grad_(False)
    model.conv1, model.bn1 = stem["conv1"], stem["bn1"]


def _stages(backbone: nn.Module, field: str) -> tuple[nn.Module, ...]:
    if not isinstance(backbone, ResNetBackbone):
        raise UserError(f"{field}: only ResNets can do so; leave it out, or take a backbone such as resnet50.")
    model = backbone.model
    return model.layer1, model.layer2, model.layer3, model.layer4
