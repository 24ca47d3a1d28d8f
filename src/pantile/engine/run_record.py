"""run.json: how a run was started, so that a report or another person can repeat it."""

import json
import platform
import shlex
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from pantile import __version__
from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.contracts.input_files import regular_file
from pantile.contracts.plugins import check_installed, required
from pantile.data import PanopticDataset, first_images, open_dataset
from pantile.data.layouts import LAYOUTS, layout_of
from pantile.data.scene_source import is_scenes
from pantile.engine.devices import AUTO, device_named

RECORD = "run.json"


@dataclass
class RunRecord:
    """Attributes:
    data, train_split, val_split, limit, skip_missing: as given to ``pantile train``.
    command, started, hardware, versions: for people.
    plugins: packages and their parts that are needed to read the data, see ``contracts.plugins``.
    """

    data: str
    train_split: str = "train"
    val_split: str = "val"
    limit: int | None = None
    command: str = ""
    started: str = ""
    hardware: str = ""
    versions: str = ""
    skip_missing: bool = False
    plugins: dict[str, str] = field(default_factory=dict)

    @classmethod
    def now(
        cls,
        data: str,
        train_split: str,
        val_split: str,
        limit: int | None,
        skip_missing: bool = False,
        device: str = AUTO,
    ) -> "RunRecord":
        location = data if is_scenes(data) else str(Path(data).resolve())
        return cls(
            location,
            train_split,
            val_split,
            limit,
            command=shlex.join(["pantile", *sys.argv[1:]]),
            started=time.strftime("%Y-%m-%d %H:%M"),
            hardware=describe_hardware(device),
            skip_missing=skip_missing,
            plugins=_plugins(location),
            versions=f"pantile {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        )

    def save(self, run: Path) -> None:
        with replacing(run / RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=2))

    def datasets(self) -> tuple[PanopticDataset, PanopticDataset]:
        """The training and the validation set.

        Raises:
            UserError: the data cannot be read, or its layout is of a package that is not installed.
        """
        check_installed(self.plugins, f"the data {self.data}")
        training_set = open_dataset(self.data, self.train_split, self.skip_missing, option="--train-split")
        validation_set = open_dataset(self.data, self.val_split, self.skip_missing, option="--val-split")
        return first_images(training_set, self.limit), validation_set


def _plugins(data: str) -> dict[str, str]:
    layout = layout_of(Path(data)) if Path(data).is_absolute() else None  # else generated scenes
    return required([(LAYOUTS, layout)] if layout else [])


def load_record(run: Path) -> RunRecord:
    """Raises UserError where the folder is no run."""
    try:
        return RunRecord(**json.loads(regular_file(run / RECORD).read_text()))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{run}: not a run folder ({RECORD} is missing); give the --out of a training.") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{run / RECORD}: damaged ({error}); restore it from a copy of the run.") from None


def describe_hardware(device: str = AUTO) -> str:
    """Such as "1 x NVIDIA H200" or "2 CPU threads (x86_64)"; see ``device_named``."""
    chosen = device_named(device)
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if chosen.index is None else 1
        return f"{count} x {torch.cuda.get_device_name(chosen)}"
    if chosen.type == "mps":
        return f"Apple GPU ({platform.machine()})"
    return f"{torch.get_num_threads()} CPU threads ({platform.machine()})"
