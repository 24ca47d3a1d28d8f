"""Files that hold a trained model: training checkpoints, and weights alone as safetensors. Neither executes code.

A run folder holds ``checkpoints/last.ckpt`` (to resume), ``weights.safetensors`` (of the best validation) and
``config.yaml``. Every file carries the taxonomy and the resolved config.
"""

import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.output_paths import telling
from pantile.contracts.taxonomy import Taxonomy
from pantile.engine.config import RunConfig, from_dict, to_dict

WEIGHTS = "weights.safetensors"
LAST = Path("checkpoints") / "last.ckpt"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        state: ``model.*`` and ``techniques.*`` tensors.
        step: optimizer steps that made it, or None.
    """

    path: Path
    config: RunConfig
    taxonomy: Taxonomy
    state: dict[str, Tensor]
    step: int | None = None

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under ``prefix.``, without it."""
        return {k.removeprefix(f"{prefix}."): v for k, v in self.state.items() if k.startswith(f"{prefix}.")}


def save_weights(path: Path, state: dict[str, Tensor], config: RunConfig, taxonomy: Taxonomy, step: int | None) -> None:
    """Writes a safetensors file with config and taxonomy in its header; atomic."""
    header = {"config": to_dict(config), "taxonomy": taxonomy.to_dict(), "step": step}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with telling(path, SafetensorError), replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"pantile": json.dumps(header)})


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads a run folder, a training checkpoint (``.ckpt``) or a weights file (``.safetensors``).

    Raises:
        UserError: the path does not exist, is damaged, or was not made by this package.
    """
    found = _resolve(Path(path))
    header, state = _read_safetensors(found) if found.suffix == ".safetensors" else _read_lightning(found)
    config = from_dict(header["config"], source=str(found))
    return Checkpoint(found, config, Taxonomy.from_dict(header["taxonomy"]), state, header.get("step"))


def _resolve(path: Path) -> Path:
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint; give a run folder, a .ckpt or a .safetensors file.")
    if path.is_dir():
        for candidate in (path / WEIGHTS, path / LAST):
            if candidate.exists():
                return candidate
        raise UserError(f"{path}: the folder holds neither {WEIGHTS} nor {LAST}; train first or name the file itself.")
    return regular_file(path)


def _read_safetensors(path: Path) -> tuple[dict, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("pantile", "null"))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); copy the file again.") from None
    if header is None:
        raise UserError(f"{path}: has no pantile header; use `pantile convert` for weights of other projects.")
    return header, state


def _read_lightning(path: Path) -> tuple[dict, dict[str, Tensor]]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as a checkpoint ({reason}); copy the file again.") from None
    if not isinstance(content, dict) or "pantile" not in content:
        raise UserError(f"{path}: was not written by pantile; use `pantile convert` for weights of other projects.")
    return content["pantile"], {
        k: v for k, v in content["state_dict"].items() if k.startswith(("model.", "techniques."))
    }
