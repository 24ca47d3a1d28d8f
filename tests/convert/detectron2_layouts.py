"""The original repositories' state dicts, written down from the facts about them: names with shapes, and by value.

``layout_of_*`` are complete lists of (name, shape). ``original_*`` rename a state dict of Hugging Face one tensor after
the other. Neither knows our models.
"""

import re

import torch

RESNET_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet101s": (3, 4, 23, 3)}


def linear(name, out, inner):
    return {f"{name}.weight": (out, inner), f"{name}.bias": (out,)}


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def attention(name, width=256):
    packed = {f"{name}.in_proj_weight": (3 * width, width), f"{name}.in_proj_bias": (3 * width,)}
    return packed | linear(f"{name}.out_proj", width, width)


def conv_group_norm(name, out, inner, kernel):
    return {f"{name}.weight": (out, inner, kernel, kernel)} | norm(f"{name}.norm", out)


def resnet(name, counters):
    def conv(prefix, out, inner, kernel):
        shapes = {f"{prefix}.weight": (out, inner, kernel, kernel)}
        shapes |= {f"{prefix}.norm.{k}": (out,) for k in ("weight", "bias", "running_mean", "running_var")}
        return shapes | ({f"{prefix}.norm.num_batches_tracked": ()} if counters else {})

    if name.endswith("s"):
        shapes, inner = conv("backbone.stem.conv1", 64, 3, 3) | conv("backbone.stem.conv2", 64, 64, 3), 128
        shapes |= conv("backbone.stem.conv3", 128, 64, 3)
    else:
        shapes, inner = conv("backbone.stem.conv1", 64, 3, 7), 64
    for stage, blocks in enumerate(RESNET_BLOCKS[name]):
        width = 64 * 2**stage
        for block in range(blocks):
            prefix = f"backbone.res{stage + 2}.{block}."
            if block == 0:
                shapes |= conv(f"{prefix}shortcut", 4 * width, inner, 1)
            shapes |= conv(f"{prefix}conv1", width, inner, 1) | conv(f"{prefix}conv2", width, width, 3)
            shapes |= conv(f"{prefix}conv3", 4 * width, width, 1)
            inner = 4 * width
    return shapes


def swin_tiny():
    shapes = {"backbone.patch_embed.proj.weight": (96, 3, 4, 4), "backbone.patch_embed.proj.bias": (96,)}
    shapes |= norm("backbone.patch_embed.norm", 96)
    for stage, (blocks, heads) in enumerate(zip((2, 2, 6, 2), (3, 6, 12, 24), strict=True)):
        width = 96 * 2**stage
        for block in range(blocks):
            prefix = f"backbone.layers.{stage}.blocks.{block}."
            shapes |= norm(f"{prefix}norm1", width) | norm(f"{prefix}norm2", width)
            shapes |= linear(f"{prefix}attn.qkv", 3 * width, width) | linear(f"{prefix}attn.proj", width, width)
            shapes[f"{prefix}attn.relative_position_bias_table"] = (169, heads)
            shapes[f"{prefix}attn.relative_position_index"] = (49, 49)
            shapes |= linear(f"{prefix}mlp.fc1", 4 * width, width) | linear(f"{prefix}mlp.fc2", width, 4 * width)
        if stage < 3:
            shapes[f"backbone.layers.{stage}.downsample.reduction.weight"] = (2 * width, 4 * width)
            shapes |= norm(f"backbone.layers.{stage}.downsample.norm", 4 * width)
        shapes |= norm(f"backbone.norm{stage}", width)
    return shapes


def backbone(name, counters):
    if name.startswith("swin"):
        return swin_tiny(), (96, 192, 384, 768)
    return resnet(name, counters), (256, 512, 1024, 2048)


def heads(classes, queries):
    predictor = "sem_seg_head.predictor."
    shapes = {f"{predictor}query_embed.weight": (queries, 256), "criterion.empty_weight": (classes + 1,)}
    shapes |= linear(f"{predictor}class_embed", classes + 1, 256)
    for i in range(3):
        shapes |= linear(f"{predictor}mask_embed.layers.{i}", 256, 256)
    return shapes


def layout_of_mask2former(name, classes, queries=100, counters=False):
    shapes, widths = backbone(name, counters)
    decoder, predictor = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."
    for i, width in enumerate(reversed(widths[1:])):
        shapes |= {f"{decoder}input_proj.{i}.0.weight": (256, width, 1, 1), f"{decoder}input_proj.{i}.0.bias": (256,)}
        shapes |= norm(f"{decoder}input_proj.{i}.1", 256)
    shapes[f"{decoder}transformer.level_embed"] = (3, 256)
    for i in range(6):
        layer = f"{decoder}transformer.encoder.layers.{i}."
        shapes |= linear(f"{layer}self_attn.sampling_offsets", 192, 256)
        shapes |= linear(f"{layer}self_attn.attention_weights", 96, 256)
        shapes |= linear(f"{layer}self_attn.value_proj", 256, 256) | linear(f"{layer}self_attn.output_proj", 256, 256)
        shapes |= linear(f"{layer}linear1", 1024, 256) | linear(f"{layer}linear2", 256, 1024)
        shapes |= norm(f"{layer}norm1", 256) | norm(f"{layer}norm2", 256)
    shapes |= conv_group_norm(f"{decoder}adapter_1", 256, widths[0], 1)
    shapes |= conv_group_norm(f"{decoder}layer_1", 256, 256, 3)
    shapes |= {f"{decoder}mask_features.weight": (256, 256, 1, 1), f"{decoder}mask_features.bias": (256,)}
    for i in range(9):
        shapes |= attention(f"{predictor}transformer_cross_attention_layers.{i}.multihead_attn")
        shapes |= attention(f"{predictor}transformer_self_attention_layers.{i}.self_attn")
        shapes |= linear(f"{predictor}transformer_ffn_layers.{i}.linear1", 2048, 256)
        shapes |= linear(f"{predictor}transformer_ffn_layers.{i}.linear2", 256, 2048)
        for kind in ("cross_attention", "self_attention", "ffn"):
            shapes |= norm(f"{predictor}transformer_{kind}_layers.{i}.norm", 256)
    shapes |= {f"{predictor}query_feat.weight": (queries, 256), f"{predictor}level_embed.weight": (3, 256)}
    return shapes | norm(f"{predictor}decoder_norm", 256) | heads(classes, queries)


def layout_of_maskformer(name, classes, encoder_layers):
    shapes, widths = backbone(name, counters=False)
    decoder, predictor = "sem_seg_head.pixel_decoder.", "sem_seg_head.predictor."
    owner = decoder if encoder_layers else predictor
    shapes |= {f"{owner}input_proj.weight": (256, widths[3], 1, 1), f"{owner}input_proj.bias": (256,)}
    for i in range(encoder_layers):
        layer = f"{decoder}transformer.encoder.layers.{i}."
        shapes |= attention(f"{layer}self_attn")
        shapes |= linear(f"{layer}linear1", 2048, 256) | linear(f"{layer}linear2", 256, 2048)
        shapes |= norm(f"{layer}norm1", 256) | norm(f"{layer}norm2", 256)
    shapes |= conv_group_norm(f"{decoder}layer_4", 256, 256 if encoder_layers else widths[3], 3)
    for i in (1, 2, 3):
        shapes |= conv_group_norm(f"{decoder}adapter_{i}", 256, widths[i - 1], 1)
        shapes |= conv_group_norm(f"{decoder}layer_{i}", 256, 256, 3)
    shapes |= {f"{decoder}mask_features.weight": (256, 256, 3, 3), f"{decoder}mask_features.bias": (256,)}
    for i in range(6):
        layer = f"{predictor}transformer.decoder.layers.{i}."
        shapes |= attention(f"{layer}self_attn") | attention(f"{layer}multihead_attn")
        shapes |= linear(f"{layer}linear1", 2048, 256) | linear(f"{layer}linear2", 256, 2048)
        for j in (1, 2, 3):
            shapes |= norm(f"{layer}norm{j}", 256)
    return shapes | norm(f"{predictor}transformer.decoder.norm", 256) | heads(classes, 100)


def original_mask2former(theirs):
    """Hugging Face's (version 5) state dict in the original layout, by the published correspondence of names."""
    state = {}
    module = "model.transformer_module."
    simple = {
        f"{module}queries_features.weight": "predictor.query_feat.weight",
        f"{module}queries_embedder.weight": "predictor.query_embed.weight",
        f"{module}level_embed.weight": "predictor.level_embed.weight",
        "model.pixel_level_module.decoder.level_embed": "pixel_decoder.transformer.level_embed",
    }
    for name, tensor in theirs.items():
        if name in simple:
            state[f"sem_seg_head.{simple[name]}"] = tensor
    for kind in ("weight", "bias"):
        for theirs_name, name in (
            ("class_predictor", "predictor.class_embed"),
            (f"{module}decoder.layernorm", "predictor.decoder_norm"),
            ("model.pixel_level_module.decoder.mask_projection", "pixel_decoder.mask_features"),
            ("model.pixel_level_module.decoder.adapter_1.1", "pixel_decoder.adapter_1.norm"),
            ("model.pixel_level_module.decoder.layer_1.1", "pixel_decoder.layer_1.norm"),
            *(
                (f"{module}decoder.mask_predictor.mask_embedder.{j}.0", f"predictor.mask_embed.layers.{j}")
                for j in range(3)
            ),
        ):
            state[f"sem_seg_head.{name}.{kind}"] = theirs[f"{theirs_name}.{kind}"]
    for name in ("adapter_1", "layer_1"):
        state[f"sem_seg_head.pixel_decoder.{name}.weight"] = theirs[f"model.pixel_level_module.decoder.{name}.0.weight"]
    for name, tensor in theirs.items():
        if name.startswith("model.pixel_level_module.decoder.input_projections."):
            state[
                name.replace(
                    "model.pixel_level_module.decoder.input_projections", "sem_seg_head.pixel_decoder.input_proj"
                )
            ] = tensor
        match = re.match(r"model\.pixel_level_module\.decoder\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
        if match:
            part = {"self_attn_layer_norm": "norm1", "final_layer_norm": "norm2", "fc1": "linear1", "fc2": "linear2"}
            rest = part.get(match[2], match[2])
            state[f"sem_seg_head.pixel_decoder.transformer.encoder.layers.{match[1]}.{rest}.{match[3]}"] = tensor
        match = re.match(r"model\.transformer_module\.decoder\.layers\.(\d+)\.(.+)", name)
        if match and "proj" not in match[2].replace("out_proj", "").replace("in_proj", ""):
            part, _, kind = match[2].rpartition(".")
            parts = {
                "cross_attn": "cross_attention_layers.{}.multihead_attn",
                "cross_attn.out_proj": "cross_attention_layers.{}.multihead_attn.out_proj",
                "cross_attn_layer_norm": "cross_attention_layers.{}.norm",
                "self_attn.out_proj": "self_attention_layers.{}.self_attn.out_proj",
                "self_attn_layer_norm": "self_attention_layers.{}.norm",
                "fc1": "ffn_layers.{}.linear1",
                "fc2": "ffn_layers.{}.linear2",
                "final_layer_norm": "ffn_layers.{}.norm",
            }
            state[f"sem_seg_head.predictor.transformer_{parts[part].format(match[1])}.{kind}"] = tensor
    layers = {m[1] for m in (re.match(r"model\.transformer_module\.decoder\.layers\.(\d+)\.", n) for n in theirs) if m}
    for layer in layers:
        for kind in ("weight", "bias"):
            parts = [theirs[f"{module}decoder.layers.{layer}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
            name = f"sem_seg_head.predictor.transformer_self_attention_layers.{layer}.self_attn.in_proj_{kind}"
            state[name] = torch.cat(parts)
    state |= _original_backbone(theirs, "swin.", "attention.{}_proj", "qkv", "attention.o_proj", "mlp.fc1", "mlp.fc2")
    return state | {"criterion.empty_weight": theirs["criterion.empty_weight"]}


def original_maskformer(theirs):
    """The same for a MaskFormer without encoder."""
    state = {"sem_seg_head.predictor.query_embed.weight": theirs["model.transformer_module.queries_embedder.weight"]}
    names = {
        "class_predictor": "predictor.class_embed",
        "model.transformer_module.decoder.layernorm": "predictor.transformer.decoder.norm",
        "model.transformer_module.input_projection": "predictor.input_proj",
        "model.pixel_level_module.decoder.mask_projection": "pixel_decoder.mask_features",
        "model.pixel_level_module.decoder.fpn.stem.1": "pixel_decoder.layer_4.norm",
        **{f"mask_embedder.{j}.0": f"predictor.mask_embed.layers.{j}" for j in range(3)},
    }
    fpn = "model.pixel_level_module.decoder.fpn."
    state["sem_seg_head.pixel_decoder.layer_4.weight"] = theirs[f"{fpn}stem.0.weight"]
    for j, level in enumerate((3, 2, 1)):  # theirs go from res4 to res2
        names |= {f"{fpn}layers.{j}.proj.1": f"pixel_decoder.adapter_{level}.norm"}
        names |= {f"{fpn}layers.{j}.block.1": f"pixel_decoder.layer_{level}.norm"}
        state[f"sem_seg_head.pixel_decoder.adapter_{level}.weight"] = theirs[f"{fpn}layers.{j}.proj.0.weight"]
        state[f"sem_seg_head.pixel_decoder.layer_{level}.weight"] = theirs[f"{fpn}layers.{j}.block.0.weight"]
    layers = {m[1] for m in (re.match(r"model\.transformer_module\.decoder\.layers\.(\d+)\.", n) for n in theirs) if m}
    for layer in layers:
        old, new = f"model.transformer_module.decoder.layers.{layer}.", f"predictor.transformer.decoder.layers.{layer}."
        for attention_name, name in (("self_attn", "self_attn"), ("encoder_attn", "multihead_attn")):
            names[f"{old}{attention_name}.o_proj"] = f"{new}{name}.out_proj"
            for kind in ("weight", "bias"):
                parts = [theirs[f"{old}{attention_name}.{p}_proj.{kind}"] for p in "qkv"]
                state[f"sem_seg_head.{new}{name}.in_proj_{kind}"] = torch.cat(parts)
        names |= {f"{old}mlp.fc1": f"{new}linear1", f"{old}mlp.fc2": f"{new}linear2"}
        norms = ("self_attn_layer_norm", "encoder_attn_layer_norm", "final_layer_norm")
        names |= {f"{old}{name}": f"{new}norm{j + 1}" for j, name in enumerate(norms)}
    for old, new in names.items():
        for kind in ("weight", "bias"):
            state[f"sem_seg_head.{new}.{kind}"] = theirs[f"{old}.{kind}"]
    dense = ("attention.output.dense", "intermediate.dense", "output.dense")
    state |= _original_backbone(theirs, "model.", "attention.self.{}", ("query", "key", "value"), *dense)
    return state | {"criterion.empty_weight": theirs["criterion.empty_weight"]}


def _original_backbone(theirs, root, projection, parts, out, fc1, fc2):
    prefix = "model.pixel_level_module.encoder."
    encoder = {name.removeprefix(prefix): t for name, t in theirs.items() if name.startswith(prefix)}
    if any("stages" in name for name in encoder):
        return _original_resnet(encoder)
    state = {}
    for name, tensor in encoder.items():
        if name.startswith("hidden_states_norms."):
            stage, kind = name.split(".")[1:]
            number = int(stage.removeprefix("stage")) - (1 if "stage" in stage else 0)
            state[f"backbone.norm{number}.{kind}"] = tensor
        name = name.removeprefix(root)
        if name.startswith("embeddings."):
            new = name.replace("embeddings.patch_embeddings.projection", "proj").replace("embeddings.norm", "norm")
            state[f"backbone.patch_embed.{new}"] = tensor
        if ".downsample." in name:
            state[name.replace("encoder.", "backbone.", 1)] = tensor
        match = re.match(r"encoder\.(layers\.\d+\.blocks\.\d+)\.(.+)", name)
        if not match:
            continue
        block, rest = f"backbone.{match[1]}.", match[2]
        if rest.endswith("relative_position_bias_table"):
            state[f"{block}attn.relative_position_bias_table"] = tensor
            state[f"{block}attn.relative_position_index"] = window_index(7)
        part, _, kind = rest.rpartition(".")
        new = {
            "layernorm_before": "norm1",
            "layernorm_after": "norm2",
            out: "attn.proj",
            fc1: "mlp.fc1",
            fc2: "mlp.fc2",
        }
        if part in new:
            state[f"{block}{new[part]}.{kind}"] = tensor
        if part == projection.format(parts[0]):
            source = f"{root}encoder.{match[1]}."
            tensors = [encoder[f"{source}{projection.format(p)}.{kind}"] for p in parts]
            state[f"{block}attn.qkv.{kind}"] = torch.cat(tensors)
    return state


def _original_resnet(encoder):
    state = {}
    for name, tensor in encoder.items():
        if name.endswith("num_batches_tracked"):
            continue  # frozen ones do not count
        name = name.replace("embedder.embedder.", "stem.conv1.").replace("encoder.stages.", "")
        match = re.match(r"(\d)\.layers\.(\d+)\.(?:layer\.(\d)|shortcut)\.(.+)", name)
        if match:
            conv = "shortcut" if match[3] is None else f"conv{int(match[3]) + 1}"
            name = f"res{int(match[1]) + 2}.{match[2]}.{conv}.{match[4]}"
        state["backbone." + name.replace("normalization", "norm").replace("convolution.", "")] = tensor
    return state


def window_index(side):
    """(side**2, side**2): row of the table for each pair of pixels of a window, by two loops."""
    pixels = [(y, x) for y in range(side) for x in range(side)]
    span = 2 * side - 1
    rows = [[(y - v + side - 1) * span + (x - u + side - 1) for v, u in pixels] for y, x in pixels]
    return torch.tensor(rows)
