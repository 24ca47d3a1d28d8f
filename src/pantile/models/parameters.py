"""What an optimiser asks about a model's parameters."""

from torch import nn

KERNELS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def names_without_weight_decay(model: nn.Module) -> set[str]:
    """Names of all parameters that no convolution or linear layer owns.

    So norms, embeddings, tables, learned queries and layer scales are left out of weight decay. Whether the biases of
    convolutions and linear layers decay is the optimiser's setting (``optimizer.decay_biases``).
    """
    owned = {
        f"{name}.{kind}".removeprefix(".")
        for name, module in model.named_modules()
        if isinstance(module, KERNELS)
        for kind in ("weight", "bias")
    }
    return {name for name, _ in model.named_parameters() if name not in owned}
