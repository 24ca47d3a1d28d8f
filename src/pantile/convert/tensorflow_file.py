"""Variables of TensorFlow models by name: from a checkpoint, or from an ``.npz``."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.convert.tensorflow_bundle import read_checkpoint


def is_tensorflow(path: Path) -> bool:
    """An ``.npz``, or the prefix of a checkpoint (``ckpt-100`` beside ``ckpt-100.index``)."""
    return path.suffix == ".npz" or path.with_name(f"{path.name}.index").is_file()


def read_variables(path: Path) -> dict[str, Tensor]:
    """
    Raises:
        UserError: not readable.
    """
    if path.suffix != ".npz":
        return read_checkpoint(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    except (OSError, ValueError, BadZipFile, TypeError) as error:
        raise UserError(f"{path}: cannot be read as an .npz of arrays ({str(error).splitlines()[0]}).") from None
