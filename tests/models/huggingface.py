"""Hugging Face models with random weights that leave nothing at a harmless initial value."""

import torch
from torch import nn
from transformers import (
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    ResNetConfig,
    SwinConfig,
)
from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig
from transformers.utils import logging

logging.set_verbosity_error()  # says that a ResNet is not supported, and works

STAGES = ["stage1", "stage2", "stage3", "stage4"]
SWIN_TINY = "swin_tiny_patch4_window7_224"


def backbone_config(name: str):
    """Their config of a backbone that we call by its timm name."""
    if name == "resnet18":
        widths = [64, 128, 256, 512]
        return ResNetConfig(depths=[2, 2, 2, 2], hidden_sizes=widths, layer_type="basic", out_features=STAGES)
    if name == "resnet50":
        return ResNetConfig(out_features=STAGES)
    if name == SWIN_TINY:
        return SwinConfig(depths=[2, 2, 6, 2], out_features=STAGES, drop_path_rate=0.0)
    raise KeyError(name)


def huggingface_mask2former(config, num_classes: int) -> Mask2FormerForUniversalSegmentation:
    """The counterpart of our ``Mask2FormerConfig``, in eval mode."""
    theirs = Mask2FormerConfig(
        backbone_config=backbone_config(config.backbone),
        feature_size=config.channels,
        hidden_dim=config.channels,
        mask_feature_size=config.embed_channels,
        num_attention_heads=config.num_heads,
        encoder_layers=config.encoder_layers,
        encoder_feedforward_dim=config.encoder_ffn_channels,
        decoder_layers=config.decoder_layers + 1,
        dim_feedforward=config.decoder_ffn_channels,
        num_queries=config.num_queries,
        num_labels=num_classes,
    )
    return randomised(Mask2FormerForUniversalSegmentation(theirs))


def huggingface_maskformer(config, num_classes: int) -> MaskFormerForInstanceSegmentation:
    """The counterpart of our ``MaskFormerConfig`` without an encoder, in eval mode."""
    decoder = MaskFormerDetrConfig(
        d_model=config.channels,
        num_queries=config.num_queries,
        decoder_layers=config.decoder_layers,
        decoder_attention_heads=config.num_heads,
        decoder_ffn_dim=config.ffn_channels,
    )
    theirs = MaskFormerConfig(
        backbone_config=backbone_config(config.backbone),
        decoder_config=decoder,
        fpn_feature_size=config.channels,
        mask_feature_size=config.embed_channels,
        num_labels=num_classes,
    )
    return randomised(MaskFormerForInstanceSegmentation(theirs))


@torch.no_grad()
def randomised(model: nn.Module) -> nn.Module:
    """In eval mode; kernels keep the scale of their input, norms and biases are near 1 and 0."""
    generator = torch.Generator().manual_seed(3)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "queries" in name or "level_embed" in name:
            parameter.copy_(noise)
        elif "sampling_offsets.bias" in name:
            parameter.copy_(3 * noise)
        elif parameter.ndim > 1:
            parameter.copy_(noise / parameter[0].numel() ** 0.5)
        elif name.endswith("weight"):
            parameter.copy_(1 + 0.2 * noise)
        else:
            parameter.copy_(0.2 * noise)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=generator))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return model.eval()


EOMT_FORMS = ("eomt", "eomt_swiglu", "eomt_dinov3")


def huggingface_eomt(form: str, num_classes: int, **changes):
    """A tiny EoMT or EoMT-DINOv3 of theirs, in eval mode as published: no mask is obeyed."""
    from transformers import (
        EomtConfig,
        EomtDinov3Config,
        EomtDinov3ForUniversalSegmentation,
        EomtForUniversalSegmentation,
    )

    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 64, "patch_size": 8}
    sizes |= {
        "num_queries": 7,
        "num_blocks": 2,
        "num_labels": num_classes,
        "num_upscale_blocks": 2,
        "num_register_tokens": 4,
    }
    if form.startswith("eomt_dinov3"):
        theirs = EomtDinov3Config(**sizes | {"intermediate_size": 48, "pos_embed_rescale": None} | changes)
        model = randomised(EomtDinov3ForUniversalSegmentation(theirs))
    else:
        theirs = EomtConfig(**sizes | {"use_swiglu_ffn": form.endswith("swiglu")} | changes)
        model = randomised(EomtForUniversalSegmentation(theirs))
    model.attn_mask_probs.zero_()
    return model


def huggingface_videomt(num_classes: int, **changes):
    """A tiny VidEoMT of theirs, in eval mode."""
    from transformers import VideomtConfig, VideomtForUniversalSegmentation

    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 64, "patch_size": 8}
    sizes |= {"num_queries": 7, "num_blocks": 2, "num_labels": num_classes, "num_upscale_blocks": 2}
    model = randomised(VideomtForUniversalSegmentation(VideomtConfig(**sizes | changes)))
    model.attn_mask_probs.zero_()
    return model
