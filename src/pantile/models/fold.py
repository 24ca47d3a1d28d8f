"""Batch norms folded into the convolutions before them: the same outputs, fewer passes over memory."""

from copy import deepcopy
from itertools import pairwise

from timm.models import _efficientnet_blocks as efficientnet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from pantile.layers.frozen_batch_norm import FrozenBatchNorm2d

#: Modules that run neighbouring children one after the other, so that conv, norm in sight means norm(conv(x)).
RUN_IN_ORDER = (
    nn.Sequential,
    ResNet,
    BasicBlock,
    Bottleneck,
    MobileNetV3,
    efficientnet.ConvBnAct,
    efficientnet.DepthwiseSeparableConv,
    efficientnet.InvertedResidual,
)


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy of ``model`` for inference: eval mode, convolution weights rescaled by the batch norms that follow them.

    Outputs stay the same up to rounding. Batch norms that follow something else (attention logits, k-means sums,
    mask logits) stay. The copy must not be trained, and its state dict does not fit the original.
    """
    folded = deepcopy(model).eval()
    for parent in list(folded.modules()):
        if not isinstance(parent, RUN_IN_ORDER):
            continue
        for (conv_name, conv), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv1d | nn.Conv2d) and isinstance(norm, _BatchNorm | FrozenBatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                # timm's norms of the EfficientNet family carry the activation
                setattr(parent, norm_name, getattr(norm, "act", nn.Identity()))
    return folded
