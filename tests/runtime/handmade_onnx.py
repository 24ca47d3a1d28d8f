"""ONNX files that nobody's exporter wrote: one convolution makes class logits of pixels."""

from pathlib import Path

import numpy as np

from pantile.contracts.taxonomy import Taxonomy, plain_taxonomy
from pantile.data.reading import Reading
from pantile.merge.semantic_config import SemanticMergeConfig
from pantile.runtime.header import KEY, Header
from pantile.runtime.sizes import InputSizes, Side

TAXONOMY: Taxonomy = plain_taxonomy(["red", "green", "blue"], things=["red"])
STRIDE = 4


def header(**changes) -> Header:
    sides = Side(multiple=32, remainder=0)
    fields = {"taxonomy": TAXONOMY, "merge": SemanticMergeConfig(), "evaluation_size": (64, 96), "reading": Reading()}
    fields |= {"channels": 3, "sizes": InputSizes(sides, sides), "architecture": "handmade", "backbone": "none"}
    return Header(**(fields | {"version": "0.0"} | changes))


def write_handmade(path: Path, metadata: str | None) -> Path:
    """A pixel has the class of its strongest colour, averaged over 4 x 4 pixels; nothing is said of padding."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.zeros((3, 3, STRIDE, STRIDE), np.float32)
    weights[range(3), range(3)] = 1 / STRIDE**2 / 20
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "weights"], ["all"], strides=[STRIDE, STRIDE]),
        helper.make_node("Cast", ["padding"], ["outside"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["outside"], ["none"], keepdims=1),
        helper.make_node("Mul", ["none", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "shape"], ["scalar"]),
        helper.make_node("Add", ["all", "scalar"], ["class_logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info("images", TensorProto.UINT8, ["b", 3, "h", "w"]),
        helper.make_tensor_value_info("padding", TensorProto.BOOL, ["b", "h", "w"]),
    ]
    output = helper.make_tensor_value_info("class_logits", TensorProto.FLOAT, ["b", 3, "y", "x"])
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
        numpy_helper.from_array(np.array([1]), "shape"),
    ]
    graph = helper.make_graph(nodes, "handmade", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    if metadata is not None:
        helper.set_model_props(model, {KEY: metadata})
    save(model, str(path))
    return path
