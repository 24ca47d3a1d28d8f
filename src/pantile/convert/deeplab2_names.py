"""Names of deeplab2's variables (TensorFlow) for the parts that MaX-DeepLab is made of.

A name there is a path, ``stage4/block2/attention/height_axis/qkv_kernel``. Every type of module says how its children
are called; ``tensorflow_names`` follows them down to the tensors.
"""

from collections.abc import Iterator
from functools import singledispatch

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pantile.backbones.axial_resnet import AxialResNet
from pantile.backbones.stacked_decoder import StackedDecoder
from pantile.layers.aspp import ASPP
from pantile.layers.axial_attention import AxialAttention
from pantile.layers.conv import ConvNorm
from pantile.layers.dual_path import DualPathLayer, NormedAttention
from pantile.layers.residual_block import ResidualBlock
from pantile.layers.resized_fuse import ResizedFuse
from pantile.models.auxiliary_head import ASPPSemanticHead, PlainSemanticHead
from pantile.models.mask_predictor import Predictor

BATCH_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_TABLES = {f"{name}_table": f"{name}_rpe/embeddings" for name in ("query", "key", "value")}


@singledispatch
def children(module: nn.Module) -> dict[str, str]:
    """Our name of a child or tensor -> theirs; "" is the module's own path."""
    raise TypeError(f"deeplab2 has nothing like {type(module).__name__}")


@children.register
def _(module: _BatchNorm) -> dict[str, str]:
    return BATCH_NORM


@children.register
def _(module: ConvNorm) -> dict[str, str]:
    kernel = "conv/kernel"
    if module.conv.groups > 1:
        kernel = "depthwise_conv/depthwise_kernel"
    return {"conv.weight": kernel, "conv.bias": "conv/bias", "norm": "batch_norm"}


@children.register
def _(module: AxialAttention) -> dict[str, str]:
    names = {
        "qkv.conv.weight": "qkv_kernel",
        "qkv.norm": "batch_norm_qkv",
        "norm_similarity": "batch_norm_similarity",
        "norm_retrieved": "batch_norm_retrieved_output",
    }
    return names | _TABLES


@children.register
def _(module: ResidualBlock) -> dict[str, str]:
    names = {"reduce": "conv1_bn_act", "shortcut": "shortcut"}
    if isinstance(module.spatial, nn.Identity):
        return names | {"expand": "conv2_bn"}
    names |= {"expand": "conv3_bn"}
    if isinstance(module.spatial, ConvNorm):
        return names | {"spatial": "conv2_bn_act"}
    return names | {f"spatial.0.{axis}_axis": f"attention/{axis}_axis" for axis in ("height", "width")}


@children.register
def _(module: NormedAttention) -> dict[str, str]:
    return {"norm_similarity": "batch_norm_similarity", "norm_retrieved": "batch_norm_retrieved_value"}


@children.register
def _(module: DualPathLayer) -> dict[str, str]:
    names = {"ffn.0": "memory_ffn_conv1_bn_act", "ffn.1": "memory_ffn_conv2_bn"}
    for path in ("memory", "pixel"):
        names |= {
            f"{path}_in": f"{path}_conv1_bn_act",
            f"{path}_qkv": f"{path}_qkv_conv_bn",
            f"{path}_attention": f"{path}_attention",
            f"{path}_out": f"{path}_conv3_bn",
        }
    return names


@children.register
def _(module: ResizedFuse) -> dict[str, str]:
    return {
        f"branches.{i}.1": f"{'strided' if branch[1].conv.stride[0] > 1 else 'resized'}_conv_bn{i + 1}"
        for i, branch in enumerate(module.branches)
        if not isinstance(branch, nn.Identity)
    }


@children.register
def _(module: AxialResNet) -> dict[str, str]:
    names = {
        f"stages.{i}.{j}": f"stage{i + 2}/block{j + 1}" for i, s in enumerate(module.stages) for j in range(len(s))
    }
    if module.config.stem == "inception":
        names |= {
            f"stem.{i}": f"stem/{theirs}" for i, theirs in enumerate(("conv1_bn_act", "conv2_bn_act", "conv3_bn"))
        }
    else:
        names |= {"stem.0": "stem"} | {f"stem.{i}": f"stage1/block{i}" for i in range(1, len(module.stem))}
    return names | decoder_children(module.decoder, "decoder.", [f"decoder_stage{i + 1}" for i in range(9)])


def decoder_children(decoder: StackedDecoder, prefix: str, paths: list[str]) -> dict[str, str]:
    """Of a stacked decoder at ``prefix``, whose steps are called ``paths`` there."""
    names = {}
    for i, (stage, path) in enumerate(zip(decoder.stages, paths, strict=False)):
        names[f"{prefix}fuses.{i}"] = f"{path}_resized_fuse"
        names |= {f"{prefix}stages.{i}.{j}": f"{path}/block{j + 1}" for j in range(len(stage))}
    return names


@children.register
def _(module: Predictor) -> dict[str, str]:
    return {
        "pixel_hidden.0": "pixel_space_head/conv_block/conv1_bn_act/depthwise",
        "pixel_hidden.1": "pixel_space_head/conv_block/conv1_bn_act/pointwise",
        "pixel_embed.conv.weight": "pixel_space_head/final_conv/kernel",
        "pixel_embed.conv.bias": "pixel_space_head/final_conv/bias",
        "pixel_embed.norm": "pixel_space_feature_batch_norm",
        "mask_kernel": "transformer_mask_head",
        "mask_norm": "pixel_space_mask_batch_norm",
        "classifier": "transformer_class_head",
    }


@children.register
def _(module: ASPP) -> dict[str, str]:
    names = {"point": "conv_bn_act", "pool": "aspp_pool/conv_bn_act", "project": "proj_conv_bn_act"}
    return names | {f"atrous.{i}": f"aspp_conv{i + 1}/conv_bn_act" for i in range(len(module.atrous))}


_SEMANTIC_HEAD = {
    "head.0": "auxiliary_semantic_head/conv_block/conv1_bn_act/depthwise",
    "head.1": "auxiliary_semantic_head/conv_block/conv1_bn_act/pointwise",
    "classifier.conv.weight": "auxiliary_semantic_head/final_conv/kernel",
    "classifier.conv.bias": "auxiliary_semantic_head/final_conv/bias",
}


@children.register
def _(module: PlainSemanticHead) -> dict[str, str]:
    return _SEMANTIC_HEAD


@children.register
def _(module: ASPPSemanticHead) -> dict[str, str]:
    decoder = "auxiliary_semantic_decoder"
    names = {"aspp": f"{decoder}/aspp"}
    for i, level in enumerate(("res3", "res2"), 1):
        names |= {
            f"project_{level}": f"{decoder}/low_level_conv{i}",
            f"fuse_{level}.0": f"{decoder}/fusion_conv{i}/conv1_bn_act/depthwise",
            f"fuse_{level}.1": f"{decoder}/fusion_conv{i}/conv1_bn_act/pointwise",
        }
    return names | _SEMANTIC_HEAD


def tensorflow_names(module: nn.Module, path: str) -> Iterator[tuple[str, str]]:
    """(our name, theirs) of every parameter and statistic of a module whose path there is ``path``."""
    for ours, theirs in children(module).items():
        below = f"{path}/{theirs}".strip("/")
        try:
            child = module.get_submodule(ours)
        except AttributeError:
            owner, _, leaf = ours.rpartition(".")
            if getattr(module.get_submodule(owner), leaf, None) is not None:
                yield ours, below
            continue
        if child is not None and any(True for _ in child.parameters()):
            yield from ((f"{ours}.{name}", there) for name, there in tensorflow_names(child, below))
