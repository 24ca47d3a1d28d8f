"""The state dict of the public PyTorch kMaX-DeepLab (a detectron2 project) and ours, both ways.

The two hold the same tensors under other names; only the axial attention's projection is a 1-d convolution there and
a 2-d one here. So one function says it all: our name -> theirs. Pixel statistics and index tables are not stored
there. The class names are not in the file either: they come from the data set's categories.
"""

import re
from dataclasses import replace

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.sizes import size_of
from pantile.models import KMaXConfig, create_model

COUNTER = ".num_batches_tracked"
CENTERS = "sem_seg_head.predictor._cluster_centers.weight"
CLASSES = "sem_seg_head.predictor._predcitor._transformer_class_head.conv.weight"  # their spelling
RESNETS = {6: "resnet50", 23: "resnet101"}  # blocks of the third stage
CONVNEXTS = {  # width, blocks of the third stage
    (96, 9): "convnext_tiny",
    (96, 27): "convnext_small",
    (128, 27): "convnext_base",
    (192, 27): "convnext_large",
}

# (our name, their name); a pattern matches from the start of what is left of the name.
_BACKBONE_RESNET = [
    (r"conv1\.", "stem.conv1."),
    (r"bn1\.", "stem.conv1.norm."),
    (r"layer(?P<stage>\d)\.(?P<block>\d+)\.conv(?P<conv>\d)\.", "res{stage+1}.{block}.conv{conv}."),
    (r"layer(?P<stage>\d)\.(?P<block>\d+)\.bn(?P<conv>\d)\.", "res{stage+1}.{block}.conv{conv}.norm."),
    (r"layer(?P<stage>\d)\.(?P<block>\d+)\.downsample\.0\.", "res{stage+1}.{block}.shortcut."),
    (r"layer(?P<stage>\d)\.(?P<block>\d+)\.downsample\.1\.", "res{stage+1}.{block}.shortcut.norm."),
]
_BACKBONE_CONVNEXT = [
    (r"stem\.(?P<part>\d)\.", "downsample_layers.0.{part}."),
    (r"stages\.(?P<stage>\d)\.downsample\.(?P<part>\d)\.", "downsample_layers.{stage}.{part}."),
    (r"stages\.(?P<stage>\d)\.blocks\.(?P<block>\d+)\.conv_dw\.", "stages.{stage}.{block}.dwconv."),
    (r"stages\.(?P<stage>\d)\.blocks\.(?P<block>\d+)\.norm\.", "stages.{stage}.{block}.norm."),
    (r"stages\.(?P<stage>\d)\.blocks\.(?P<block>\d+)\.mlp\.fc(?P<fc>\d)\.", "stages.{stage}.{block}.pwconv{fc}."),
    (r"stages\.(?P<stage>\d)\.blocks\.(?P<block>\d+)\.gamma", "stages.{stage}.{block}.gamma"),
]
_PREDICTOR = [
    (r"pixel_hidden\.0\.", "_pixel_space_head_conv0bnact."),
    (r"pixel_hidden\.1\.", "_pixel_space_head_conv1bnact."),
    (r"pixel_embed\.", "_pixel_space_head_last_convbn."),
    (r"mask_kernel\.", "_transformer_mask_head."),
    (r"classifier\.", "_transformer_class_head."),
    (r"mask_norm\.", "_pixel_space_mask_batch_norm."),
]
_LAYER = [
    (r"query_in\.", "_query_conv1_bn_act."),
    (r"pixel_in\.", "_pixel_conv1_bn_act."),
    (r"attention\.qkv\.", "_query_qkv_conv_bn."),
    (r"attention\.norm_similarity\.", "_query_self_attention._batch_norm_similarity."),
    (r"attention\.norm_retrieved\.", "_query_self_attention._batch_norm_retrieved_value."),
    (r"attention_out\.", "_query_conv3_bn."),
    (r"pixel_value\.", "_pixel_v_conv_bn."),
    (r"ffn\.0\.", "_query_ffn_conv1_bn_act."),
    (r"ffn\.1\.", "_query_ffn_conv2_bn."),
    (r"kmeans_norm\.", "_kmeans_query_batch_norm_retrieved_value."),
    (r"kmeans_out\.", "_kmeans_query_conv3_bn."),
    *((rf"predictor\.{ours}", f"_predcitor.{theirs}") for ours, theirs in _PREDICTOR),  # their spelling
]
_AXIS = [
    (r"qkv\.conv\.", "qkv_transform.conv."),
    (r"qkv\.norm\.", "_batch_norm_qkv."),
    (r"(?P<what>query|key|value)_table", "_{what}_rpe._embeddings.weight"),
    (r"norm_similarity\.", "_batch_norm_similarity."),
    (r"norm_retrieved\.", "_batch_norm_retrieved_output."),
]
_STAGE = "_stages.{stage}._blocks.{block}."
_PIXEL_DECODER = [
    (r"input_norms\.(?P<index>\d)\.", "_in_norms.{index}."),
    (r"fusions\.(?P<index>\d)\.(?P<side>low|high)\.(1\.)?(?=conv|norm)", "_resized_fuses.{index}._conv_bn_{side}."),
    (r"stages\.(?P<stage>\d)\.(?P<block>\d)\.reduce\.", _STAGE + "_conv1_bn_act."),
    (r"stages\.(?P<stage>\d)\.(?P<block>\d)\.spatial\.(?=conv|norm)", _STAGE + "_conv2_bn_act."),
    (r"stages\.(?P<stage>\d)\.(?P<block>\d)\.expand\.", _STAGE + "_conv3_bn."),
    (r"stages\.(?P<stage>\d)\.(?P<block>\d)\.shortcut\.", _STAGE + "_shortcut."),
    *(
        (
            rf"stages\.(?P<stage>\d)\.(?P<block>\d)\.spatial\.0\.(?P<axis>height|width)_axis\.{ours}",
            f"{_STAGE}_attention._{{axis}}_axis.{theirs}",
        )
        for ours, theirs in _AXIS
    ),
]
_ASPP_HEAD = [
    (r"aspp\.point\.", "_aspp._aspp_conv0."),
    (r"aspp\.atrous\.(?P<index>\d)\.", "_aspp._aspp_conv{index+1}."),
    (r"aspp\.pool\.", "_aspp._aspp_pool."),
    (r"aspp\.project\.", "_aspp._proj_conv_bn_act."),
    (r"project_res3\.", "_low_level_projection_os8."),
    (r"project_res2\.", "_low_level_projection_os4."),
    (r"fuse_res3\.(?P<index>\d)\.", "_low_level_fusion_os8_conv{index}_bn_act."),
    (r"fuse_res2\.(?P<index>\d)\.", "_low_level_fusion_os4_conv{index}_bn_act."),
    (r"head\.(?P<index>\d)\.", "conv_block_{index}."),
    (r"classifier\.", "final_conv."),
]
_PLAIN_HEAD = [(r"head\.(?P<index>\d)\.", "{index}."), (r"classifier\.", "2.")]


def original_name(name: str, config: KMaXConfig) -> str:
    """Our tensor's name in the original layout, such as ``backbone.model.layer1.0.conv1.weight`` ->
    ``backbone.res2.0.conv1.weight``."""
    resnet = config.backbone.startswith("resnet")
    head = _PLAIN_HEAD if config.auxiliary_head == "plain" else _ASPP_HEAD
    predictor = "sem_seg_head.predictor."
    rooms = [
        ("backbone.model.", "backbone.", _BACKBONE_RESNET if resnet else _BACKBONE_CONVNEXT),
        ("pixel_decoder.", "sem_seg_head.pixel_decoder.", _PIXEL_DECODER),
        ("predictor.", f"{predictor}_predcitor.", _PREDICTOR),
        ("auxiliary_head.", f"{predictor}_auxiliary_semantic_predictor.", head),
        ("class_projection.", f"{predictor}_class_embedding_projection.", []),
        ("mask_projection.", f"{predictor}_mask_embedding_projection.", []),
        ("cluster_centers", f"{predictor}_cluster_centers.weight", []),
    ]
    layer = re.match(r"layers\.(\d+)\.", name)
    if layer:
        rooms = [(layer[0], f"{predictor}_kmax_transformer_layers.{layer[1]}.", _LAYER)]
    for ours, theirs, rules in rooms:
        if name.startswith(ours):
            return theirs + (_rename(name.removeprefix(ours), rules) if rules else name.removeprefix(ours))
    raise KeyError(f"{name} has no counterpart in the original kMaX-DeepLab")


def _rename(rest: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        match = re.match(pattern, rest)
        if match:
            return _fill(replacement, match.groupdict()) + rest[match.end() :]
    raise KeyError(f"{rest} has no counterpart in the original kMaX-DeepLab")


def _fill(template: str, groups: dict[str, str]) -> str:
    """``{name}`` and ``{name+1}`` from the groups of a match."""
    return re.sub(r"\{(\w+)(\+1)?\}", lambda m: str(int(groups[m[1]]) + 1) if m[2] else groups[m[1]], template)


def is_kmax(foreign: dict[str, Tensor]) -> bool:
    """Whether a state dict is of the original kMaX-DeepLab."""
    return CENTERS in foreign


def kmax_classes(foreign: dict[str, Tensor]) -> int:
    """K, without no-object."""
    return size_of(foreign, CLASSES, 0) - 1


def import_kmax(
    foreign: dict[str, Tensor], taxonomy: Taxonomy, base: KMaXConfig
) -> tuple[KMaXConfig, dict[str, Tensor]]:
    """An original state dict as ours.

    Args:
        taxonomy: of the data set that the checkpoint was trained on, in its order.
        base: settings that the file does not tell (drop paths, pixel statistics), those of its own recipe.

    Returns:
        The config of the network in the file, and the state dict of ``create_model(config, len(taxonomy))``.

    Raises:
        UserError: tensors are missing, left over or of another shape, or the class count is another.
    """
    config = infer_config(foreign, base)
    classes = kmax_classes(foreign)
    if classes != len(taxonomy):
        raise UserError(
            f"It has {classes} classes, the categories are {len(taxonomy)}; give the categories of its data set."
        )
    with torch.device("meta"):
        expected = create_model(config, classes).state_dict()
    names = {name: original_name(name, config) for name in expected}
    # Converted TensorFlow files come without the batch counters, which inference does not read.
    missing = [theirs for theirs in names.values() if theirs not in foreign and not theirs.endswith(COUNTER)]
    known = set(names.values())
    surplus = [n for n in foreign if n.startswith(("backbone.", "sem_seg_head.")) and n not in known]
    # Index tables of relative positions are derived, not learned.
    surplus = [n for n in surplus if not n.endswith(("_relative_index", "_indices"))]
    if missing or surplus:
        raise UserError(
            f"{len(missing)} tensors are missing (first: {missing[0] if missing else '-'}) and {len(surplus)} "
            f"are unknown (first: {surplus[0] if surplus else '-'}); only kMaX-DeepLab with ResNet-50 or ConvNeXt "
            "is supported."
        )
    state = {}
    for name, theirs in names.items():
        tensor = foreign.get(theirs, torch.zeros((), dtype=torch.int64))
        if tensor.numel() != expected[name].numel():
            raise UserError(
                f"{theirs} has shape {tuple(tensor.shape)}, expected {tuple(expected[name].shape)} up to ones."
            )
        state[name] = tensor.reshape(expected[name].shape).to(expected[name].dtype)
    return config, state


def export_kmax(config: KMaXConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict in the original layout.

    Raises:
        UserError: a backbone that the original does not have.
    """
    if not config.backbone.startswith(("resnet", "convnext")):
        raise UserError(f"The original kMaX-DeepLab has no {config.backbone} backbone to export to.")
    return {original_name(name, config): _original_shape(name, tensor) for name, tensor in state.items()}


def _original_shape(name: str, tensor: Tensor) -> Tensor:
    return tensor.squeeze(-1) if name.endswith("_axis.qkv.conv.weight") else tensor


def kmax_backbone(foreign: dict[str, Tensor]) -> str:
    """timm's name of the backbone.

    Raises:
        UserError: it is neither a ResNet-50 or -101 nor a ConvNeXt of the published sizes.
    """
    if "backbone.stem.conv1.weight" in foreign:
        depth = sum(bool(re.match(r"backbone\.res4\.\d+\.conv1\.weight", name)) for name in foreign)
        if depth in RESNETS:
            return RESNETS[depth]
    if "backbone.downsample_layers.0.0.weight" in foreign:
        width = size_of(foreign, "backbone.downsample_layers.0.0.weight", 0)
        depth = sum(bool(re.match(r"backbone\.stages\.2\.\d+\.gamma", name)) for name in foreign)
        if (width, depth) in CONVNEXTS:
            return CONVNEXTS[width, depth]
    raise UserError("The backbone is neither ResNet-50 nor ConvNeXt; only these are supported.")


def infer_config(foreign: dict[str, Tensor], base: KMaXConfig) -> KMaXConfig:
    """Sizes of the network in a file, from the shapes of its tensors."""
    decoder, predictor = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."

    def count(pattern: str) -> int:
        return len({m[1] for m in (re.match(pattern, name) for name in foreign) if m})

    stages = count(rf"{re.escape(decoder)}_stages\.(\d+)\.")
    blocks = tuple(count(rf"{re.escape(decoder)}_stages\.{i}\._blocks\.(\d+)\.") for i in range(stages))
    layers = count(rf"{re.escape(predictor)}_kmax_transformer_layers\.(\d+)\.")
    if layers % 3:
        raise UserError(f"It has {layers} transformer layers, which three strides cannot share.")
    auxiliary = f"{predictor}_auxiliary_semantic_predictor."
    head = "none"
    if any(name.startswith(auxiliary) for name in foreign):
        head = "aspp" if f"{auxiliary}_aspp._aspp_conv0.conv.weight" in foreign else "plain"
    return replace(
        base,
        backbone=kmax_backbone(foreign),
        pretrained=False,
        num_queries=size_of(foreign, CENTERS, 1),
        decoder_blocks=blocks,
        transformer_layers=(layers // 3,) * 3,
        auxiliary_head=head,
    )
