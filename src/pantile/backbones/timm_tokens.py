"""Any plain vision transformer of timm on images of any size: ViT, DeiT, DINOv2, DINOv3, EVA-02.

timm's own forward is used, with its way to other sizes: learned positions are resized (bicubic, antialiased), rotary
positions follow the image. Here the image is padded with zeros to whole patches, at the right and the bottom, and the
tokens that are no patches (class, registers) are dropped at the end. Hybrids with a ResNet before the patches are left
out. BEiT is in ``timm_beit``; what Segmenter needs
of a ViT's positions and norms in ``timm_vit``.
"""

import torch.nn.functional as F
from timm.layers import PatchEmbed
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from pantile.backbones.interface import layers_behind

HEADS = ("head", "head_dist", "head_drop", "fc_norm", "attn_pool")


def is_plain_transformer(model: nn.Module) -> bool:
    """Whether ``PlainTransformer`` can take a timm model."""
    return isinstance(model, VisionTransformer | Eva) and isinstance(model.patch_embed, PatchEmbed)


class PlainTransformer(nn.Module):
    """(B, in_channels, H, W) normalised float -> (B, channels, ceil(H / stride), ceil(W / stride)), as timm's
    ``forward_features`` gives the patches.

    Args:
        model: timm's, built with ``dynamic_img_size``; its head is left out.

    Attributes:
        channels: D.
        stride: side of a patch in pixels.
    """

    def __init__(self, model: VisionTransformer | Eva):
        super().__init__()
        model.reset_classifier(0, global_pool="")
        for part in HEADS:
            if isinstance(getattr(model, part, None), nn.Module):
                setattr(model, part, nn.Identity())
        self.channels: int = model.embed_dim
        self.stride: int = model.patch_embed.patch_size[0]
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        images = F.pad(images, (0, -images.shape[3] % self.stride, 0, -images.shape[2] % self.stride))
        size = (images.shape[2] // self.stride, images.shape[3] // self.stride)
        patches = self.model.forward_features(images)[:, self.model.num_prefix_tokens :]
        return patches.transpose(1, 2).unflatten(2, size)

    def layers_behind(self) -> dict[str, int]:
        """See ``interface.layers_behind``; the last norm goes with the decoder."""
        names = [name for name, _ in self.named_parameters() if not name.startswith("model.norm.")]
        return layers_behind(names, r"model\.blocks\.(\d+)")
