"""Any file or name that stands for trained weights, ours or of others."""

from pathlib import Path

from pantile.contracts.errors import UserError
from pantile.convert.foreign_checkpoint import load_foreign
from pantile.convert.foreign_file import ORIGINAL_SUFFIXES
from pantile.convert.foreign_folder import download, is_hub_name, is_huggingface_folder
from pantile.engine.checkpoint import Checkpoint, Choice, check_choice, load_checkpoint


def open_checkpoint(path: str | Path, weights: Choice | None = None) -> Checkpoint:
    """Reads a run folder, a ``.ckpt`` or a ``.safetensors`` file of ours; or weights of others.

    Those are a name such as ``"tue-mps/coco_panoptic_eomt_large_640"`` (EoMT, Mask2Former or MaskFormer of Hugging
    Face's hub, from its cache or the network), a folder of ``transformers``, and a ``.pkl``, ``.pth`` or ``.bin`` of
    the original EoMT, kMaX-DeepLab, Mask2Former, MaskFormer or Panoptic FCN of a data set whose classes are known.

    Args:
        weights: of a run folder of ours: "best" (also None) or "last", see ``load_checkpoint``.

    Raises:
        UserError: nothing there, damaged, or of an architecture that needs ``pantile convert``.
    """
    if is_hub_name(str(path)):
        check_choice(weights, path)
        return load_foreign(download(str(path)))
    if is_huggingface_folder(Path(path)) or Path(path).suffix in (*ORIGINAL_SUFFIXES, ".bin"):
        if weights is not None:
            raise UserError(f"{path}: `{weights}` chooses among the weights of a run folder; leave it out here.")
        return load_foreign(Path(path))
    return load_checkpoint(path, weights)
