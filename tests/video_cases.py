"""Videos as maps: the recorded sequences, and drawn ones, with their plain arrays for oracles."""

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from pantile.contracts.panoptic import PanopticMap, Segment
from pantile.contracts.taxonomy import plain_taxonomy

TAXONOMY = plain_taxonomy(["road", "sky", "person", "car"], things=["person", "car"])
THINGS = (2, 3)
VOID = 255

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # true class, instance, predicted class, instance


def map_of(classes: np.ndarray, instances: np.ndarray, truth: bool, id_of: Callable[[int, int], int]) -> PanopticMap:
    """One frame: class 255 is void, instance 0 of a true thing is crowd."""
    codes = classes.astype(np.int64) << 16 | instances
    ids, segments = np.zeros(classes.shape, np.int32), []
    for code in np.unique(codes[classes != VOID]).tolist():
        k, instance = code >> 16, code & 0xFFFF
        segments.append(Segment(id_of(k, instance), k, is_crowd=truth and k in THINGS and instance == 0))
        ids[codes == code] = segments[-1].id
    return PanopticMap(ids, tuple(segments))


def id_with_class(k: int, instance: int) -> int:
    return (k + 1) << 16 | instance


def maps_of(
    frames: list[Arrays], id_of: Callable[[int, int], int] = id_with_class
) -> tuple[list[PanopticMap], list[PanopticMap]]:
    """Predictions and ground truth of the frames of a video."""
    return (
        [map_of(pred_class, pred_instance, False, id_of) for _, _, pred_class, pred_instance in frames],
        [map_of(gt_class, gt_instance, True, id_of) for gt_class, gt_instance, _, _ in frames],
    )


def recorded(folder: Path) -> Iterator[tuple[str, list[list[Arrays]], dict]]:
    """Name, sequences and values of each recorded case."""
    arrays = np.load(folder / "video_metrics" / "sequences.npz")
    for name, values in json.loads((folder / "video_metrics" / "values.json").read_text())["cases"].items():
        columns = [arrays[f"{name}/{key}"] for key in ("gt_class", "gt_instance", "pred_class", "pred_instance")]
        lengths = arrays[f"{name}/lengths"].tolist()
        yield name, [list(zip(*(c[k, :n] for c in columns), strict=True)) for k, n in enumerate(lengths)], values


def drawn_video(seed: int, frames: int = 5, size: tuple[int, int] = (10, 14)) -> list[Arrays]:
    """Blocks that move by a pixel a frame, with crowds and void; predictions with wrong classes, ids and void."""
    random = np.random.default_rng(seed)
    blocks = random.integers(0, 8, (size[0] // 2, size[1] // 2))
    kinds = np.array([[0, 0], [1, 0], [2, 1], [2, 2], [3, 1], [2, 0], [3, 0], [VOID, 0]])
    video = []
    for frame in range(frames):
        labels = kinds[np.roll(np.kron(blocks, np.ones((2, 2), np.int64)), frame, axis=1)]
        guess = np.roll(labels, random.integers(-1, 2), axis=0).copy()
        wrong = random.random(size) < 0.15
        guess[wrong] = kinds[random.integers(0, 8, wrong.sum())]
        guess[(guess[..., 0] == 3) & (frame > 2)] += [0, 6]  # ids switch
        video.append((labels[..., 0], labels[..., 1], guess[..., 0], guess[..., 1]))
    return video


def plain_stq_module() -> ModuleType:
    """The statement of STQ that the benchmark is timed against."""
    path = Path(__file__).parents[1] / "benchmarks" / "plain_stq.py"
    spec = importlib.util.spec_from_file_location("plain_stq", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
