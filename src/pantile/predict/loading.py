"""load(): whatever stands for a trained network, as something that takes images."""

from pathlib import Path
from typing import TYPE_CHECKING

from pantile.contracts.errors import UserError
from pantile.contracts.full_install import needs_full_install
from pantile.data.orientation import UPRIGHT

if TYPE_CHECKING:
    import torch

    from pantile.engine.checkpoint import Choice
    from pantile.inference.tiles import Tiling
    from pantile.inference.views import Views
    from pantile.predict.exported import ExportedPredictor
    from pantile.predict.predictor import Predictor

ONNX, PROGRAM = ".onnx", ".pt2"  # endings of exported files


def is_exported(path: str | Path) -> bool:
    return Path(path).suffix.lower() in (ONNX, PROGRAM)


def load(
    path: str | Path,
    device: "torch.device | str | None" = None,
    views: "Views | None" = None,
    tiling: "Tiling | None" = None,
    orientation: str = UPRIGHT,
    weights: "Choice | None" = None,
) -> "Predictor | ExportedPredictor":
    """A predictor from a run folder, a ``.ckpt`` or a ``.safetensors`` file, weights of other projects (what
    ``open_checkpoint`` reads, such as ``"facebook/mask2former-swin-tiny-coco-panoptic"``), a folder that
    ``pantile publish`` wrote, or an ``.onnx`` or ``.pt2`` file that ``pantile export`` wrote. An ``.onnx`` file needs
    no torch.

    Args:
        device: where to run; None is a GPU when there is one. Exported files run on the CPU.
        views: scales and mirror images to average over; None is the image as it is. Not of exported files.
        tiling: how large images are cut into tiles; None takes every image as a whole.
        orientation: ``"upright"`` turns files and PIL images as their orientation tag (EXIF) says, and results have
            the size of the upright picture; ``"stored"`` takes the pixels as they lie in the file.
        weights: of a run folder: "best" (also None) are those of its best validation, "last" those of its last.
    """
    if is_exported(path):
        return load_exported(path, views, tiling, orientation, device, weights)
    with needs_full_install(f"{path} is a checkpoint, which"):
        from pantile.convert.open_checkpoint import open_checkpoint
        from pantile.predict.predictor import predictor_of

    return predictor_of(open_checkpoint(path, weights), device, views, tiling, orientation)


def load_exported(
    path: str | Path,
    views: "Views | None" = None,
    tiling: "Tiling | None" = None,
    orientation: str = UPRIGHT,
    device: "torch.device | str | None" = None,
    weights: str | None = None,
) -> "ExportedPredictor":
    """``load`` of a file that ``pantile export`` wrote.

    Raises:
        UserError: not such a file, or an option that only a checkpoint has.
    """
    from pantile.predict.exported import ExportedPredictor
    from pantile.predict.open_file import open_exported

    if views is not None and not views.is_single:
        raise UserError(f"{path}: views are averaged of checkpoints only: leave --scales and --flip out.")
    if device is not None and str(device) != "cpu":
        raise UserError(f"{path}: exported files run on the CPU here, not on {device}; leave the device out.")
    if weights is not None:
        raise UserError(f"{path}: `{weights}` chooses among the weights of a run folder; leave it out here.")
    return ExportedPredictor(open_exported(path), tiling, orientation)
