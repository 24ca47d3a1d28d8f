"""Files that hold a trained model: training checkpoints, and weights alone as safetensors. Neither executes code.

A run folder holds ``weights.safetensors`` (of the best validation), ``last.safetensors`` (of the newest one),
``checkpoints/last.ckpt`` (to resume) and ``config.yaml``; docs/runs.md tells of every file. Each carries the taxonomy
and the resolved config.
"""

import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.output_paths import telling
from pantile.contracts.taxonomy import Taxonomy
from pantile.engine.config import RunConfig, from_dict, to_dict

Choice = Literal["best", "last", "ema", "ema-last"]
WEIGHTS, LAST_WEIGHTS = "weights.safetensors", "last.safetensors"
AVERAGE, LAST_AVERAGE = "ema.safetensors", "ema_last.safetensors"
LAST = Path("checkpoints") / "last.ckpt"
_SMALL = 1024  # numbers of a tensor that is never halved


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    Attributes:
        state: ``model.*`` and ``techniques.*`` tensors.
        step: optimizer steps that made it, or None.
        metric: by which validations were compared, such as "pq"; None where nothing was measured.
        value: of the metric at ``step``, 0..1; None where it was not measured there.
        choice: which it is of the files of a run folder, None where it was named itself.
    """

    path: Path
    config: RunConfig
    taxonomy: Taxonomy
    state: dict[str, Tensor]
    step: int | None = None
    metric: str | None = None
    value: float | None = None
    choice: Choice | None = None

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under ``prefix.``, without it."""
        return {k.removeprefix(f"{prefix}."): v for k, v in self.state.items() if k.startswith(f"{prefix}.")}

    def describe(self) -> str:
        """Such as "weights of step 45 of 60, PQ 40.2 (best validation): runs/a/weights.safetensors"."""
        made = "weights" if self.step is None else f"weights of step {self.step} of {self.config.training.steps}"
        if self.value is not None:
            made += f", {metric_title(self.metric)} {100 * self.value:.1f}"
        elif self.step is not None:
            made += ", not measured"
        chosen = "" if self.choice is None else f" ({_CHOSEN[self.choice]})"
        return f"{made}{chosen}: {self.path}"


_CHOSEN = {
    "best": "best validation",
    "last": "last",
    "ema": "average of the weights, best validation",
    "ema-last": "average of the weights, last",
}
_TITLES = {"miou": "mIoU", "class_ap": "mAP", "image_ap": "AP of images"}


def metric_title(name: str) -> str:
    """``pq_things`` -> "PQ things", ``miou`` -> "mIoU"."""
    first, *rest = name.split("_")
    return _TITLES.get(name) or " ".join([first.upper(), *rest])


def save_weights(
    path: Path,
    state: dict[str, Tensor],
    config: RunConfig,
    taxonomy: Taxonomy,
    step: int | None,
    measured: tuple[str, float | None] | None = None,
) -> None:
    """Writes a safetensors file with config and taxonomy in its header; atomic.

    Args:
        state: as ``Checkpoint`` has it; halves are read as float32 again.
        measured: name and value of the metric at ``step``.
    """
    metric, value = measured or (None, None)
    header = {"config": to_dict(config), "taxonomy": taxonomy.to_dict(), "step": step}
    header |= {"metric": metric, "value": value}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with telling(path, SafetensorError):
        content = save(tensors, metadata={"pantile": json.dumps(header)})
    with replacing(path) as temporary:  # safetensors' own files have mode 0600 and stay when killed
        temporary.write_bytes(content)


def halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with large float32 tensors as float16, to be stored in half the bytes.

    Small tensors stay: biases and statistics of norms cost little, and a variance may be tiny or huge.

    Raises:
        UserError: a number beyond float16.
    """
    return {name: _half(name, tensor) for name, tensor in state.items()}


def _half(name: str, tensor: Tensor) -> Tensor:
    if tensor.dtype != torch.float32 or tensor.numel() <= _SMALL:
        return tensor
    half = tensor.half()
    if not torch.equal(half.isfinite(), tensor.isfinite()):
        raise UserError(f"{name} has numbers above 65504, the largest of float16: keep these weights as float32.")
    return half


def whole(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with halves as float32: they are a way of storing, not of computing."""
    return {name: t.float() if t.dtype == torch.float16 else t for name, t in state.items()}


def load_checkpoint(path: str | Path, weights: Choice | None = None) -> Checkpoint:
    """Reads a run folder, a training checkpoint (``.ckpt``) or a weights file (``.safetensors``).

    Args:
        weights: of a run folder: "best" (also None) are those of its best validation, "last" those of its newest. Where
            a run has no validation behind it yet, both are its newest checkpoint. "ema" and "ema-last" are the same of
            the average of its weights, chosen by validations of the average.

    Raises:
        UserError: the path does not exist, is damaged, or was not made by this package; ``weights`` for a file.
    """
    found, choice = _resolve(Path(path), weights)
    header, state = _read_safetensors(found) if found.suffix == ".safetensors" else _read_lightning(found)
    if not {"config", "taxonomy"} <= header.keys():
        raise UserError(f"{found}: its header lacks the run's config or classes: give a file that pantile wrote.")
    config = from_dict(header["config"], source=str(found))
    measured = {name: header.get(name) for name in ("step", "metric", "value")}
    return Checkpoint(found, config, Taxonomy.from_dict(header["taxonomy"]), state, **measured, choice=choice)


def check_choice(weights: str | None, path: str | Path) -> None:
    """
    Raises:
        UserError: a choice that there is not, or one for what is no run folder.
    """
    if weights not in (None, *get_args(Choice)):
        raise UserError(f"weights={weights!r} is not known: choose from {', '.join(get_args(Choice))}.")
    if weights is not None and not Path(path).is_dir():
        raise UserError(f"{path}: `{weights}` chooses among the files of a run folder; leave it out for anything else.")


def _resolve(path: Path, weights: Choice | None) -> tuple[Path, Choice | None]:
    """The file, and what it was chosen as."""
    if not path.exists():
        raise UserError(f"{path}: no such checkpoint; give a run folder, a .ckpt or a .safetensors file.")
    check_choice(weights, path)
    if not path.is_dir():
        return regular_file(path), None
    averages = {"ema": AVERAGE, "ema-last": LAST_AVERAGE}
    if weights in averages:
        if not (path / averages[weights]).exists():
            raise UserError(
                f"{path}: `{weights}` is the average of the weights, which a run keeps that was started with --set "
                f"training.average.decay=0.999, from its first validation on; {averages[weights]} is missing."
            )
        return path / averages[weights], weights
    names = {WEIGHTS: "best", LAST_WEIGHTS: "last", LAST: "last"}
    for name in [WEIGHTS, LAST_WEIGHTS, LAST] if weights != "last" else [LAST_WEIGHTS, LAST]:
        if (path / name).exists():
            return path / name, names[name]
    raise UserError(f"{path}: the folder holds neither {WEIGHTS} nor {LAST}; train first or name the file itself.")


def _read_safetensors(path: Path) -> tuple[dict, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("pantile", "null"))
            state = whole({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: cannot be read as safetensors ({error}); copy the file again.") from None
    if header is None:
        raise UserError(f"{path}: has no pantile header; use `pantile convert` for weights of other projects.")
    return header, state


def _read_lightning(path: Path) -> tuple[dict, dict[str, Tensor]]:
    if not path.stat().st_size:
        raise UserError(f"{path}: the file is empty; copy it again.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError:
        raise UserError(
            f"{path}: cannot be read as a checkpoint of pantile (it holds Python objects, and reading them would run "
            "code of the file); use `pantile convert` for weights of other projects."
        ) from None
    except (RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0] if zipfile.is_zipfile(path) else "it is damaged or another kind of file"
        raise UserError(f"{path}: cannot be read as a checkpoint ({reason}); copy the file again.") from None
    if not isinstance(content, dict) or "pantile" not in content:
        raise UserError(f"{path}: was not written by pantile; use `pantile convert` for weights of other projects.")
    return content["pantile"], {
        k: v for k, v in content["state_dict"].items() if k.startswith(("model.", "techniques."))
    }
