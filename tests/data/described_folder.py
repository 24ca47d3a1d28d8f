"""A tiny folder with dataset.yaml, written by hand."""

from pathlib import Path

import numpy as np
from PIL import Image

YAML = "classes:\n  - {name: window, thing: true, color: [70, 200, 230]}\n  - {name: wall, thing: false}\n"


def write_described(
    root: Path, split: str, labels: dict[str, tuple[np.ndarray, np.ndarray | None]], text: str = YAML
) -> Path:
    """Labels: name to (class values, numbers or None)."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(text)
    for name, (classes, numbers) in labels.items():
        photo = np.random.default_rng(len(name)).integers(0, 256, (*classes.shape, 3), dtype=np.uint8)
        save(photo, root / "images" / split / f"{name}.png")
        save(classes.astype(np.uint8), root / "semantic" / split / f"{name}.png")
        if numbers is not None:
            save(numbers.astype(np.uint16), root / "instances" / split / f"{name}.png")
    return root


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
