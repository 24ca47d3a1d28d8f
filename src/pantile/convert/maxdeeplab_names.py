"""Names of the variables of deeplab2's MaX-DeepLab as a whole: where its parts (``deeplab2_names``) stand."""

from pantile.convert.deeplab2_names import decoder_children, tensorflow_names
from pantile.models.max_deeplab import MaXDeepLab


def model_names(model: MaXDeepLab, path: str) -> dict[str, str]:
    """Our name of every parameter and statistic -> theirs. Backbone and decoder are at ``path``, heads at "head"."""
    steps = [stride for stride, _ in model.config.decoder]
    earlier = len(model.backbone.decoder.strides)
    first = "stage5" if earlier == 0 else f"decoder_stage{earlier}"
    later = [earlier + i for i in range(len(steps))] if steps[0] == 32 else [earlier + 1 + i for i in range(len(steps))]
    paths = [f"{first}_extra" if steps[0] == 32 and i == 0 else f"decoder_stage{n}_extra" for i, n in enumerate(later)]
    names = dict(tensorflow_names(model.backbone, path))
    names = {f"backbone.{ours}": theirs for ours, theirs in names.items()}
    for ours, theirs in decoder_children(model.decoder, "decoder.", paths).items():
        part = model.get_submodule(ours)
        if any(True for _ in part.parameters()):
            names |= {f"{ours}.{name}": there for name, there in tensorflow_names(part, f"{path}/{theirs}")}
    blocks = [f"stage{i + 2}/block{j + 1}" for i, stage in enumerate(model.backbone.stages) for j in range(len(stage))]
    for decoder, at in (
        (model.backbone.decoder, [f"decoder_stage{i + 1}" for i in range(earlier)]),
        (model.decoder, paths),
    ):
        blocks += [
            f"{where}/block{j + 1}" for stage, where in zip(decoder.stages, at, strict=True) for j in range(len(stage))
        ]
    strides = model.backbone.block_strides() + model.decoder.block_strides()
    followed = [block for block, stride in zip(blocks, strides, strict=True) if stride >= model.config.dual_path_from]
    heads = {"class_projection": f"{path}/class_feature_extra", "mask_projection": f"{path}/mask_feature_extra"}
    heads |= {"predictor": "head"} | ({} if model.auxiliary_head is None else {"auxiliary_head": "head"})
    heads |= {f"dual_paths.{i}": f"{path}/{block}_transformer" for i, block in enumerate(followed)}
    for ours, theirs in heads.items():
        part = model.get_submodule(ours)
        names |= {f"{ours}.{name}": there for name, there in tensorflow_names(part, theirs)}
    return names | {"memory": f"{path}/memory_feature"}
