"""Parameter groups and learning rate schedules, in fractions of a run."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import nn, optim

from pantile.contracts.errors import UserError
from pantile.engine.config import OptimizerConfig
from pantile.models.parameters import names_without_weight_decay
from pantile.techniques.base import ParameterScale, Technique


class _Group(NamedTuple):
    """What the parameters of a group have in common.

    Attributes:
        in_backbone: part of ``model.backbone``.
        decayed: pulled towards 0.
        depth: blocks between a parameter of the backbone and its end, where rates fall from block to block.
        scale: what a technique wants for parameters of its own.
    """

    in_backbone: bool
    decayed: bool
    depth: int = 0
    scale: ParameterScale = ParameterScale()

    @property
    def name(self) -> str:
        place = "backbone" if self.in_backbone else "decoder"
        depth = f"_{self.depth}" if self.depth else ""
        scale = "" if self.scale == ParameterScale() else f"_x{self.scale.learning_rate:g}_x{self.scale.weight_decay:g}"
        return place + depth + scale + ("" if self.decayed else "_no_decay")


def parameter_groups(model: nn.Module, others: nn.Module, config: OptimizerConfig) -> list[dict]:
    """Four groups: {backbone, the rest} x {decayed, not decayed}; with ``config.layer_decay`` of each block anew, and
    more where a technique wants other rates for parameters of its own.

    Weight decay is for convolution and linear kernels, with ``config.decay_biases`` for their biases, too. Norms,
    relative position tables, cluster centres and layer scale never decay; ``model.no_weight_decay()`` names them.

    Args:
        model: has a ``backbone`` submodule and ``no_weight_decay()``.
        others: modules that train with the model: a ``ModuleDict`` of techniques.

    Raises:
        UserError: layer decay for a backbone that does not say which layers it has.
    """
    groups: dict[_Group, list[nn.Parameter]] = {}
    behind = model.layers_behind() if config.layer_decay < 1 else {}
    if config.layer_decay < 1 and not behind:
        raise UserError(
            f"optimizer.layer_decay is {config.layer_decay:g}, but {type(model.backbone).__name__} does not "
            "say which layers it has (layers_behind); set it to 1, or take a backbone such as resnet50 or a ViT."
        )

    def put(module: nn.Module, exempt: set[str], backbone: str | None, scales: Mapping[str, ParameterScale]) -> None:
        for name, parameter in module.named_parameters():
            decayed = name not in exempt and (parameter.ndim > 1 or config.decay_biases)
            in_backbone = backbone is not None and name.startswith(backbone)
            depth = behind.get(name, 0) if backbone is not None else 0
            group = _Group(in_backbone, decayed, depth, scales.get(name, ParameterScale()))
            groups.setdefault(group, []).append(parameter)

    put(model, model.no_weight_decay(), "backbone.", {})
    put(others, names_without_weight_decay(others), None, _scales_of(others))
    return [
        {
            "params": groups[group],
            "lr": config.learning_rate
            * (config.backbone_multiplier if group.in_backbone else 1.0)
            * config.layer_decay**group.depth
            * group.scale.learning_rate,
            "weight_decay": config.weight_decay * group.scale.weight_decay if group.decayed else 0.0,
            "name": group.name,
        }
        for group in sorted(groups, key=_place)
    ]


def _place(group: _Group) -> tuple:
    """The plain groups first, the backbone before the rest, which is the order in checkpoints without techniques."""
    return group.scale != ParameterScale(), not group.in_backbone, not group.decayed, -group.depth, group.name


def _scales_of(others: nn.Module) -> dict[str, ParameterScale]:
    """By the names of ``others``."""
    techniques = ((name, child) for name, child in others.named_children() if isinstance(child, Technique))
    return {
        f"{name}.{own}": scale for name, technique in techniques for own, scale in technique.parameter_scales().items()
    }


def make_optimizer(model: nn.Module, others: nn.Module, config: OptimizerConfig) -> optim.Optimizer:
    groups = parameter_groups(model, others, config)
    if config.kind == "sgd":
        return optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=True)
    # One fused pass over all parameters; hundreds of small tensors make the loop slow on CPUs.
    return optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=True)


def learning_rate_factor(step: int, steps: int, config: OptimizerConfig, in_backbone: bool = False) -> float:
    """What the learning rate of optimizer step ``step`` (0-based) of ``steps`` is multiplied with.

    Linear warm-up; after it the schedule's own value at this step, so that poly makes a small jump as the original
    does (kMaX-DeepLab: ``base * (1 - step / total) ** 0.9``, not shifted). With ``poly_after_warmup`` poly falls over
    the steps that are left (EoMT).

    Args:
        in_backbone: of the backbone's parameters, whose warm-up may come after that of the others.
    """
    warmup_from, warmup_steps = 0.0, config.warmup * steps
    if in_backbone and config.backbone_warmup is not None:
        warmup_from, warmup_steps = warmup_steps, config.backbone_warmup * steps
    if step < warmup_from:
        return 0.0
    if step < warmup_from + warmup_steps:
        return config.warmup_start + (1.0 - config.warmup_start) * (step - warmup_from) / warmup_steps
    progress = min(step / steps, 1.0)
    if config.schedule == "poly":
        if config.poly_after_warmup:
            behind = warmup_from + warmup_steps
            progress = min((step - behind) / max(steps - behind, 1), 1.0)
        return config.poly_end + (1.0 - config.poly_end) * (1.0 - progress) ** config.poly_power
    if config.schedule == "step":
        return config.step_factor ** sum(progress >= milestone for milestone in config.milestones)
    return 1.0
