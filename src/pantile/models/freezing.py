"""Parts of a model that do not learn: neither their parameters nor the statistics of their norms change."""

from collections.abc import Sequence

from torch import nn

from pantile.contracts.errors import UserError


def parts_named(model: nn.Module, names: Sequence[str]) -> list[nn.Module | nn.Parameter]:
    """Submodules and parameters by their dotted names, such as ``backbone``, ``backbone.model.layer1`` or
    ``query_content``.

    Raises:
        UserError: there is no such part; lists those beside it.
    """
    parts = []
    for name in names:
        node: object = model
        for depth, step in enumerate(name.split(".")):
            children = dict(node.named_children()) if isinstance(node, nn.Module) else {}
            entries = children | (dict(node.named_parameters(recurse=False)) if isinstance(node, nn.Module) else {})
            if step not in entries:
                place = ".".join(name.split(".")[:depth]) or "the model"
                raise UserError(
                    f"optimizer.frozen: there is no {name!r}; {place} has {', '.join(entries) or 'no further parts'}."
                )
            node = entries[step]
        parts.append(node)
    return parts


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """Takes the gradients of these parts, in place. Their norms stay in training mode: see ``rest``.

    Raises:
        UserError: there is no such part, or nothing is left that learns.
    """
    for part in parts_named(model, names):
        part.requires_grad_(False)
    if names and not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"optimizer.frozen: with {', '.join(names)} nothing is left that learns; leave something out.")


def rest(model: nn.Module, names: Sequence[str]) -> None:
    """Puts frozen modules into eval mode: statistics stay, and nothing is dropped. For after each ``train()``."""
    for part in parts_named(model, names):
        if isinstance(part, nn.Module):
            part.eval()
