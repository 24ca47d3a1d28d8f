"""Parameter groups and learning rate schedules, in fractions of a run."""

from torch import nn, optim

from pantile.contracts.errors import UserError
from pantile.engine.config import OptimizerConfig
from pantile.models.parameters import names_without_weight_decay


def parameter_groups(model: nn.Module, others: nn.Module, config: OptimizerConfig) -> list[dict]:
    """Four groups: {backbone, the rest} x {decayed, not decayed}; with ``config.layer_decay`` of each block anew.

    Weight decay is for convolution and linear kernels, with ``config.decay_biases`` for their biases, too. Norms,
    relative position tables, cluster centres and layer scale never decay; ``model.no_weight_decay()`` names them.

    Args:
        model: has a ``backbone`` submodule and ``no_weight_decay()``.
        others: modules that train with the model, such as a technique's heads.

    Raises:
        UserError: layer decay for a backbone that is not a row of blocks.
    """
    groups: dict[tuple[bool, bool, int], list[nn.Parameter]] = {}
    behind = model.layers_behind() if config.layer_decay < 1 else {}
    if config.layer_decay < 1 and not behind:
        raise UserError(
            f"optimizer.layer_decay is {config.layer_decay:g}, but {type(model.backbone).__name__} is not a row of "
            "blocks; set it to 1, or take a ViT or a BEiT."
        )

    def put(module: nn.Module, exempt: set[str], backbone: str | None) -> None:
        for name, parameter in module.named_parameters():
            decayed = name not in exempt and (parameter.ndim > 1 or config.decay_biases)
            in_backbone = backbone is not None and name.startswith(backbone)
            depth = behind.get(name, 0) if in_backbone else 0
            groups.setdefault((in_backbone, decayed, depth), []).append(parameter)

    put(model, model.no_weight_decay(), "backbone.")
    put(others, names_without_weight_decay(others), None)
    return [
        {
            "params": parameters,
            "lr": config.learning_rate
            * (config.backbone_multiplier if in_backbone else 1.0)
            * config.layer_decay**depth,
            "weight_decay": config.weight_decay if decayed else 0.0,
            "name": ("backbone" if in_backbone else "decoder")
            + (f"_{depth}" if depth else "")
            + ("" if decayed else "_no_decay"),
        }
        for (in_backbone, decayed, depth), parameters in sorted(groups.items(), reverse=True)
    ]


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
