"""Where foreign weights lie: a file, a folder as Hugging Face writes it, or a name on its hub."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.convert.foreign_file import ORIGINAL_SUFFIXES, read_state
from pantile.convert.optional import require
from pantile.convert.tensorflow_file import is_tensorflow, read_variables

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
SHARDS = tuple(f"{name}.index.json" for name in WEIGHTS)
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class ForeignWeights:
    """Attributes:
    source: the file or folder.
    state: tensors by name.
    told: Hugging Face's config.json, where there is one.
    base: tensors by name that ``state`` is to be added to, where it holds deltas.
    """

    source: Path
    state: dict[str, Tensor]
    told: dict[str, Any] | None
    base: dict[str, Tensor] | None = None

    @property
    def kind(self) -> str:
        """What config.json calls the network, for a message."""
        named = (self.told or {}).get("architectures")
        return str(named[0]) if isinstance(named, list) and named else "another architecture"

    @property
    def labels(self) -> list[str] | None:
        """Class names in the order of the classes."""
        named = (self.told or {}).get("id2label")
        return [str(named[key]) for key in sorted(named, key=int)] if named else None


def is_huggingface_folder(path: Path) -> bool:
    return (path / CONFIG).is_file() and any((path / name).is_file() for name in (*WEIGHTS, *SHARDS))


def is_hub_name(text: str) -> bool:
    """``owner/name``, and neither a file nor a folder nor meant as one: with such a suffix, or in a folder of ours."""
    files = (".ckpt", ".safetensors", ".bin", *ORIGINAL_SUFFIXES)
    return bool(HUB_NAME.fullmatch(text)) and not Path(text).parent.is_dir() and not text.endswith(files)


def read_foreign(path: Path) -> ForeignWeights:
    """Tensors of a file (``.pkl``, ``.pth``, ``.bin``, ``.safetensors``) or of Hugging Face's folder. No code runs.

    Raises:
        UserError: nothing there, unreadable, or something that is not data.
    """
    if path.is_dir():
        if not is_huggingface_folder(path):
            raise UserError(f"{path}: holds no {CONFIG} with {' or '.join(WEIGHTS)}; name the file itself.")
        return ForeignWeights(path, _read_all(_weight_files(path)), _read_json(path / CONFIG))
    config = path.parent / CONFIG
    return ForeignWeights(path, _read_all([path]), _read_json(config) if config.is_file() else None)


def download(name: str) -> Path:
    """The folder of a model of the hub, from the cache or the network.

    Raises:
        UserError: there is no such model, or neither the network nor the cache has it.
    """
    hub = require("huggingface_hub")
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    try:
        config = Path(hub.hf_hub_download(name, CONFIG))
        for wanted in (*WEIGHTS, *SHARDS):
            try:
                path = Path(hub.hf_hub_download(name, wanted))
            except EntryNotFoundError as error:
                if isinstance(error, LocalEntryNotFoundError) and wanted == SHARDS[-1]:
                    raise
                continue
            if wanted in SHARDS:
                for shard in _shards(path):
                    hub.hf_hub_download(name, shard)
            return config.parent
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{name}: no such file or folder, and Hugging Face's hub did not give a model of this name "
            f"({type(error).__name__}); check the name, or fetch it where there is a network and set HF_HOME to that "
            "cache."
        ) from None
    raise UserError(f"{name}: the model on the hub has neither {' nor '.join(WEIGHTS)}.")


def _weight_files(folder: Path) -> list[Path]:
    for name, index in zip(WEIGHTS, SHARDS, strict=True):
        if (folder / name).is_file():
            return [folder / name]
        if (folder / index).is_file():
            return [folder / shard for shard in _shards(folder / index)]
    raise AssertionError(folder)


def _shards(index: Path) -> list[str]:
    return sorted(set(_read_json(index)["weight_map"].values()))


def _read_all(paths: list[Path]) -> dict[str, Tensor]:
    return {name: tensor for path in paths for name, tensor in _read_tensors(path).items()}


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if is_tensorflow(path):
        return read_variables(path)
    if path.suffix != ".safetensors" or not path.is_file():
        return read_state(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); copy the file again.") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(regular_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error}); copy the file again.") from None
