"""Smaller weights of an ONNX file: halves, or bytes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pantile.data.fit import fit_placement
from pantile.export.onnx_writer import require_onnx
from pantile.runtime.fitting import network_input
from pantile.runtime.onnx_file import IMAGES, PADDING

#: inputs that a graph takes, as a calibration feeds them
Batch = tuple[np.ndarray, np.ndarray]
CALIBRATED_ON = 32  # images at most
_SMALL = 1024  # values of a tensor that stays as it is
_QUANTIZED = ["Conv", "MatMul", "Gemm"]


def batches_of(images: Sequence[np.ndarray], size: tuple[int, int]) -> list[Batch]:
    """Inputs of one size, of at most ``CALIBRATED_ON`` images (H, W, C) uint8."""
    chosen = images[:CALIBRATED_ON]
    return [network_input(image, fit_placement((image.shape[0], image.shape[1]), size)) for image in chosen]


def as_stored(path: Path, calibration: Sequence[Batch]) -> None:
    """fp32: nothing to do."""


def halve_weights(path: Path, calibration: Sequence[Batch]) -> None:
    """fp16: weights of float32 are stored as float16 and made float32 again as the file is opened, so that sums stay
    exact and every runtime takes the file; it has half the size."""
    onnx = require_onnx()
    model = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALL or np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name, half = tensor.name, f"{tensor.name}__half"
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT, name=f"{name}__cast"))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def quantize(path: Path, calibration: Sequence[Batch]) -> None:
    """int8: weights of products, per channel; with calibration images also of convolutions, and what they read."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static

    folded = path.with_name(f"{path.stem}.folded.onnx")
    quantized = path.with_name(f"{path.stem}.quantized.onnx")
    try:
        _fold_constants(path, folded)
        if calibration:
            quantize_static(
                folded,
                quantized,
                _Reader(calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                op_types_to_quantize=_QUANTIZED,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        else:
            quantize_dynamic(
                folded,
                quantized,
                per_channel=True,
                op_types_to_quantize=["MatMul", "Gemm"],
                weight_type=QuantType.QInt8,
            )
        path.write_bytes(quantized.read_bytes())
    finally:
        for part in (folded, quantized):
            part.unlink(missing_ok=True)


#: {--weights: what is done to a file in place}
PRECISIONS: dict[str, Callable[[Path, Sequence[Batch]], None]] = {
    "fp32": as_stored,
    "fp16": halve_weights,
    "int8": quantize,
}


def _fold_constants(path: Path, target: Path) -> None:
    """Transposed weights become weights, which is what quantization looks for."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class _Reader:
    """Feeds calibration images one batch at a time."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches: Iterator[Batch] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {IMAGES: batch[0], PADDING: batch[1]}
