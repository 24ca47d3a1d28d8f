"""Parameter groups and learning rate schedules, in fractions of a run."""

from collections.abc import Mapping

from torch import nn, optim

from pantile.engine.config import OptimizerConfig
from pantile.models.parameters import names_without_weight_decay
from pantile.techniques.base import ParameterScale, Technique


def parameter_groups(model: nn.Module, others: nn.Module, config: OptimizerConfig) -> list[dict]:
    """Four groups: {backbone, the rest} x {decayed, not decayed}; and one more for each other rate that a technique
    wants for some of its parameters.

    Weight decay is for convolution and linear kernels, with ``config.decay_biases`` for their biases, too. Norms,
    relative position tables, cluster centres and layer scale never decay; ``model.no_weight_decay()`` names them.

    Args:
        model: has a ``backbone`` submodule and ``no_weight_decay()``.
        others: modules that train with the model: a ``ModuleDict`` of techniques.
    """
    groups: dict[tuple[bool, bool, ParameterScale], list[nn.Parameter]] = {}
    plain = ParameterScale()

    def put(module: nn.Module, exempt: set[str], backbone: str | None, scales: Mapping[str, ParameterScale]) -> None:
        for name, parameter in module.named_parameters():
            decayed = name not in exempt and (parameter.ndim > 1 or config.decay_biases)
            in_backbone = backbone is not None and name.startswith(backbone)
            groups.setdefault((in_backbone, decayed, scales.get(name, plain)), []).append(parameter)

    put(model, model.no_weight_decay(), "backbone.", {})
    put(others, names_without_weight_decay(others), None, _scales_of(others))
    ordered = sorted(groups.items(), key=lambda item: (item[0][2] != plain, not item[0][0], not item[0][1]))
    return [
        {
            "params": parameters,
            "lr": config.learning_rate * (config.backbone_multiplier if in_backbone else 1.0) * scale.learning_rate,
            "weight_decay": config.weight_decay * scale.weight_decay if decayed else 0.0,
            "name": _name(in_backbone, decayed, "" if scale == plain else f"_x{scale.learning_rate:g}"),
        }
        for (in_backbone, decayed, scale), parameters in ordered
    ]


def _scales_of(others: nn.Module) -> dict[str, ParameterScale]:
    """By the names of ``others``."""
    techniques = ((name, child) for name, child in others.named_children() if isinstance(child, Technique))
    return {
        f"{name}.{own}": scale for name, technique in techniques for own, scale in technique.parameter_scales().items()
    }


def _name(in_backbone: bool, decayed: bool, scale: str) -> str:
    return ("backbone" if in_backbone else "decoder") + scale + ("" if decayed else "_no_decay")


def make_optimizer(model: nn.Module, others: nn.Module, config: OptimizerConfig) -> optim.Optimizer:
    groups = parameter_groups(model, others, config)
    if config.kind == "sgd":
        return optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum, fused=True)
    # One fused pass over all parameters; hundreds of small tensors make the loop slow on CPUs.
    return optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, eps=config.eps, fused=True)


def learning_rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """What the learning rate of optimizer step ``step`` (0-based) of ``steps`` is multiplied with.

    Linear warm-up; after it the schedule's own value at this step, so that poly makes a small jump as the original
    does (kMaX-DeepLab: ``base * (1 - step / total) ** 0.9``, not shifted).
    """
    warmup_steps = config.warmup * steps
    if step < warmup_steps:
        return config.warmup_start + (1.0 - config.warmup_start) * step / warmup_steps
    progress = min(step / steps, 1.0)
    if config.schedule == "poly":
        return config.poly_end + (1.0 - config.poly_end) * (1.0 - progress) ** config.poly_power
    if config.schedule == "step":
        return config.step_factor ** sum(progress >= milestone for milestone in config.milestones)
    return 1.0
