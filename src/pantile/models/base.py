"""What every architecture is, and the registry in which each enters itself::

    @ARCHITECTURES.register("my_model")
    class MyModel(PanopticModel):
        config_class = MyModelConfig

``pantile.check_model`` tries all that is asked of one.
"""

from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from pantile.contracts.errors import UserError
from pantile.contracts.outputs import ModelOutput
from pantile.contracts.registry import Registry
from pantile.models.parameters import names_without_weight_decay

#: architectures by the value of ``config.architecture``
ARCHITECTURES: Registry[type["PanopticModel"]] = Registry("architecture", "pantile.models")


class ModelConfig(Protocol):
    """The fields that other rooms read of a config, which is a dataclass with defaults for all its fields.

    Attributes:
        architecture: ``Literal`` of the registered name, by which files tell configs apart.
        backbone: a name.
        pretrained: load ImageNet weights into the backbone.
        in_channels: bands of the image.
        image_mean: per band, on the 0..255 scale; subtracted before the model.
        image_std: per band, on the 0..255 scale; divided by before the model.
    """

    architecture: str
    backbone: str
    pretrained: bool
    in_channels: int
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]


class PanopticModel(nn.Module):
    """A network from normalised images to a typed output; built from ``(config, num_classes)``.

    Attributes:
        backbone: the submodule with a learning rate of its own.
        config_class: the dataclass of its fields.
        reads_thing_flags: whether its channels depend on which classes are things; then it is built from ``(config,
            num_classes, is_thing)``.
        training_only: names of submodules that inference never runs; exported files lack them.
        segment_limit: how many segments it can tell apart in an image; None is any number.
        reads_clips: whether ``forward`` takes ``frames``: T neighbours of the batch are then the frames of a clip in
            their order (``PanopticTargets.frames``), and so are those of the output. B must be a multiple of T, which
            may be another in every call, and 1.
    """

    config_class: ClassVar[type]
    reads_thing_flags: ClassVar[bool] = False
    training_only: tuple[str, ...] = ()
    segment_limit: int | None = None
    reads_clips: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.register_forward_pre_hook(_check_images)

    def forward(self, images: Tensor, layer_outputs: bool | None = None) -> ModelOutput:
        """
        Args:
            images: (B, C, H, W) float, normalised with the config's mean and std. Any H and W.
            layer_outputs: give the outputs of earlier layers, where there are any; None gives them in training.
        """
        raise NotImplementedError

    def normalised(self, images: Tensor) -> Tensor:
        """What ``forward`` takes, on the model's device.

        Args:
            images: (B, C, H, W) uint8, or float of 0..255, on any device.
        """
        device = next(self.parameters()).device
        mean, std = (torch.tensor(v, device=device) for v in (self.config.image_mean, self.config.image_std))
        return (images.to(device).float() - mean[:, None, None]) / std[:, None, None]

    def set_progress(self, progress: float) -> None:
        """Told before each training step, whatever part of the run was before it: a model whose training changes in
        the course of a run makes all that does follow from this, so that a resumed run repeats.

        Args:
            progress: 0..1, which fraction of the run's steps is done.
        """

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters without weight decay: by default all but convolution and linear kernels."""
        return names_without_weight_decay(self)

    def layers_behind(self) -> dict[str, int]:
        """How many layers of the backbone lie behind each of its parameters, itself included: 1 for its last block.
        Empty for a backbone that is not a row of blocks; what is left out counts 0. Other parameters that learn as
        slowly may be named, too."""
        behind = getattr(self.backbone, "layers_behind", dict)()
        return {f"backbone.{name}": count for name, count in behind.items()}

    def class_heads(self) -> set[str]:
        """Names of the tensors whose first dimension is the classes, with or without one more row at the end for
        no-object or void: where weights of other classes are loaded, their rows are matched by class name."""
        return set()

    def stem(self) -> set[str]:
        """Names of the tensors that say what all others mean, such as the projection of patches: weights in which one
        of them has another shape, but for the bands of images, are those of another network."""
        return set()

    def query_embeddings(self) -> dict[str, int]:
        """{name of a tensor: its dimension that is the queries}: cut or extended where their number differs."""
        return {}

    def position_tables(self) -> dict[str, tuple[int, int]]:
        """{name of a tensor (1, T + h w, C): the grid (h, w) of its patches}, T tokens that are no patches first:
        resized where weights of another grid are loaded."""
        return {}


def _check_images(model: PanopticModel, inputs: tuple[Tensor, ...]) -> None:
    """A sentence in place of what a convolution says of pixels that nobody normalised, or of a missing batch."""
    for images in inputs[:1]:
        bands = model.config.in_channels
        if images.ndim != 4 or images.shape[1] != bands or not images.is_floating_point():
            raise UserError(
                f"{type(model).__name__} takes images of (B, {bands}, H, W) float, normalised with its config's "
                f"image_mean and image_std, not {images.dtype} {tuple(images.shape)}."
            )
