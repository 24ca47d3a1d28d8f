"""MaX-DeepLab's weights from deeplab2: a TensorFlow checkpoint, or an ``.npz`` of its variables by name.

The names are in ``maxdeeplab_names``; the two prefixes, of the backbone and of the head, may be any. deeplab2 orders
the classes of queries things first, then stuff; here they come in the taxonomy's order. Its semantic head has void as
channel 0 (COCO) or none (Cityscapes); here it is the last.

With TensorFlow an ``.npz`` is made by ``numpy.savez(path, **{v.name: v.numpy() for v in model.variables})``.
"""

import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.taxonomy import Taxonomy
from pantile.convert.class_names import name_classes
from pantile.convert.foreign_folder import ForeignWeights
from pantile.convert.maxdeeplab_names import model_names
from pantile.convert.tensorflow_layout import from_tensorflow
from pantile.engine.config import RunConfig
from pantile.models import create_model
from pantile.recipes import make_recipe

_MEMORY, _CLASSES = "memory_feature", "transformer_class_head/conv/kernel"
_COUNTER = "num_batches_tracked"


def is_maxdeeplab(foreign: dict[str, Tensor]) -> bool:
    """Whether variables are of deeplab2's MaX-DeepLab; not kMaX-DeepLab's, which have no dual-path layers."""
    names = {_plain(name) for name in foreign}
    return bool(_ends(names, _MEMORY) and _ends(names, _CLASSES))


def read_maxdeeplab(
    weights: ForeignWeights, taxonomy: Taxonomy | None, recipe: str | None
) -> tuple[RunConfig, Taxonomy, dict[str, Tensor]]:
    """Our recipe with the network's number of memory vectors, the classes, and our state dict.

    Raises:
        UserError: variables are missing or of another shape, or the class count is another.
    """
    foreign = {_plain(name): tensor for name, tensor in weights.state.items()}
    (memory,), (kernel,) = _ends(foreign, _MEMORY)[:1], _ends(foreign, _CLASSES)[:1]
    path, head = memory.removesuffix(_MEMORY), kernel.removesuffix(_CLASSES)
    classes = foreign[kernel].shape[-1] - 1
    taxonomy = taxonomy or name_classes(classes, weights.labels, source=str(weights.source))
    if len(taxonomy) != classes:
        raise UserError(
            f"It has {classes} classes, the categories are {len(taxonomy)}; give the categories of its data set."
        )
    config = make_recipe(recipe or _recipe(foreign, path, classes))
    config.model.pretrained, config.model.num_queries = False, foreign[memory].shape[-2]
    if not any("auxiliary_semantic_head" in name for name in foreign):
        config.model.auxiliary_head = "none"
    with torch.device("meta"):
        model = create_model(config.model, classes)
    names = {
        ours: f"{head}{theirs.removeprefix('head/')}" if theirs.startswith("head/") else f"{path}{theirs[1:]}"
        for ours, theirs in model_names(model, ":").items()
        for theirs in [theirs.replace(":/", ":")]
    }
    expected = model.state_dict()
    missing = [theirs for theirs in names.values() if theirs not in foreign]
    if missing:
        raise UserError(
            f"{len(missing)} of the variables of {config.recipe} are missing (first: {missing[0]}); is it of another "
            "model? --recipe names the network."
        )
    order = [*taxonomy.thing_indices, *taxonomy.stuff_indices]
    state = {name: torch.zeros((), dtype=torch.int64) for name in expected if name.endswith(_COUNTER)}
    for ours, theirs in names.items():
        state[ours] = _converted(foreign[theirs], ours, theirs, expected[ours].shape, order)
    return config, taxonomy, state


def _converted(variable: Tensor, ours: str, theirs: str, shape: torch.Size, order: list[int]) -> Tensor:
    if ours.startswith("predictor.classifier"):
        position = torch.tensor(order).argsort()
        variable = torch.cat([variable[..., position], variable[..., -1:]], dim=-1)
    elif ours.startswith("auxiliary_head.classifier"):
        void = variable[..., :1]
        if variable.shape[-1] == len(order):  # no void channel there
            variable, void = torch.cat([void, variable], dim=-1), torch.zeros_like(void)
        variable = torch.cat([variable[..., 1:], void], dim=-1)
    if variable.numel() != shape.numel():
        raise UserError(
            f"{theirs} has shape {tuple(variable.shape)}, which does not fit {tuple(shape)}; --recipe names the "
            "network."
        )
    return from_tensorflow(variable.float().numpy(), shape)


def refuse_export(config: object, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Raises a UserError: deeplab2's checkpoints are only read."""
    raise UserError("MaX-DeepLab is read from deeplab2's variables, not written; leave --to out.")


def _plain(name: str) -> str:
    return name.removesuffix(":0")


def _ends(names, ending: str) -> list[str]:
    return sorted(name for name in names if name == ending or name.endswith(f"/{ending}"))


def _recipe(foreign: dict[str, Tensor], path: str, classes: int) -> str:
    size = "l" if f"{path}decoder_stage1/block1/conv1_bn_act/conv/kernel" in foreign else "s"
    return f"max_deeplab_{size}_{'cityscapes' if classes == 19 else 'coco'}"
