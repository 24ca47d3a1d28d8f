"""export_checkpoint(): a checkpoint as one file, checked in the runtime that will run it before it has its name."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

import pantile
from pantile.contracts.atomic import replacing
from pantile.contracts.errors import UserError
from pantile.data.fit import FitConfig, fit_placement
from pantile.engine.checkpoint import Checkpoint
from pantile.engine.evaluate import load_task
from pantile.engine.task import PanopticTask
from pantile.export import parity
from pantile.export.graph import DeployedNetwork, Outputs, example_inputs, merged_outside
from pantile.export.inside import merged_inside
from pantile.export.onnx_writer import write_metadata, write_onnx
from pantile.export.parity import TOLERANCES, SizeParity
from pantile.export.precision import PRECISIONS, batches_of
from pantile.export.program_file import NAMES, ProgramFile
from pantile.export.tracing import Traced, traces
from pantile.merge import PanopticFCNMergeConfig
from pantile.runtime.header import KEY, Header
from pantile.runtime.images import ExportedFile
from pantile.runtime.inside import CLASSES
from pantile.runtime.kinds import KINDS
from pantile.runtime.onnx_file import GraphFails, OnnxFile


@dataclass(frozen=True)
class ExportOptions:
    """
    Attributes:
        format: "onnx", or "torch" for an exported program (``.pt2``).
        weights: "fp32", "fp16" or "int8"; the latter two of ONNX files.
        inside: the graph merges, too.
        calibrate: int8 also quantizes convolutions and what they read, by the values that the images make.
        size: (height, width) to trace and check at; None is the evaluation size.
        pixels: in place of the tolerated share of pixels that differ.
        compared: images at each size.
    """

    format: Literal["onnx", "torch"] = "onnx"
    weights: Literal["fp32", "fp16", "int8"] = "fp32"
    inside: bool = False
    calibrate: bool = False
    size: tuple[int, int] | None = None
    pixels: float | None = None
    compared: int = 2


Tell = Callable[[str], None]


def _say_nothing(phase: str) -> None:
    """For who does not want to hear."""


@dataclass(frozen=True)
class Exported:
    """
    Attributes:
        path: the file.
        header: what it says of itself.
        parities: what was measured, one for each size.
        limits: what is not dynamic, and why.
        hidden: norms that hide what stands before them; see ``parity.hidden_branches``.
    """

    path: Path
    header: Header
    parities: tuple[SizeParity, ...]
    limits: tuple[str, ...]
    hidden: tuple[str, ...]


def export_checkpoint(
    checkpoint: Checkpoint,
    path: Path,
    images: Sequence[np.ndarray],
    options: ExportOptions | None = None,
    tell: Tell = _say_nothing,
) -> Exported:
    """
    Args:
        checkpoint: of any architecture with any techniques that need no ground truth.
        path: to write; nothing is there unless the file agrees with the network.
        images: (H, W, C) uint8, on which both are compared, and int8 is calibrated.
        tell: hears what is done next, in words.

    Raises:
        UserError: an operator that the format lacks, options that do not go together, or a file that says something
            else than the network.
    """
    options = options or ExportOptions()
    _check(checkpoint, options)
    tell("loading the network")
    task = load_task(checkpoint)
    size, rule = _traced_size(checkpoint.config.evaluation_size, options.size)
    network = DeployedNetwork(task, _outputs(task, options)).eval()
    channels = checkpoint.config.model.in_channels
    with torch.inference_mode():
        named = network.outputs(network.output_of(*example_inputs(channels, size, batch=1)), size)
    failed: list[str] = []
    for traced in traces(network, channels, size, rule, options.format != "onnx", tell):
        header = _header(checkpoint, traced, options, named[CLASSES].shape[1] if options.inside else None)
        try:
            made = _written(path, network, task, traced, tuple(named), header, images, options, tell)
        except GraphFails as error:  # at another size than that of the trace
            failed.append(f"not written with inputs of {traced.sizes}: {str(error).partition(': ')[2]}")
        else:
            return replace(made, limits=(*made.limits, *failed))
    raise UserError(f"{path}: no size of the input works: {failed[-1]}")


def _written(
    path: Path,
    network: DeployedNetwork,
    task: PanopticTask,
    traced: Traced,
    names: tuple[str, ...],
    header: Header,
    images: Sequence[np.ndarray],
    options: ExportOptions,
    tell: Tell,
) -> Exported:
    """Writes, measures, and only then gives the file its name."""
    tolerance = TOLERANCES[options.weights]
    if options.pixels is not None:
        tolerance = replace(tolerance, pixels=options.pixels)
    hidden = parity.hidden_branches(task.model)
    with replacing(path) as temporary:
        calibration = images if options.calibrate else ()
        file = _WRITERS[options.format](traced, names, header, temporary, calibration, tell)
        parities = parity.measure(file, network, task, images[: options.compared], traced.size, tell)
        parity.check(parities, tolerance, str(path))
        header = replace(header, parity=json.loads(json.dumps(parity.plain(parities, tolerance, hidden))))
        _FINISHERS[options.format](file, header, temporary)
    return Exported(path, header, tuple(parities), traced.limits, tuple(hidden))


def _check(checkpoint: Checkpoint, options: ExportOptions) -> None:
    config = checkpoint.config
    if config.windows is not None:
        raise UserError(
            f"{checkpoint.path}: windows.* cuts the network's input, which exported files do not: convert it with "
            "--set windows=null, and cut images with --tile when predicting."
        )
    if config.merge.kind not in KINDS:
        raise UserError(f"{checkpoint.path}: merge.kind={config.merge.kind} is not exported, for want of a numpy form.")
    for name, technique in config.techniques.items():
        if technique is not None and getattr(technique, "selection", "").startswith("ground_truth"):
            raise UserError(
                f"{checkpoint.path}: techniques.{name}.selection={technique.selection} reads annotations, which an "
                "exported file does not have: train with selection=predicted."
            )
    if options.format == "torch" and options.weights != "fp32":
        raise UserError(f"--precision {options.weights} is of ONNX files; leave it out, or take --format onnx.")
    if options.calibrate and options.weights != "int8":
        raise UserError("--calibrate is of --precision int8; leave it out.")


def _traced_size(
    evaluation_size: tuple[int, int] | FitConfig, wanted: tuple[int, int] | None
) -> tuple[tuple[int, int], FitConfig | None]:
    """(height, width) of an input, and the rule by which images get others."""
    if wanted is not None:
        return wanted, evaluation_size if isinstance(evaluation_size, FitConfig) else None
    if not isinstance(evaluation_size, FitConfig):
        return tuple(evaluation_size), None
    long_side = evaluation_size.long_side or evaluation_size.short_side
    short_side = min(evaluation_size.short_side or long_side, 3 * long_side // 4)
    return fit_placement((short_side, long_side), evaluation_size).padded, evaluation_size


def _outputs(task: PanopticTask, options: ExportOptions) -> Outputs:
    if options.inside:
        return merged_inside(task.config.merge, task.taxonomy)
    return merged_outside(with_queries=isinstance(task.config.merge, PanopticFCNMergeConfig))


def _header(checkpoint: Checkpoint, traced: Traced, options: ExportOptions, inside: int | None) -> Header:
    config = checkpoint.config
    return Header(
        checkpoint.taxonomy,
        config.merge,
        config.evaluation_size,
        config.images,
        config.model.in_channels,
        traced.sizes,
        config.model.architecture,
        config.model.backbone,
        options.weights,
        inside,
        version=pantile.__version__,
    )


def _write_onnx(traced, names, header, path, calibration, tell) -> ExportedFile:
    tell("translating to ONNX")
    write_onnx(traced, names, path)
    batches = batches_of(calibration, traced.size)
    if header.weights != "fp32":
        tell(f"making the weights {header.weights}" + (f", by {len(batches)} images" if batches else ""))
    PRECISIONS[header.weights](path, batches)
    write_metadata(path, header.to_json())
    return OnnxFile(path)


def _finish_onnx(file: ExportedFile, header: Header, path: Path) -> None:
    write_metadata(path, header.to_json())


def _write_program(traced, names, header, path, calibration, tell) -> ExportedFile:
    tell("writing the program")
    _save_program(traced.program, names, header, path)
    return ProgramFile(path)


def _finish_program(file: ProgramFile, header: Header, path: Path) -> None:
    _save_program(file.program, tuple(file.names), header, path)


def _save_program(program: torch.export.ExportedProgram, names: tuple[str, ...], header: Header, path: Path) -> None:
    torch.export.save(program, path, extra_files={KEY: header.to_json(), NAMES: " ".join(names)})


_WRITERS = {"onnx": _write_onnx, "torch": _write_program}
_FINISHERS = {"onnx": _finish_onnx, "torch": _finish_program}
