"""The images on which an exported file is compared with its network."""

from pathlib import Path

import numpy as np

from pantile.contracts.errors import UserError
from pantile.data import Scenes
from pantile.data.image_files import read_image
from pantile.data.image_suffixes import IMAGE_SUFFIXES
from pantile.engine.config import RunConfig

CALIBRATED = 32  # images


def pictures(folder: Path | None, config: RunConfig, compared: int = 2, calibrating: bool = False) -> list[np.ndarray]:
    """(H, W, C) uint8 each.

    Args:
        folder: of photos; None draws scenes.
        config: of the run: how files are read.
        compared: how many, at most.
        calibrating: take more.

    Raises:
        UserError: no image there, or not of the network's bands.
    """
    channels = config.model.in_channels
    count = max(compared, CALIBRATED) if calibrating else compared
    if folder is None:
        scenes = Scenes(count, size=(192, 224), split="val")
        bands = np.arange(channels) % 3
        return [np.ascontiguousarray(scenes.load(index)[0][..., bands]) for index in range(count)]
    if not folder.is_dir():
        raise UserError(f"--data {folder}: no such folder; name one with photos.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise UserError(f"--data {folder}: the folder holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return [read_image(path, channels, config.images) for path in found[:count]]
