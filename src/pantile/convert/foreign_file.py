"""Other projects' checkpoint files: read without executing what is in them, and written."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.output_paths import telling

ORIGINAL_SUFFIXES = (".pkl", ".pth")
# What a pickle of plain containers and arrays needs; everything else is refused.
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}


class _ContainersOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which is neither a container nor an array")
        return super().find_class(module, name)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a detectron2-style checkpoint: ``.pth`` (torch) or ``.pkl`` (pickled numpy), by name.

    The state dict may be the file's content or lie under ``model`` or ``state_dict``. Whatever else is there is left
    out; no code runs.

    Raises:
        UserError: no such file, not such a checkpoint, or something that is not data.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file; give the checkpoint that the original repository published.")
    try:
        if path.suffix == ".pkl":
            content = _ContainersOnly(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read as plain tensors ({str(error).splitlines()[0]}).") from None
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, not a dictionary of tensors.")
    state = {name: _as_tensor(value) for name, value in content.items() if isinstance(value, Tensor | np.ndarray)}
    if not state:
        raise UserError(f"{path}: holds no tensors by name.")
    return state


def write_state(path: Path, state: dict[str, Tensor]) -> None:
    """Writes ``{"model": {...}}``: ``.pkl`` (pickled numpy) or ``.pth`` (torch). Atomic.

    Raises:
        UserError: another suffix.
    """
    path = Path(path)
    if path.suffix not in ORIGINAL_SUFFIXES:
        raise UserError(f"--out {path}: the original repositories read .pkl and .pth; end the name in one of them.")
    with telling(path, RuntimeError), replacing(path) as temporary:  # torch's word for a full disk
        if path.suffix == ".pth":
            torch.save({"model": state}, temporary)
        else:
            arrays = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
            Path(temporary).write_bytes(pickle.dumps({"model": arrays}))


def _as_tensor(value: Tensor | np.ndarray) -> Tensor:
    return value if isinstance(value, Tensor) else torch.from_numpy(np.ascontiguousarray(value))
