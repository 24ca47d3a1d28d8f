"""From a config, or the name of a small one, to a model."""

from collections.abc import Mapping, Sequence
from typing import Any

from pantile.contracts.errors import UserError
from pantile.models.backbone_weights import without_start
from pantile.models.base import ARCHITECTURES, PanopticModel


def model_from_fields(fields: Mapping[str, Any], num_classes: int) -> PanopticModel:
    """``create_model`` of a config's fields, as a file has them, whose weights the file brings, too."""
    architecture = ARCHITECTURES.find(fields["architecture"], "architecture")
    return create_model(without_start(architecture.config_class(**fields)), num_classes)


def create_model(config: object, num_classes: int, is_thing: Sequence[bool] | None = None) -> PanopticModel:
    """Builds the model that ``config.architecture`` names.

    Args:
        config: such as ``KMaXConfig``.
        num_classes: K of the taxonomy, without void and no-object.
        is_thing: per class; most models do not need it.

    Raises:
        UserError: unknown architecture, fields that do not fit together, or no ``is_thing`` for a model that has
            separate channels for things and stuff.
    """
    if num_classes < 1:
        raise UserError(f"create_model needs at least one class, got num_classes={num_classes}.")
    model = ARCHITECTURES.find(config.architecture, "model.architecture")
    return model(config, num_classes, is_thing) if model.reads_thing_flags else model(config, num_classes)
