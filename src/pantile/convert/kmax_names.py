"""Names of the public PyTorch kMaX-DeepLab's tensors (a detectron2 project), from ours.

Tables of patterns, one per part of the network; ``original_name`` puts them together.
"""

import re

from pantile.models import KMaXConfig

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
