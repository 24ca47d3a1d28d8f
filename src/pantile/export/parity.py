"""Whether an exported file says what the network says: every output, and the panoptic maps of images."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn

from pantile.contracts.errors import UserError
from pantile.contracts.panoptic import PanopticMap
from pantile.contracts.placement import Placement
from pantile.contracts.predictions import Prediction
from pantile.data.fit import fit_placement
from pantile.engine.task import PanopticTask
from pantile.export.graph import DeployedNetwork
from pantile.inference.images import PANOPTIC
from pantile.merge import merge
from pantile.runtime.fitting import network_input
from pantile.runtime.images import ExportedFile, merged
from pantile.runtime.inside import IDS
from pantile.runtime.onnx_file import GraphFails
from pantile.runtime.sizes import Side


@dataclass(frozen=True)
class Tolerance:
    """
    Attributes:
        outputs: largest difference of a tensor, as a share of its largest value; None looks at maps only.
        pixels: share of the pixels of all images whose segments differ.
    """

    outputs: float | None
    pixels: float


AT_A_TIME = 2  # images, where the graph takes any number of them

#: by the precision of the weights
TOLERANCES = {"fp32": Tolerance(1e-3, 0.001), "fp16": Tolerance(3e-2, 0.01), "int8": Tolerance(None, 0.1)}


@dataclass(frozen=True)
class SizeParity:
    """What was measured at one input size.

    Attributes:
        size: (height, width)
        images: at a time.
        outputs: {name: [largest difference, largest value]}.
        pixels: of all maps.
        differing: of those, in segments that differ.
        segments: of the network's own maps.
    """

    size: tuple[int, int]
    images: int
    outputs: dict[str, tuple[float, float]]
    pixels: int
    differing: int
    segments: int

    def __str__(self) -> str:
        values = ", ".join(f"{name} {d:.1e} of {most:.3g}" for name, (d, most) in self.outputs.items())
        height, width = self.size
        maps = f"{self.differing} of {self.pixels} pixels differ in the panoptic maps ({self.segments} segments)"
        return f"{height} x {width}, {self.images} at a time: {values}; {maps}"


def measure(
    file: ExportedFile,
    network: DeployedNetwork,
    task: PanopticTask,
    images: Sequence[np.ndarray],
    traced: tuple[int, int],
    tell: Callable[[str], None],
) -> list[SizeParity]:
    """The file in its runtime against the network in torch.

    Args:
        file: as written.
        network: what was exported.
        task: of the same network.
        images: (H, W, C) uint8 each.
        traced: (height, width) at which the network was traced; two other sizes are tried where the graph takes any.
        tell: hears the size that comes next.
    """
    found = []
    for size in _sizes(file, traced):
        tell(f"comparing with torch at {size[0]} x {size[1]}")
        found.append(_at(file, network, task, images, size))
    return found


def check(parities: Sequence[SizeParity], tolerance: Tolerance, where: str) -> None:
    """
    Args:
        parities: the first of the size of the trace.

    Raises:
        GraphFails: it is right at the size of the trace and wrong at another one.
        UserError: more than the tolerance; names the size and the output.
    """
    for parity in parities:
        for name, (difference, most) in parity.outputs.items():
            if tolerance.outputs is not None and not difference <= tolerance.outputs * max(most, 1e-6):
                raise (UserError if parity is parities[0] else GraphFails)(
                    f"{where}: at {parity.size[0]} x {parity.size[1]} the output {name} differs from torch's by "
                    f"{difference:.2g} of {most:.2g}, more than {tolerance.outputs:g} of it: nothing was written."
                )
    pixels, differing = sum(p.pixels for p in parities), sum(p.differing for p in parities)
    if not differing <= tolerance.pixels * pixels:
        raise UserError(
            f"{where}: {100 * differing / pixels:.2f} % of the pixels have other segments than torch's, more than "
            f"{100 * tolerance.pixels:g} %: nothing was written; another --precision or a larger --tolerance would be."
        )


def plain(parities: Sequence[SizeParity], tolerance: Tolerance, hidden: Sequence[str]) -> dict:
    """For the header of the file."""
    return {"tolerance": asdict(tolerance), "sizes": [asdict(p) for p in parities], "hidden_branches": list(hidden)}


def hidden_branches(model: nn.Module) -> list[str]:
    """Norms whose weights are all 0, as before a training: what stands before them is in no output, so no comparison
    of outputs can see whether it is right."""
    found = []
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if "norm" in type(module).__name__.lower() and isinstance(weight, nn.Parameter) and not weight.any():
            found.append(name)
    return found


def _sizes(file: ExportedFile, traced: tuple[int, int]) -> list[tuple[int, int]]:
    sides = (file.header.sizes.height, file.header.sizes.width)
    smaller = tuple(_other(side, length, -1) for side, length in zip(sides, traced, strict=True))
    wider = (traced[0], _other(sides[1], traced[1], 1))
    return list(dict.fromkeys([traced, smaller, wider]))


def _other(side: Side, length: int, step: int) -> int:
    """A length near half, or one step more, that the side takes."""
    if side.fixed is not None:
        return length
    return side.at_least(length // 2) if step < 0 else length + side.multiple


def _at(
    file: ExportedFile,
    network: DeployedNetwork,
    task: PanopticTask,
    images: Sequence[np.ndarray],
    size: tuple[int, int],
) -> SizeParity:
    placements = [fit_placement((image.shape[0], image.shape[1]), size) for image in images]
    if file.header.inside is not None:  # decides on the input, so the input is the image
        placements = [Placement(size, p.content, p.content) for p in placements]
    inputs = [network_input(image, placement) for image, placement in zip(images, placements, strict=True)]
    step = file.header.sizes.batch or min(len(images), AT_A_TIME)
    outputs: dict[str, list[float]] = {}
    pixels = differing = segments = 0
    for start in range(0, len(images), step):
        batch = [np.concatenate(arrays) for arrays in zip(*inputs[start : start + step], strict=True)]
        found = file.run(*batch)
        with torch.inference_mode():
            tensors = [torch.from_numpy(array) for array in batch]
            output = network.output_of(*tensors)
            expected = {name: t.numpy() for name, t in network.outputs(output, size).items()}
        if IDS not in expected:
            for name, values in expected.items():
                if found[name].shape != values.shape:
                    raise GraphFails(
                        f"{file.path} disagrees with torch on an input of {batch[0].shape}: {name} is "
                        f"{found[name].shape} in place of {values.shape}"
                    )
                difference = np.abs(values.astype(np.float64) - found[name])
                seen = outputs.setdefault(name, [0.0, 0.0])
                seen[:] = max(seen[0], _largest(difference)), max(seen[1], _largest(np.abs(values)))
        mine = placements[start : start + step]
        for number, (wanted, placement) in enumerate(
            zip(merge(output, task.taxonomy, file.header.merge, mine), mine, strict=True)
        ):
            maps = {name: values[number] for name, values in found.items()}
            got = merged(file.header, maps, file.header.merge, placement, PANOPTIC)
            pixels += wanted.panoptic.ids.size
            segments += len(wanted.panoptic.segments)
            differing += differing_pixels(got, wanted)
    return SizeParity(size, step, {n: (a, b) for n, (a, b) in outputs.items()}, pixels, differing, segments)


def _largest(values: np.ndarray) -> float:
    return float(values.max()) if values.size else 0.0


def differing_pixels(one: Prediction, other: Prediction) -> int:
    """Pixels that do not lie in segments of the same class that are more than half the same, or in void of both."""
    a, b = one.panoptic, other.panoptic
    pairs, counts = np.unique(a.ids.astype(np.int64) << 32 | b.ids.astype(np.int64), return_counts=True)
    area_a, area_b = _areas(a), _areas(b)
    class_a, class_b = ({s.id: s.class_index for s in m.segments} | {0: -1} for m in (a, b))
    agreeing = 0
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        i, j = pair >> 32, pair & 0xFFFFFFFF
        same = class_a.get(i) == class_b.get(j)
        void = i == 0 and j == 0
        if same and (void or 2 * count > area_a[i] + area_b[j] - count):
            agreeing += count
    return a.ids.size - agreeing


def _areas(panoptic: PanopticMap) -> dict[int, int]:
    ids, counts = np.unique(panoptic.ids, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))
