"""Any timm model by its ``features_only`` form."""

import re

import timm
import torch
import torch.nn.functional as F
from timm.models import group_parameters
from torch import Tensor, nn

from pantile.backbones.timm_convnets import STAGES, TimmBackbone, parameter_names
from pantile.backbones.timm_sizes import channels_first
from pantile.layers.rounding import ceil_div


class TimmFeatures(TimmBackbone):
    """Any timm model whose ``features_only`` form has strides 4, 8, 16 and 32, or 16 twice at output stride 16.

    Args:
        timm_name: without a tag.
        multiple: images are padded to a multiple of it; see ``timm_sizes``.
    """

    def __init__(self, model: nn.Module, output_stride: int, timm_name: str, multiple: int = 1):
        reductions, widths = model.feature_info.reduction(), model.feature_info.channels()
        wanted = dict(zip(STAGES, (output_stride, 16, 8, 4), strict=True))
        index = {name: reductions.index(s) for name, s in wanted.items()}
        if output_stride == 16:
            index["res5"] = reductions.index(16, index["res4"] + 1)
        channels = {name: widths[i] for name, i in index.items()}
        super().__init__(model, channels, output_stride=output_stride)
        self.timm_name, self.index, self.multiple = timm_name, index, multiple

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[2:]
        if self.multiple > 1:
            images = F.pad(images, (0, -width % self.multiple, 0, -height % self.multiple))
        maps = channels_first(self.model, self.model(images))
        return {
            name: maps[i][:, :, : ceil_div(height, self.strides[name]), : ceil_div(width, self.strides[name])]
            for name, i in self.index.items()
        }

    def layers_behind(self) -> dict[str, int]:
        """As timm groups the parameters of the whole model; its features have some names with _ for a dot."""
        with torch.device("meta"):
            whole = timm.create_model(self.timm_name)
        layer_of = group_parameters(whole, whole.group_matcher(coarse=False), reverse=True)
        layer_of |= {re.sub(r"^(\w+)\.(\d+)\.", r"\1_\2.", name): layer for name, layer in layer_of.items()}
        own = {name: layer_of[name.removeprefix("model.").removeprefix("model.")] for name in parameter_names(self)}
        return {name: max(own.values()) + 1 - layer for name, layer in own.items()}
